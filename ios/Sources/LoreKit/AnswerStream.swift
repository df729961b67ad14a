import LoreKitBindings

/// The events of one answer.
///
/// Events come in order: ``AnswerEvent/retrieved(_:)``, any number of ``AnswerEvent/text(_:)`` and
/// ``AnswerEvent/citation(_:)``, and ``AnswerEvent/finished(_:)`` as the last. A slow reader slows the model, not memory.
///
/// It is read once, by one task: leaving the loop ends the request, and a second loop throws `CancellationError`.
/// Cancelling the reading task throws `CancellationError` out of the loop.
public struct AnswerStream: AsyncSequence, Sendable {
    public typealias Element = AnswerEvent

    private let request: Request

    init(_ request: Request) {
        self.request = request
    }

    /// Starts reading.
    public func makeAsyncIterator() -> Iterator {
        Iterator(reading: Reading(request))
    }

    /// Asks the model to stop, and wakes a waiting reader with `CancellationError`. After the end it changes nothing.
    public func cancel() {
        request.cancel()
    }

    /// Reads to the end and returns the whole answer, for callers who show nothing meanwhile.
    public func finalAnswer() async throws -> Answer {
        for try await event in self {
            if case .finished(let answer) = event { return answer }
        }
        throw LoreKitError.internal(reason: "the stream ended without an answer")
    }

    /// Reads one event after another.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let reading: Reading

        /// The next event; `nil` after the last.
        public mutating func next() async throws -> AnswerEvent? {
            try await reading.request.next()
        }
    }
}

/// One pass over a request. Leaving a loop drops its iterator, and with it the request.
private final class Reading: Sendable {
    let request: Request

    init(_ request: Request) {
        self.request = request
    }

    deinit {
        request.cancel()
    }
}

/// The native stream, what it has said so far, and how it ended.
final class Request: Sendable {
    private struct State {
        /// Events of the last batch that nobody has taken yet, the next one last.
        var waiting: [AnswerEvent] = []
        /// What spans of citations are counted in.
        var text = ""
        var passages: [Passage] = []
        var isCancelled = false
        var isOver = false
    }

    private let ffi: Result<FfiAnswerStream, any Error>
    private let engineEnded: Locked<Bool>
    private let state = Locked(State())

    init(_ ffi: Result<FfiAnswerStream, any Error>, engineEnded: Locked<Bool>) {
        self.ffi = ffi
        self.engineEnded = engineEnded
    }

    deinit {
        cancel()
    }

    func cancel() {
        let stops = state.withLock { state in
            guard !state.isOver, !state.isCancelled else { return false }
            state.isCancelled = true
            state.waiting = []
            return true
        }
        if stops, case .success(let ffi) = ffi { ffi.cancel() }
    }

    func next() async throws -> AnswerEvent? {
        do {
            if Task.isCancelled { cancel() }
            switch try taken() {
            case .event(let event): return event
            case .over: return nil
            case .nothing: break
            }
            let ffi = try ffi.get()
            // Cancelling a task does not reach the native side by itself.
            let batch = try await withTaskCancellationHandler {
                try await ffi.nextBatch()
            } onCancel: {
                cancel()
            }
            return try received(batch)
        } catch {
            state.withLock { $0.isOver = true }
            throw publicError(error, closed: engineEnded.value)
        }
    }

    private enum Taken { case event(AnswerEvent), over, nothing }

    private func taken() throws -> Taken {
        try state.withLock { state in
            if state.isOver { return .over }
            if state.isCancelled { throw engineEnded.value ? LoreKitError.closed : CancellationError() }
            guard let event = state.waiting.popLast() else { return .nothing }
            if case .finished = event { state.isOver = true }
            return .event(event)
        }
    }

    private func received(_ batch: [FfiAnswerEvent]) throws -> AnswerEvent? {
        try state.withLock { state in
            // A cancel that came while the batch was on its way.
            if state.isCancelled { throw CancellationError() }
            var events: [AnswerEvent] = []
            for event in batch {
                switch event {
                case .retrieved(let passages):
                    state.passages = try passages.map(Passage.init)
                    events.append(.retrieved(state.passages))
                case .text(let delta):
                    state.text += delta
                    events.append(.text(delta))
                case .citation(let citation):
                    events.append(.citation(try Citation(citation, in: state.text, of: state.passages)))
                case .finished(let answer):
                    events.append(.finished(try Answer(answer)))
                }
            }
            state.waiting = events.reversed()
            let first = state.waiting.popLast()
            switch first {
            case nil, .finished: state.isOver = true
            default: break
            }
            return first
        }
    }
}
