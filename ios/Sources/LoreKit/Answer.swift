/// One step of an answer. They come in this order; ``text(_:)`` and ``citation(_:)`` any number of times.
public enum AnswerEvent: Hashable, Sendable {
    /// What was found, best first, before the model has said a word.
    case retrieved([Passage])
    /// The next piece of text, whole Unicode characters; all pieces together are ``Answer/text``.
    case text(String)
    /// A part of the text so far that stands, word for word, in a passage.
    case citation(Citation)
    /// The end; nothing follows.
    case finished(Answer)
}

/// A complete answer.
public struct Answer: Hashable, Sendable {
    /// The whole text, as it was streamed.
    public let text: String
    /// Verified citations, in the order of their place in ``text``.
    public let citations: [Citation]
    /// The passages that were in the prompt, best first; for a declined question the nearest ones.
    public let passages: [Passage]
    /// How it ended.
    public let outcome: Outcome
    /// What it took.
    public let usage: Usage
}

/// A span of the answer and the span of a passage that holds exactly these characters.
///
/// Code found it by comparing bytes; the model's word is never taken for it.
public struct Citation: Hashable, Sendable {
    /// The span of ``Answer/text``, and of the text streamed so far.
    public let range: Range<String.Index>
    /// Index into ``Answer/passages``.
    public let passage: Int
    /// Whether the publisher or this device brought that passage.
    public let origin: Passage.Origin
    /// The span of that passage's ``Passage/text``.
    public let quoted: Range<String.Index>
    /// Bytes of the source file.
    public let source: Range<Int>
}

/// How an answer ended. Declining is a result, not an error.
public enum Outcome: Hashable, Sendable {
    /// Why a question was declined.
    public enum DeclineReason: Hashable, Sendable, CaseIterable {
        /// No passage came above the floor; the model was not asked.
        case nothingFound
        /// The model read the passages and said that they do not answer the question.
        case notInPassages
    }

    /// Answered. In ``AnswerOptions/Format/basis`` at least one citation proves it.
    case answered
    /// Not answered; the nearest passages are in ``Answer/passages``.
    case declined(DeclineReason)
    /// The text ended at the token limit, not at its own end.
    case truncated
}

/// What an answer took.
public struct Usage: Hashable, Sendable {
    /// Tokens of the whole prompt.
    public let promptTokens: Int
    /// Prompt tokens that were still in the cache from the request before.
    public let reusedTokens: Int
    /// Tokens of the answer.
    public let completionTokens: Int
    /// From the request to the passages.
    public let timeToPassages: Duration
    /// From the request to the first piece of text; zero when there was none.
    public let timeToFirstText: Duration
    /// From the request to the end.
    public let totalTime: Duration
    /// Prompt tokens per second, without the reused ones; zero when nothing was computed.
    public let prefillTokensPerSecond: Double
    /// Answer tokens per second.
    public let decodeTokensPerSecond: Double
}
