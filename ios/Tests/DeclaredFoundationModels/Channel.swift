// Declarations for tests, not Apple's framework: see README.md beside this file.

public struct LanguageModelExecutorGenerationChannel: Sendable, AsyncSequence {
    public struct Event: Sendable {
        let entryID: String?
        let action: Response.Action

        public static func response(entryID: String? = nil, action: Response.Action) -> Event {
            Event(entryID: entryID, action: action)
        }
    }

    public struct Response: Sendable {
        public struct Action: Sendable {
            enum Kind: Sendable {
                case text(String, tokens: Int)
                case metadata([String: GeneratedContent])
                case usage(Usage)
            }

            let kind: Kind

            public static func appendText(_ text: String, segmentID: String? = nil, tokenCount: Int) -> Action {
                Action(kind: .text(text, tokens: tokenCount))
            }

            public static func updateMetadata(_ values: [String: any ConvertibleToGeneratedContent]) -> Action {
                Action(kind: .metadata(values.mapValues(\.generatedContent)))
            }

            public static func updateUsage(
                input: Usage.Input,
                output: Usage.Output,
                metadata: [String: any ConvertibleToGeneratedContent] = [:]
            ) -> Action {
                Action(kind: .usage(Usage(input: input, output: output)))
            }
        }
    }

    public struct Usage: Sendable {
        public struct Input: Sendable {
            public var totalTokenCount: Int
            public var cachedTokenCount: Int
            public init(totalTokenCount: Int, cachedTokenCount: Int) {
                (self.totalTokenCount, self.cachedTokenCount) = (totalTokenCount, cachedTokenCount)
            }
        }

        public struct Output: Sendable {
            public var totalTokenCount: Int
            public var reasoningTokenCount: Int
            public init(totalTokenCount: Int, reasoningTokenCount: Int) {
                (self.totalTokenCount, self.reasoningTokenCount) = (totalTokenCount, reasoningTokenCount)
            }
        }

        public var input: Input
        public var output: Output
    }

    private let stream: AsyncStream<Event>
    private let continuation: AsyncStream<Event>.Continuation

    public init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    public func send(_ event: Event) async {
        continuation.yield(event)
    }

    public func makeAsyncIterator() -> AsyncStream<Event>.Iterator {
        stream.makeAsyncIterator()
    }

    func finish() {
        continuation.finish()
    }
}
