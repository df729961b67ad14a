// Declarations for tests, not Apple's framework: see README.md beside this file.
import Foundation

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
public protocol LanguageModel: Sendable {
    associatedtype Executor: LanguageModelExecutor where Self == Self.Executor.Model
    var capabilities: LanguageModelCapabilities { get }
    var executorConfiguration: Self.Executor.Configuration { get }
}

@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
public protocol LanguageModelExecutor: Sendable {
    associatedtype Configuration: Hashable, Sendable
    associatedtype Model: LanguageModel
    init(configuration: Self.Configuration) throws
    func prewarm(model: Self.Model, transcript: Transcript)
    func respond(
        to request: LanguageModelExecutorGenerationRequest,
        model: Self.Model,
        streamingInto channel: LanguageModelExecutorGenerationChannel
    ) async throws
}

extension LanguageModelExecutor {
    public func prewarm(model: Self.Model, transcript: Transcript) {}
}

public struct LanguageModelCapabilities: Sendable {
    public struct Capability: Hashable, Sendable {
        let name: String
        public static var toolCalling: Capability { Capability(name: "toolCalling") }
        public static var guidedGeneration: Capability { Capability(name: "guidedGeneration") }
        public static var reasoning: Capability { Capability(name: "reasoning") }
        public static var vision: Capability { Capability(name: "vision") }
    }

    private let capabilities: [Capability]

    public init(_ capabilities: [Capability]) { self.capabilities = capabilities }

    public func contains(_ capability: Capability) -> Bool { capabilities.contains(capability) }
}

public struct LanguageModelExecutorGenerationRequest: Sendable {
    public var id: UUID
    public var transcript: Transcript
    public var enabledToolDefinitions: [Transcript.ToolDefinition]
    public var schema: GenerationSchema?
    public var generationOptions: GenerationOptions
}

public struct GenerationOptions: Equatable, Sendable {
    public struct SamplingMode: Equatable, Sendable {
        let name: String
        public static var greedy: SamplingMode { SamplingMode(name: "greedy") }
        public static func random(top k: Int, seed: UInt64? = nil) -> SamplingMode { SamplingMode(name: "top \(k)") }
    }

    public var samplingMode: SamplingMode?
    public var temperature: Double?
    public var maximumResponseTokens: Int?

    public init(samplingMode: SamplingMode? = nil, temperature: Double? = nil, maximumResponseTokens: Int? = nil) {
        (self.samplingMode, self.temperature, self.maximumResponseTokens) = (samplingMode, temperature, maximumResponseTokens)
    }
}

public struct GenerationSchema: Sendable {}

public protocol ConvertibleToGeneratedContent {
    var generatedContent: GeneratedContent { get }
}

public struct GeneratedContent: Equatable, Sendable, ConvertibleToGeneratedContent {
    public let jsonString: String

    /// Written anew, as another writer of JSON would: nothing may hang on the letters.
    public init(json: String) throws {
        let value = try JSONSerialization.jsonObject(with: Data(json.utf8), options: .fragmentsAllowed)
        let written = try JSONSerialization.data(withJSONObject: value, options: [.fragmentsAllowed, .prettyPrinted])
        jsonString = String(decoding: written, as: UTF8.self)
    }

    public var generatedContent: GeneratedContent { self }
}
