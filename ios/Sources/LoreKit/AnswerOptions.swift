/// How to answer. A value with defaults: change what differs.
public struct AnswerOptions: Hashable, Sendable {
    /// The shape of an answer.
    public enum Format: Hashable, Sendable, CaseIterable {
        /// First the basis, a label and a word-for-word quote of one passage, then a short explanation.
        case basis
        /// Free text, cited where it repeats a passage word for word.
        case free
    }

    /// How to search; the default takes the three best places that are in force today.
    public var search = SearchOptions()
    /// The shape of the answer.
    public var format = Format.basis
    /// Tokens of the answer at most.
    public var maxTokens = 320
    /// Randomness of the free parts; 0 always takes the likeliest token.
    public var temperature: Float = 0
    /// Seed for a temperature above 0; same pack, model, seed and options: same answer.
    public var seed: UInt64 = 0
    /// Name of the adapter that decides how it is said; one of ``EngineConfiguration/adapters``.
    public var adapter: String?
    /// Cosine similarity below which the question is declined; `nil` takes the pack's own floor.
    public var floor: Float?
    /// Earlier turns of the conversation, oldest first.
    public var history: [Exchange] = []

    /// The defaults.
    public init() {}

    /// The defaults, said with an adapter and after earlier turns.
    public init(adapter: String?, history: [Exchange] = []) {
        self.adapter = adapter
        self.history = history
    }
}

/// One earlier question and its answer.
public struct Exchange: Hashable, Sendable {
    /// What was asked.
    public var question: String
    /// What was answered.
    public var answer: String

    /// A turn of a conversation.
    public init(question: String, answer: String) {
        self.question = question
        self.answer = answer
    }
}
