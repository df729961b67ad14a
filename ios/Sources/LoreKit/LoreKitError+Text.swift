public import Foundation

// The texts stand in code, not in a resource bundle: a bundle that an app forgot to ship ends the process when it is
// asked for, and an error's text must never do that.

extension LoreKitError: LocalizedError {
    /// What happened, for people, in the language the app runs in.
    public var errorDescription: String? { text(in: .current).description }
    /// What the person or the app can do, if anything.
    public var recoverySuggestion: String? { text(in: .current).suggestion }

    /// The technical cause, in English, if there is one.
    public var failureReason: String? {
        switch self {
        case .damaged(_, let reason), .unsupported(_, let reason), .adapterMismatch(_, let reason): reason
        case .storage(let reason), .internal(let reason): reason
        case .embedderMismatch(let pack, let device): "the pack has embedder \(pack), this device has \(device)"
        case .notFound, .emptyQuestion, .questionTooLong, .noModel, .closed: nil
        }
    }
}

/// The languages that errors are told in.
package enum TextLanguage: CaseIterable {
    case english
    case simplifiedChinese

    /// The first of a person's languages that we have; English when we have none of them.
    init(preferring languages: [String]) {
        for language in languages.map({ $0.lowercased() }) {
            if language == "zh" || language.hasPrefix("zh-") { self = .simplifiedChinese; return }
            if language == "en" || language.hasPrefix("en-") { self = .english; return }
        }
        self = .english
    }

    /// The language the app shows; the person's own where the app has no translations at all.
    package static var current: TextLanguage {
        let app = Bundle.main
        return TextLanguage(preferring: app.localizations.isEmpty ? Locale.preferredLanguages : app.preferredLocalizations)
    }
}

extension LoreKitError {
    func text(in language: TextLanguage) -> (description: String, suggestion: String?) {
        switch language {
        case .english: english
        case .simplifiedChinese: simplifiedChinese
        }
    }

    private var english: (description: String, suggestion: String?) {
        switch self {
        case .notFound(let path): ("The file “\(name(path))” is missing.", "Download it again.")
        case .damaged(let path, _): ("The file “\(name(path))” is damaged.", "Download it again.")
        case .unsupported(let path, _): ("This version cannot read the file “\(name(path))”.", "Update the app.")
        case .embedderMismatch: ("The knowledge does not match the search model on this device.", "Update the app and its knowledge.")
        case .adapterMismatch(let adapter, _): ("The style “\(name(adapter))” cannot be used.", "Choose another style.")
        case .emptyQuestion: ("There is no question.", "Type a question.")
        case .questionTooLong: ("The question is too long.", "Shorten it.")
        case .noModel: ("No language model is installed, so only search works.", "Download the language model.")
        case .storage: ("A file could not be read or written.", "Free some space and try again.")
        case .closed: ("The knowledge is closed.", nil)
        case .internal: ("Something went wrong.", "Try again. If it keeps happening, report it.")
        }
    }

    private var simplifiedChinese: (description: String, suggestion: String?) {
        switch self {
        case .notFound(let path): ("缺少文件“\(name(path))”。", "请重新下载。")
        case .damaged(let path, _): ("文件“\(name(path))”已损坏。", "请重新下载。")
        case .unsupported(let path, _): ("当前版本无法读取文件“\(name(path))”。", "请更新应用。")
        case .embedderMismatch: ("知识库与本机的检索模型不匹配。", "请更新应用和知识库。")
        case .adapterMismatch(let adapter, _): ("无法使用风格“\(name(adapter))”。", "请选择其他风格。")
        case .emptyQuestion: ("问题为空。", "请输入问题。")
        case .questionTooLong: ("问题过长。", "请缩短问题。")
        case .noModel: ("未安装语言模型，只能检索。", "请下载语言模型。")
        case .storage: ("文件读写失败。", "请清理存储空间后重试。")
        case .closed: ("知识库已关闭。", nil)
        case .internal: ("出现错误。", "请重试；若仍出现，请反馈。")
        }
    }

    /// The last part of a path: people do not need the rest.
    private func name(_ path: String) -> String {
        path.split(separator: "/").last.map(String.init) ?? path
    }
}
