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
        case .untrusted(_, let reason), .expired(_, let reason), .clockTurnedBack(_, let reason): reason
        case .replayed(_, let reason), .fork(_, let reason), .otherParent(_, let reason), .otherPack(_, let reason): reason
        case .invalidKey(let reason), .unusableDocument(let reason): reason
        case .storage(let reason), .internal(let reason): reason
        case .embedderMismatch(let pack, let device): "the pack has embedder \(pack), this device has \(device)"
        case .notFound, .keyNeeded, .wrongKey, .purged, .locked, .readOnly, .nothingToRollBackTo: nil
        case .emptyQuestion, .questionTooLong, .noModel, .closed: nil
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
        case .keyNeeded(let path): ("The file “\(name(path))” is sealed, and its key is missing.", "Unlock the device and try again.")
        case .wrongKey(let path): ("The file “\(name(path))” is sealed with another key.", "Set the knowledge up anew.")
        case .invalidKey: ("A key cannot be used.", "Update the app.")
        case .untrusted(let path, _): ("The file “\(name(path))” is not from a source this app trusts.", "Download it again from its publisher.")
        case .expired(let path, _): ("The file “\(name(path))” has expired.", "Download the newest version.")
        case .clockTurnedBack: ("The date of this device is earlier than before.", "Set the date and time.")
        case .replayed(let path, _): ("The update “\(name(path))” is older than the knowledge on this device.", "Download the newest update.")
        case .fork(let path, _): ("The update “\(name(path))” contradicts a version that is known already.", "Ask its publisher.")
        case .otherParent(let path, _): ("The update “\(name(path))” does not follow the version on this device.", "Download the updates in between.")
        case .otherPack(let path, _): ("The file “\(name(path))” belongs to other knowledge.", "Download the right one.")
        case .purged: ("The knowledge was deleted.", "Set it up anew.")
        case .locked: ("The knowledge is open elsewhere.", "Close it there and try again.")
        case .readOnly: ("This knowledge cannot be changed.", nil)
        case .nothingToRollBackTo: ("There is no earlier version.", nil)
        case .unusableDocument: ("The document cannot be used.", "Choose another document.")
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
        case .keyNeeded(let path): ("文件“\(name(path))”已加密，缺少密钥。", "请解锁设备后重试。")
        case .wrongKey(let path): ("文件“\(name(path))”使用了其他密钥加密。", "请重新设置知识库。")
        case .invalidKey: ("密钥无法使用。", "请更新应用。")
        case .untrusted(let path, _): ("文件“\(name(path))”并非来自本应用信任的来源。", "请从发布者处重新下载。")
        case .expired(let path, _): ("文件“\(name(path))”已过期。", "请下载最新版本。")
        case .clockTurnedBack: ("本机日期早于先前的日期。", "请校正日期和时间。")
        case .replayed(let path, _): ("更新“\(name(path))”比本机的知识库更旧。", "请下载最新更新。")
        case .fork(let path, _): ("更新“\(name(path))”与已知版本相矛盾。", "请联系发布者。")
        case .otherParent(let path, _): ("更新“\(name(path))”与本机版本不连续。", "请下载其间的更新。")
        case .otherPack(let path, _): ("文件“\(name(path))”属于其他知识库。", "请下载正确的文件。")
        case .purged: ("知识库已被删除。", "请重新设置。")
        case .locked: ("知识库已在别处打开。", "请在别处关闭后重试。")
        case .readOnly: ("此知识库无法更改。", nil)
        case .nothingToRollBackTo: ("没有更早的版本。", nil)
        case .unusableDocument: ("文档无法使用。", "请选择其他文档。")
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
