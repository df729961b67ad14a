/// A passage that was found for a question, with its document and its place.
public struct Passage: Hashable, Sendable, Identifiable {
    /// Who brought a passage.
    public enum Origin: Hashable, Sendable, CaseIterable {
        /// The publisher of the pack.
        case publisher
        /// The app, as a document of its own on this device.
        case local
    }

    /// The document a passage is from.
    public struct Document: Hashable, Sendable, Identifiable {
        /// Its stable name.
        public let id: String
        /// Its title.
        public let title: String
        /// Its path in the publisher's folder, or the name that the app gave.
        public let path: String
        /// Its edition.
        public let version: String?
        /// Its language, BCP 47.
        public let language: String
    }

    /// Its name across builds, in hexadecimal.
    public let id: String
    /// Whether the publisher or this device brought it.
    public let origin: Origin
    /// Its text.
    public let text: String
    /// The document it is from.
    public let document: Document
    /// Headings above it, outermost first.
    public let titlePath: [String]
    /// Label of its article, for example `第五条`.
    public let article: String?
    /// Document id, `#`, and article number or heading.
    public let place: String
    /// Bytes of the source file.
    public let source: Range<Int>
    /// Page in the source, if it has pages.
    public let page: Int?
    /// First day it holds, `YYYY-MM-DD`.
    public let validFrom: String?
    /// Last day it holds, `YYYY-MM-DD`.
    public let validTo: String?
    /// Fused score from 0 to 1, larger is better; comparable within one search only.
    public let score: Float
    /// Cosine similarity of question and passage, if the search used vectors.
    public let dense: Float?
    /// BM25 score, if the passage shares a term with the question.
    public let lexical: Float?
}
