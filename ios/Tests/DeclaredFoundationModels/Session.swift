// Declarations for tests, not Apple's framework: see README.md beside this file.

/// Keeps a transcript and asks a model. Of the framework's session it does what the tests look at, and no more.
@available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
public final class LanguageModelSession: @unchecked Sendable {
    public struct Response<Content: Sendable>: Sendable {
        public let content: Content
        public let transcriptEntries: ArraySlice<Transcript.Entry>
        public let usage: Usage
    }

    public typealias Usage = LanguageModelExecutorGenerationChannel.Usage

    /// Used by one task at a time.
    public private(set) var transcript: Transcript

    private let responding: @Sendable (Transcript, GenerationOptions, LanguageModelExecutorGenerationChannel) async throws -> Void

    public init<Model: LanguageModel>(model: Model, transcript: Transcript = Transcript()) {
        self.transcript = transcript
        responding = { transcript, options, channel in
            let executor = try Model.Executor(configuration: model.executorConfiguration)
            let request = LanguageModelExecutorGenerationRequest(
                id: .init(),
                transcript: transcript,
                enabledToolDefinitions: [],
                generationOptions: options
            )
            try await executor.respond(to: request, model: model, streamingInto: channel)
        }
    }

    public convenience init(model: some LanguageModel, instructions: String) {
        let instructions = Transcript.Instructions(segments: [.text(.init(content: instructions))], toolDefinitions: [])
        self.init(model: model, transcript: Transcript(entries: [.instructions(instructions)]))
    }

    public func respond(to prompt: String, options: GenerationOptions = GenerationOptions()) async throws -> Response<String> {
        transcript.entries.append(.prompt(.init(segments: [.text(.init(content: prompt))], options: options)))
        let channel = LanguageModelExecutorGenerationChannel()
        let (asked, responding) = (transcript, responding)
        async let ended: Void = {
            defer { channel.finish() }
            try await responding(asked, options, channel)
        }()
        var (text, metadata, ids): (String, [String: GeneratedContent], Set<String?>) = ("", [:], [])
        var usage = Usage(input: .init(totalTokenCount: 0, cachedTokenCount: 0), output: .init(totalTokenCount: 0, reasoningTokenCount: 0))
        for await event in channel {
            ids.insert(event.entryID)
            switch event.action.kind {
            case .text(let delta, let tokens):
                text += delta
                usage.output.totalTokenCount += tokens
            case .metadata(let values): metadata = values
            case .usage(let totals): usage = totals
            }
        }
        try await ended
        precondition(ids.count <= 1, "one request, one entry")
        let response = Transcript.Response(metadata: metadata, segments: [.text(.init(content: text))])
        transcript.entries.append(.response(response))
        return Response(content: text, transcriptEntries: transcript.entries.suffix(1), usage: usage)
    }
}
