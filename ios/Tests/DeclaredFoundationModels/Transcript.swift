// Declarations for tests, not Apple's framework: see README.md beside this file.
import Foundation

public struct Transcript: Sendable, Equatable, RandomAccessCollection {
    public enum Entry: Sendable, Equatable {
        case instructions(Instructions)
        case prompt(Prompt)
        case toolCalls(ToolCalls)
        case toolOutput(ToolOutput)
        case response(Response)
        case reasoning(Reasoning)
    }

    public enum Segment: Sendable, Equatable {
        case text(TextSegment)
        case structure(StructuredSegment)
        case attachment(AttachmentSegment)
    }

    public struct TextSegment: Sendable, Equatable {
        public var id: String
        public var content: String
        public init(id: String = UUID().uuidString, content: String) { (self.id, self.content) = (id, content) }
    }

    public struct StructuredSegment: Sendable, Equatable {
        public var schemaName: String
        public var content: GeneratedContent
    }

    public struct AttachmentSegment: Sendable, Equatable {
        public var label: String?
        /// The documentation's initializers take an attachment's content.
        public init() {}
    }

    public struct Instructions: Sendable, Equatable {
        public var segments: [Segment]
        public var toolDefinitions: [ToolDefinition]
        public init(segments: [Segment], toolDefinitions: [ToolDefinition]) {
            (self.segments, self.toolDefinitions) = (segments, toolDefinitions)
        }
    }

    public struct Prompt: Sendable, Equatable {
        public var segments: [Segment]
        public var options: GenerationOptions
        public init(segments: [Segment], options: GenerationOptions = GenerationOptions()) {
            (self.segments, self.options) = (segments, options)
        }
    }

    public struct Response: Sendable, Equatable {
        public var id: String
        public var segments: [Segment]
        public internal(set) var metadata: [String: GeneratedContent]
        public init(
            id: String = UUID().uuidString,
            metadata: [String: any ConvertibleToGeneratedContent] = [:],
            segments: [Segment]
        ) {
            (self.id, self.segments) = (id, segments)
            self.metadata = metadata.mapValues(\.generatedContent)
        }
    }

    public struct ToolDefinition: Sendable, Equatable {
        public var name: String
    }

    public struct ToolCalls: Sendable, Equatable {}
    public struct ToolOutput: Sendable, Equatable {
        public var segments: [Segment]
    }
    public struct Reasoning: Sendable, Equatable {
        public var segments: [Segment]
    }

    var entries: [Entry]

    public init(entries: some Sequence<Entry> = []) { self.entries = Array(entries) }

    public var startIndex: Int { entries.startIndex }
    public var endIndex: Int { entries.endIndex }
    public subscript(index: Int) -> Entry { entries[index] }
}
