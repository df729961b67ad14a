/// How to search.
public struct SearchOptions: Hashable, Sendable {
    /// Which lists take part in a search.
    public enum Mode: Hashable, Sendable, CaseIterable {
        /// By meaning and by words, fused.
        case hybrid
        /// By meaning only: cosine similarity of embeddings.
        case dense
        /// By words only: BM25. Needs no embedding of the question.
        case lexical
    }

    /// How many places to return.
    public var limit: Int
    /// Which lists take part.
    public var mode: Mode
    /// The day for which the rules are asked, `YYYY-MM-DD`; `nil` takes today.
    public var asOf: String?
    /// The caller's access labels; what they do not allow does not exist for this search.
    public var labels: [String]

    /// The three best places that are in force today, unless it is said otherwise.
    public init(limit: Int = 3, mode: Mode = .hybrid, asOf: String? = nil, labels: [String] = []) {
        self.limit = limit
        self.mode = mode
        self.asOf = asOf
        self.labels = labels
    }
}
