import LoreKit

/// Turns the events of an answer into what a session takes.
struct SessionReply: Sendable {
    /// One thing to send.
    enum Step: Hashable, Sendable {
        /// The next piece of text.
        case text(String)
        /// What the answer stands on so far; it replaces what was said before.
        case grounding(Grounding)
        /// What the answer took, at its end.
        case usage(prompt: Int, cached: Int, completion: Int)
    }

    private var grounding: Grounding
    /// What the places of citations are counted in.
    private var text = ""

    init(ignored: [Grounding.Ignored]) {
        grounding = Grounding(ignored: ignored)
    }

    /// What to send for an event, in this order.
    mutating func steps(for event: AnswerEvent) -> [Step] {
        switch event {
        case .retrieved(let passages):
            grounding.sources = passages.map(Grounding.Source.init)
            return [.grounding(grounding)]
        case .text(let delta):
            text += delta
            return delta.isEmpty ? [] : [.text(delta)]
        case .citation(let citation):
            grounding.quotes.append(Grounding.Quote(citation, in: text))
            return [.grounding(grounding)]
        case .finished(let answer):
            // The end says it all once more, and holds even if an event was missed.
            grounding.sources = answer.passages.map(Grounding.Source.init)
            grounding.quotes = answer.citations.map { Grounding.Quote($0, in: answer.text) }
            grounding.outcome = Grounding.Outcome(answer.outcome)
            let usage = answer.usage
            let took = Step.usage(prompt: usage.promptTokens, cached: usage.reusedTokens, completion: usage.completionTokens)
            return [.grounding(grounding), took]
        }
    }
}

/// Answers a session's request: `send` gets the steps one after another, and a slow one slows the model.
///
/// Cancelling the task stops the model within one decode step or one piece of the prompt.
///
/// - Throws: ``UnsupportedRequest``, `LoreKitError`, `CancellationError`, and what `send` throws.
func answer(
    _ request: SessionRequest,
    with engine: Engine,
    options: AnswerOptions,
    send: (SessionReply.Step) async throws -> Void
) async throws {
    let question = try SessionQuestion(request, options: options)
    var reply = SessionReply(ignored: question.ignored)
    try Task.checkCancellation()
    for try await event in engine.answer(to: question.text, options: question.options) {
        for step in reply.steps(for: event) {
            // A cancelled session takes nothing more; waiting for it would hold the engine.
            try Task.checkCancellation()
            try await send(step)
        }
    }
}

extension Grounding.Source {
    init(_ passage: Passage) {
        self.init(
            id: passage.id,
            documentID: passage.document.id,
            documentTitle: passage.document.title,
            path: passage.document.path,
            version: passage.document.version,
            place: passage.place,
            article: passage.article,
            page: passage.page
        )
    }
}

extension Grounding.Quote {
    init(_ citation: Citation, in text: String) {
        let range = citation.range
        self.init(
            text: String(text[range]),
            start: range.lowerBound.utf16Offset(in: text),
            end: range.upperBound.utf16Offset(in: text),
            source: citation.passage,
            sourceStart: citation.source.lowerBound,
            sourceEnd: citation.source.upperBound
        )
    }
}

extension Grounding.Outcome {
    init(_ outcome: Outcome) {
        self = switch outcome {
        case .answered: .answered
        case .declined(.nothingFound): .nothingFound
        case .declined(.notInPassages): .notInPassages
        case .truncated: .truncated
        }
    }
}
