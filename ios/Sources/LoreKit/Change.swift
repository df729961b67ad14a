import LoreKitBindings

/// A change of the library under way: a sequence of its progress, with a report at the end.
///
/// ```swift
/// let update = engine.apply(delta)
/// for try await progress in update { bar.progress = Double(progress.done) / Double(progress.total) }
/// let version = try await update.report().version
/// ```
///
/// Where nobody watches, ``report()`` alone waits for the end. A slow reader gets the latest progress only.
///
/// Cancelling the task that reads or waits, leaving the loop early, or dropping the change asks it to stop, and throws
/// `CancellationError` at once. The library is then as it was, unless the last step was made already;
/// ``Engine/libraryState()`` tells. What went wrong comes out of the loop and out of ``report()``.
public struct Change<Report: Sendable>: AsyncSequence, Sendable {
    public typealias Element = ChangeProgress

    private let running: RunningChange<Report>

    init(_ running: RunningChange<Report>) {
        self.running = running
    }

    /// Starts reading.
    public func makeAsyncIterator() -> Iterator {
        Iterator(reading: Reading(running), progress: running.progress.makeAsyncIterator())
    }

    /// Asks the change to stop, and wakes who waits with `CancellationError`. After the end it changes nothing.
    public func cancel() {
        running.cancel()
    }

    /// Waits for the end and says what the change did. It may be asked any number of times, also while a loop reads.
    public func report() async throws -> Report {
        try await running.report()
    }

    /// Reads one progress after another.
    public struct Iterator: AsyncIteratorProtocol {
        fileprivate let reading: Reading<Report>
        fileprivate var progress: AsyncStream<ChangeProgress>.Iterator

        /// The next progress; `nil` when the change is made.
        public mutating func next() async throws -> ChangeProgress? {
            if let progress = await progress.next() { return progress }
            _ = try await reading.running.report()
            return nil
        }
    }
}

/// How far a change is.
public struct ChangeProgress: Hashable, Sendable {
    /// A step of a change.
    public enum Stage: Hashable, Sendable, CaseIterable {
        /// A pack is copied into the library's folder; counted in bytes.
        case copy
        /// A document's passages are embedded; counted in passages.
        case embed
        /// Passages are written; counted in passages.
        case text
        /// Vectors are put into an index; counted in passages.
        case index
        /// The index is measured; counted in queries.
        case recall
        /// The file is put together; one step.
        case pack
    }

    /// The step.
    public let stage: Stage
    /// Done so far.
    public let done: Int64
    /// Of how many.
    public let total: Int64
}

/// One pass over a change. Leaving a loop drops its iterator, and with it the change.
private final class Reading<Report: Sendable>: Sendable {
    let running: RunningChange<Report>

    init(_ running: RunningChange<Report>) {
        self.running = running
    }

    deinit {
        running.cancel()
    }
}

/// The native change, who waits for it, and how it ended.
final class RunningChange<Report: Sendable>: Sendable {
    private struct State {
        var end: Result<Report, any Error>?
        var waiting: [CheckedContinuation<Report, any Error>] = []
    }

    let progress: AsyncStream<ChangeProgress>
    private let told: AsyncStream<ChangeProgress>.Continuation
    private let state = Locked(State())
    private let ffi: FfiChange?

    /// Reads a native change to its end; `report` takes out of its last event what this kind of change ends with.
    init(
        _ started: Result<FfiChange, any Error>,
        engineEnded: Locked<Bool>,
        report: @escaping @Sendable (FfiChangeEvent) -> Report?
    ) {
        (progress, told) = AsyncStream.makeStream(bufferingPolicy: .bufferingNewest(1))
        ffi = try? started.get()
        // The task holds the native side alone, so that dropping the change ends it.
        Task { [weak self] in
            do {
                let ffi = try started.get()
                while true {
                    let event = try await ffi.nextEvent()
                    guard let self else { return }
                    if case .progress(let progress) = event {
                        self.told.yield(ChangeProgress(progress))
                    } else if let report = report(event) {
                        self.end(.success(report))
                        return
                    } else {
                        throw LoreKitError.internal(reason: "a change ended as another one")
                    }
                }
            } catch {
                self?.end(.failure(publicError(error, closed: engineEnded.value)))
            }
        }
    }

    deinit {
        cancel()
    }

    func cancel() {
        // The native change may wait for an answer that nobody reads; who waits here is woken at once.
        if end(.failure(CancellationError())) { ffi?.cancel() }
    }

    func report() async throws -> Report {
        try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                let ended = state.withLock { state in
                    if state.end == nil { state.waiting.append(continuation) }
                    return state.end
                }
                if let ended { continuation.resume(with: ended) }
            }
        } onCancel: {
            cancel()
        }
    }

    /// The first end holds; says whether this was it.
    @discardableResult
    private func end(_ result: Result<Report, any Error>) -> Bool {
        let waiting: [CheckedContinuation<Report, any Error>]? = state.withLock { state in
            guard state.end == nil else { return nil }
            state.end = result
            defer { state.waiting = [] }
            return state.waiting
        }
        guard let waiting else { return false }
        told.finish()
        for continuation in waiting { continuation.resume(with: result) }
        return true
    }
}
