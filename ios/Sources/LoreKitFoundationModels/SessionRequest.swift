import LoreKit

/// What a session of the Foundation Models framework asks for, without a type of that framework.
///
/// The adapter fills it in; what follows from it is decided and tested where the framework is not.
struct SessionRequest: Hashable, Sendable {
    /// The transcript, oldest first. The question is its last prompt.
    var turns: [Turn] = []
    /// The session lets the model call tools.
    var hasTools = false
    /// The session asks for an answer that follows a schema.
    var hasSchema = false
    /// Randomness, if the session sets it.
    var temperature: Double?
    /// How tokens are chosen, if the session sets it.
    var sampling: Sampling?
    /// Tokens of the answer at most, if the session sets it.
    var maximumTokens: Int?

    /// One entry of a transcript. Reasoning of a model is none: nothing is read from it.
    enum Turn: Hashable, Sendable {
        case instructions([Piece])
        case prompt([Piece])
        case response([Piece])
        /// A call of a tool, or what a tool returned.
        case tool
    }

    /// One segment of an entry.
    enum Piece: Hashable, Sendable {
        case text(String)
        case structure
        case attachment
        case unknown
    }

    /// How tokens are chosen.
    enum Sampling: Hashable, Sendable {
        case greedy
        /// Top-k, top-p, or what a later system adds.
        case other
    }
}

/// The question that a session's request comes down to, and what of the request was left out.
struct SessionQuestion: Hashable, Sendable {
    let text: String
    let options: AnswerOptions
    let ignored: [Grounding.Ignored]

    /// Reads a request.
    ///
    /// - Throws: ``UnsupportedRequest`` for what cannot be left out without answering another question, and
    ///   `LoreKitError.emptyQuestion` when no prompt has a character of text.
    init(_ request: SessionRequest, options base: AnswerOptions) throws {
        if request.hasTools { throw UnsupportedRequest.tools }
        if request.hasSchema { throw UnsupportedRequest.schema }
        var (question, history): (String?, [Exchange]) = (nil, base.history)
        var ignored: Set<Grounding.Ignored> = []
        let last = request.turns.lastIndex { if case .prompt = $0 { true } else { false } }
        // An earlier prompt that waits for its response.
        var asked: String?
        for (index, turn) in request.turns.enumerated() {
            switch turn {
            case .instructions(let pieces):
                if !pieces.isBlank { ignored.insert(.instructions) }
            case .prompt(let pieces) where index == last:
                question = try pieces.onlyText()
            case .prompt(let pieces):
                if pieces.hasOther { ignored.insert(.earlierContent) }
                asked = pieces.text
            case .response(let pieces):
                if pieces.hasOther { ignored.insert(.earlierContent) }
                if let asked, !asked.isBlank, !pieces.text.isBlank {
                    history.append(Exchange(question: asked, answer: pieces.text))
                }
                asked = nil
            case .tool:
                // What a tool said after the question is meant for its answer; before it, it is past.
                if let last, index > last { throw UnsupportedRequest.tools }
                ignored.insert(.earlierContent)
            }
        }
        guard let question, !question.isBlank else { throw LoreKitError.emptyQuestion }

        var options = base
        options.history = history
        if let temperature = request.temperature { options.temperature = Float(temperature) }
        switch request.sampling {
        case .greedy: options.temperature = 0
        case .other: ignored.insert(.sampling)
        case nil: break
        }
        if let tokens = request.maximumTokens, tokens > 0 { options.maxTokens = tokens }
        text = question
        self.options = options
        self.ignored = Grounding.Ignored.allCases.filter(ignored.contains)
    }
}

extension [SessionRequest.Piece] {
    /// The text of all pieces, in their order.
    fileprivate var text: String {
        compactMap { if case .text(let text) = $0 { text } else { nil } }.joined(separator: "\n")
    }

    fileprivate var hasOther: Bool {
        contains { if case .text = $0 { false } else { true } }
    }

    fileprivate var isBlank: Bool { text.isBlank && !hasOther }

    /// The text, where a piece that is none would change what is asked.
    fileprivate func onlyText() throws -> String {
        for piece in self {
            switch piece {
            case .text: break
            case .structure: throw UnsupportedRequest.structure
            case .attachment: throw UnsupportedRequest.attachment
            case .unknown: throw UnsupportedRequest.unknown
            }
        }
        return text
    }
}

extension String {
    fileprivate var isBlank: Bool { allSatisfy(\.isWhitespace) }
}
