public import LoreKit

/// One question and what came of it.
public struct Turn: Hashable, Sendable, Identifiable {
    /// How far a turn has come.
    public enum Status: Hashable, Sendable {
        /// Passages or text are still coming.
        case streaming
        /// Answered, with citations that can be opened.
        case answered
        /// The text ended at the token limit.
        case truncated
        /// Not answered; the nearest passages are shown instead.
        case declined(Outcome.DeclineReason)
        /// The person stopped it.
        case stopped
        /// It failed; the text is for people.
        case failed(code: String, text: String)
    }

    /// Its place in the conversation.
    public let id: Int
    /// What was asked.
    public let question: String
    /// The answer so far.
    public internal(set) var text = ""
    /// Its citations so far.
    public internal(set) var citations: [Citation] = []
    /// The passages they point into.
    public internal(set) var passages: [Passage] = []
    /// How far it has come.
    public internal(set) var status = Status.streaming

    init(id: Int, question: String) {
        self.id = id
        self.question = question
    }

    /// The text cut at its citations, so that a screen can make the cited parts tappable.
    public var segments: [Segment] {
        var segments: [Segment] = []
        var from = text.startIndex
        func append(_ range: Range<String.Index>, _ citation: Int?) {
            if !range.isEmpty { segments.append(Segment(id: segments.count, text: String(text[range]), citation: citation)) }
        }
        for (index, citation) in citations.enumerated().sorted(by: { $0.element.range.lowerBound < $1.element.range.lowerBound }) {
            // Citations of different passages may overlap; the earlier one keeps the tap.
            let start = max(from, citation.range.lowerBound)
            guard start < citation.range.upperBound else { continue }
            append(from..<start, nil)
            append(start..<citation.range.upperBound, index)
            from = citation.range.upperBound
        }
        append(from..<text.endIndex, nil)
        return segments
    }

    /// The passage behind one of ``citations``, cut at the quoted span; `nil` for a citation that there is not.
    public func opened(citation index: Int) -> OpenedPassage? {
        guard citations.indices.contains(index) else { return nil }
        let citation = citations[index]
        let passage = passages[citation.passage]
        return OpenedPassage(
            passage: passage,
            before: String(passage.text[..<citation.quoted.lowerBound]),
            marked: String(passage.text[citation.quoted]),
            after: String(passage.text[citation.quoted.upperBound...])
        )
    }

    mutating func apply(_ event: AnswerEvent) {
        switch event {
        case .retrieved(let passages): self.passages = passages
        case .text(let delta): text += delta
        case .citation(let citation): citations.append(citation)
        case .finished(let answer):
            text = answer.text
            citations = answer.citations
            passages = answer.passages
            status = switch answer.outcome {
            case .answered: .answered
            case .truncated: .truncated
            case .declined(let reason): .declined(reason)
            }
        }
    }
}

/// A part of an answer's text.
public struct Segment: Hashable, Sendable, Identifiable {
    /// Its place in the text.
    public let id: Int
    /// The part.
    public let text: String
    /// Index into ``Turn/citations`` of what proves it; `nil` for words of the model's own.
    public let citation: Int?
}

/// A passage that was opened from a citation.
public struct OpenedPassage: Hashable, Sendable, Identifiable {
    /// The passage.
    public let passage: Passage
    /// Its text before the marked span.
    public let before: String
    /// The span that the answer quotes.
    public let marked: String
    /// Its text after the marked span.
    public let after: String

    /// Whether the publisher or the person's own device brought it.
    public var origin: Passage.Origin { passage.origin }

    /// The passage's name and the span: another span of the same passage is another sheet.
    public var id: String { "\(passage.id):\(before.utf8.count)-\(marked.utf8.count)" }

    /// How the passage is named on the screen: document, then article or heading.
    public var title: String {
        let place = passage.article ?? passage.titlePath.last
        guard let place, place != passage.document.title else { return passage.document.title }
        return passage.document.title + " " + place
    }
}
