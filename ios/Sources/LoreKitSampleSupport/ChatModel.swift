import Foundation
public import LoreKit
public import Observation

/// Whoever answers: an ``LoreKit/Engine``, or a fake in a test.
public protocol Answering: Sendable {
    associatedtype Events: AsyncSequence & Sendable where Events.Element == AnswerEvent

    /// As `Engine.answer(to:options:)`.
    func answer(to question: String, options: AnswerOptions) -> Events
}

extension Engine: Answering {}

/// The logic of a chat screen, without a screen: one question at a time, streamed, stoppable, with citations to open.
@available(iOS 17, macOS 14, *)
@MainActor
@Observable
public final class ChatModel<Source: Answering> {
    /// Questions and answers, oldest first.
    public private(set) var turns: [Turn] = []
    /// The adapter that the next question names; `nil` for the model's own voice.
    public var adapter: String?
    /// The passage that lies open, if one does.
    public var opened: OpenedPassage?

    private let source: Source
    private let options: AnswerOptions
    @ObservationIgnored private var running: Task<Void, Never>?

    /// A conversation with whoever answers; the adapter of `options` is replaced by ``adapter``.
    public init(_ source: Source, options: AnswerOptions = AnswerOptions()) {
        self.source = source
        self.options = options
        adapter = options.adapter
    }

    deinit {
        running?.cancel()
    }

    /// Whether an answer is coming, so that the screen offers to stop it.
    public var isBusy: Bool { turns.last?.status == .streaming }

    /// Asks; does nothing while an answer is coming or when there is nothing to ask.
    public func ask(_ question: String) {
        let question = question.trimmed
        guard !question.isEmpty, !isBusy else { return }
        let id = turns.count
        turns.append(Turn(id: id, question: question))
        opened = nil
        var options = options
        options.adapter = adapter
        let events = source.answer(to: question, options: options)
        // The task holds the model only while it writes, so that leaving the screen stops the answer.
        running = Task { [weak self] in
            do {
                for try await event in events {
                    guard let self else { return }
                    self.turns[id].apply(event)
                }
                // A sequence that ends without its last event was stopped.
                if self?.turns[id].status == .streaming { self?.turns[id].status = .stopped }
            } catch is CancellationError {
                self?.turns[id].status = .stopped
            } catch {
                let code = (error as? LoreKitError)?.code ?? "internal"
                self?.turns[id].status = .failed(code: code, text: error.localizedDescription)
            }
        }
    }

    /// Stops the answer that is coming; what has come stays on the screen.
    public func stop() {
        running?.cancel()
    }

    /// Waits until the answer that is coming has ended.
    public func settled() async {
        await running?.value
    }

    /// Opens the passage behind a citation, with the quoted span marked.
    public func open(citation: Int, of turn: Turn) {
        opened = turn.opened(citation: citation)
    }
}

extension String {
    fileprivate var trimmed: String {
        guard let first = firstIndex(where: { !$0.isWhitespace }), let last = lastIndex(where: { !$0.isWhitespace }) else { return "" }
        return String(self[first...last])
    }
}
