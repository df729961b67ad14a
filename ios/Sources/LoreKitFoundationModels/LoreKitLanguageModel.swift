// Xcode 26 has the framework without the protocols for other models; Xcode 27, whose Swift is 6.4, has both. On Linux the
// tests compile this file against declarations of their own, see Tests/DeclaredFoundationModels.
#if canImport(FoundationModels) && (compiler(>=6.4) || LOREKIT_DECLARED_FOUNDATION_MODELS)
import Foundation
public import FoundationModels
public import LoreKit

/// LoreKit as a model of the Foundation Models framework: a session's prompts are answered from a knowledge pack.
///
/// ```swift
/// let session = LanguageModelSession(model: LoreKitLanguageModel(engine: engine))
/// let response = try await session.respond(to: question)
/// ```
///
/// The last prompt is the question; earlier prompts and their responses are the conversation before it. A declined
/// question is a response whose text says so, not an error. What an answer stands on is read by ``Grounding``.
///
/// It declares no capability, so a session refuses tools, guided generation, images and reasoning. The session's
/// instructions are not followed, which ``Grounding/ignored`` says: the engine's own make an answer provable.
///
/// Shape of the protocols: <https://developer.apple.com/documentation/foundationmodels/languagemodel> and
/// <https://developer.apple.com/documentation/foundationmodels/languagemodelexecutor>.
@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
public struct LoreKitLanguageModel: LanguageModel {
    /// What answers.
    public let engine: Engine
    /// How to answer where the session's options say nothing.
    public var options: AnswerOptions

    /// A model over an open engine. The engine stays the app's: closing it ends the session's answers.
    public init(engine: Engine, options: AnswerOptions = AnswerOptions()) {
        self.engine = engine
        self.options = options
    }

    /// None: text comes in and text goes out.
    public var capabilities: LanguageModelCapabilities { LanguageModelCapabilities([]) }

    /// One executor serves every engine, since a request brings its model along.
    public var executorConfiguration: Executor.Configuration { Executor.Configuration() }

    /// Hands a session's requests to the engine.
    public struct Executor: LanguageModelExecutor {
        public typealias Model = LoreKitLanguageModel

        /// Nothing: the framework keeps executors by their configuration, and must not keep an engine alive.
        public struct Configuration: Hashable, Sendable {
            init() {}
        }

        /// An executor; it holds nothing.
        public init(configuration: Configuration) {}

        /// Answers the last prompt of the request's transcript, and streams the answer.
        ///
        /// - Throws: ``UnsupportedRequest``, `LoreKitError`, or `CancellationError` when the task was cancelled.
        public func respond(
            to request: LanguageModelExecutorGenerationRequest,
            model: LoreKitLanguageModel,
            streamingInto channel: LanguageModelExecutorGenerationChannel
        ) async throws {
            // One entry for all of it, so that metadata and usage belong to the text.
            let entry = UUID().uuidString
            try await answer(SessionRequest(request), with: model.engine, options: model.options) { step in
                await channel.send(.response(entryID: entry, action: try step.action))
            }
        }
    }
}

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
extension Grounding {
    /// What a response of LoreKit stands on; `nil` for the response of another model.
    ///
    /// - Throws: `DecodingError` when a later version wrote it in a way that this one does not read.
    public init?(_ response: Transcript.Response) throws {
        guard let content = response.metadata[Grounding.metadataKey] else { return nil }
        try self.init(json: content.jsonString)
    }
}

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
extension SessionReply.Step {
    fileprivate var action: LanguageModelExecutorGenerationChannel.Response.Action {
        get throws {
            switch self {
            case .text(let text):
                // A piece of text is no known number of tokens; the totals come with the usage, and replace this.
                .appendText(text, tokenCount: 0)
            case .grounding(let grounding):
                .updateMetadata([Grounding.metadataKey: try GeneratedContent(json: grounding.json)])
            case .usage(let prompt, let cached, let completion):
                .updateUsage(
                    input: .init(totalTokenCount: prompt, cachedTokenCount: cached),
                    output: .init(totalTokenCount: completion, reasoningTokenCount: 0)
                )
            }
        }
    }
}

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
extension SessionRequest {
    fileprivate init(_ request: LanguageModelExecutorGenerationRequest) {
        let options = request.generationOptions
        self.init(
            turns: request.transcript.compactMap(Turn.init),
            hasTools: !request.enabledToolDefinitions.isEmpty,
            hasSchema: request.schema != nil,
            temperature: options.temperature,
            sampling: options.samplingMode.map { $0 == .greedy ? .greedy : .other },
            maximumTokens: options.maximumResponseTokens
        )
    }
}

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
extension SessionRequest.Turn {
    fileprivate init?(_ entry: Transcript.Entry) {
        switch entry {
        case .instructions(let instructions): self = .instructions(instructions.segments.map(SessionRequest.Piece.init))
        case .prompt(let prompt): self = .prompt(prompt.segments.map(SessionRequest.Piece.init))
        case .response(let response): self = .response(response.segments.map(SessionRequest.Piece.init))
        case .toolCalls, .toolOutput: self = .tool
        // Reasoning, and entries that a later system adds.
        default: return nil
        }
    }
}

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
extension SessionRequest.Piece {
    fileprivate init(_ segment: Transcript.Segment) {
        switch segment {
        case .text(let text): self = .text(text.content)
        case .structure: self = .structure
        case .attachment: self = .attachment
        @unknown default: self = .unknown
        }
    }
}
#endif
