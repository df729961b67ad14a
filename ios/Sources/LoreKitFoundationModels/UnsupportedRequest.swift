public import Foundation
import LoreKit

/// What a session asked for that the engine does not do, and that cannot be left out without answering another question.
///
/// A session refuses most of it by itself, since the model declares no capability for it; this is what comes through.
/// For people there is `localizedDescription`, in English and in simplified Chinese; for logs there is ``code``.
public enum UnsupportedRequest: Error, Hashable, Sendable, CaseIterable {
    /// Tools to call, or a tool's output to go on from: the engine answers from the pack alone.
    case tools
    /// An answer that follows a schema: the engine answers in text.
    case schema
    /// An image or another attachment in the prompt.
    case attachment
    /// Structured content in the prompt: say it in words.
    case structure
    /// A part of the prompt of a kind that came after this version.
    case unknown

    /// A stable name for logs.
    public var code: String {
        switch self {
        case .tools: "unsupported_tools"
        case .schema: "unsupported_schema"
        case .attachment: "unsupported_attachment"
        case .structure: "unsupported_structure"
        case .unknown: "unsupported_content"
        }
    }
}

extension UnsupportedRequest: LocalizedError {
    /// What happened, for people, in the language the app runs in.
    public var errorDescription: String? { text(in: .current).description }
    /// What the person or the app can do.
    public var recoverySuggestion: String? { text(in: .current).suggestion }

    func text(in language: TextLanguage) -> (description: String, suggestion: String) {
        switch (self, language) {
        case (.tools, .english): ("This model answers from its own knowledge and uses no tools.", "Ask without tools.")
        case (.schema, .english): ("This model answers in plain text only.", "Ask for text.")
        case (.attachment, .english): ("This model cannot read attachments.", "Remove the attachment.")
        case (.structure, .english): ("This model reads plain text only.", "Ask in words.")
        case (.unknown, .english): ("A part of the question cannot be read.", "Update the app.")
        case (.tools, .simplifiedChinese): ("此模型只根据自带的知识回答，不使用工具。", "请不带工具提问。")
        case (.schema, .simplifiedChinese): ("此模型只能以纯文本回答。", "请改为文本回答。")
        case (.attachment, .simplifiedChinese): ("此模型无法读取附件。", "请移除附件。")
        case (.structure, .simplifiedChinese): ("此模型只能读取纯文本。", "请用文字提问。")
        case (.unknown, .simplifiedChinese): ("问题中有无法读取的内容。", "请更新应用。")
        }
    }
}
