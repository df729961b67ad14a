import Foundation

/// What an answer stands on: its sources and its citations, as a session's transcript keeps them.
///
/// The framework's response has text only. What LoreKit knows beside it goes into the metadata of the response's
/// transcript entry, under ``metadataKey``, as JSON of this type; `Grounding(response)` reads it back.
public struct Grounding: Codable, Hashable, Sendable {
    /// The key in the metadata of a response.
    public static let metadataKey = "lorekit"

    /// How an answer ended.
    public enum Outcome: String, Codable, Hashable, Sendable, CaseIterable {
        /// Answered.
        case answered
        /// Declined without asking the model: no passage came above the floor.
        case nothingFound = "nothing_found"
        /// Declined by the model, which read the passages.
        case notInPassages = "not_in_passages"
        /// The text ended at the token limit.
        case truncated
    }

    /// A part of the request that the answer does not follow.
    public enum Ignored: String, Codable, Hashable, Sendable, CaseIterable {
        /// The session's instructions: the engine has its own, which make the answer provable.
        case instructions
        /// Tools, attachments and structured content of earlier turns. Their text is read.
        case earlierContent = "earlier_content"
        /// Top-k or top-p sampling and its seed: the engine has a temperature.
        case sampling
    }

    /// A passage that was found, without its text.
    public struct Source: Codable, Hashable, Sendable, Identifiable {
        /// The passage's name across builds, in hexadecimal.
        public let id: String
        /// The document's stable name.
        public let documentID: String
        /// The document's title.
        public let documentTitle: String
        /// The document's path in the publisher's folder.
        public let path: String
        /// The document's edition.
        public let version: String?
        /// Document id, `#`, and article number or heading.
        public let place: String
        /// Label of the article, for example `第五条`.
        public let article: String?
        /// Page in the source, if it has pages.
        public let page: Int?
    }

    /// A part of the response's text that stands, character for character, in a source.
    public struct Quote: Codable, Hashable, Sendable {
        /// These characters.
        public let text: String
        /// Where they begin in the response's text, in UTF-16 code units.
        public let start: Int
        /// Where they end in the response's text, in UTF-16 code units.
        public let end: Int
        /// Index into ``Grounding/sources``.
        public let source: Int
        /// First byte in the source file.
        public let sourceStart: Int
        /// Byte after the last one in the source file.
        public let sourceEnd: Int

        /// The range of the quote in the response's text; `nil` if the text does not hold it there.
        public func range(in response: String) -> Range<String.Index>? {
            let units = response.utf16
            guard
                0 <= start, start <= end,
                let lower = units.index(units.startIndex, offsetBy: start, limitedBy: units.endIndex),
                let upper = units.index(lower, offsetBy: end - start, limitedBy: units.endIndex),
                response[lower..<upper] == text
            else { return nil }
            return lower..<upper
        }
    }

    /// How the answer ended; `nil` while it is being given.
    public var outcome: Outcome?
    /// The passages that were found, best first; for a declined question the nearest ones.
    public var sources: [Source] = []
    /// Verified citations, in the order of their place in the text.
    public var quotes: [Quote] = []
    /// What of the request the answer does not follow.
    public var ignored: [Ignored] = []

    init(ignored: [Ignored] = []) {
        self.ignored = ignored
    }

    /// Reads what a transcript kept.
    ///
    /// - Throws: `DecodingError` when this is not the JSON of a grounding.
    public init(json: String) throws {
        self = try JSONDecoder().decode(Grounding.self, from: Data(json.utf8))
    }

    /// What a transcript keeps.
    var json: String {
        get throws {
            let encoder = JSONEncoder()
            encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
            return String(decoding: try encoder.encode(self), as: UTF8.self)
        }
    }
}
