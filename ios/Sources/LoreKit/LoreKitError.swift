/// What can go wrong, cut by what the app can do about it.
///
/// Cancellation is none of these: it is a `CancellationError`. Declining to answer is none either: it is an ``Outcome``.
/// No case holds a question, a passage or an answer. For people there is `localizedDescription`, in English and in
/// simplified Chinese; for logs there is ``code``.
public enum LoreKitError: Error, Hashable, Sendable {
    /// There is no file there: fetch it.
    case notFound(path: String)
    /// A pack, model, embedder or adapter is damaged: fetch it again.
    case damaged(path: String, reason: String)
    /// A file is sound but of a kind this version does not read: update the app or the file.
    case unsupported(path: String, reason: String)
    /// The pack was built with another embedder than the one on this device.
    case embedderMismatch(pack: String, device: String)
    /// The adapter does not fit the model, or none of this name was opened: choose another.
    case adapterMismatch(adapter: String, reason: String)
    /// A file is sealed, and the app gave no key for it.
    case keyNeeded(path: String)
    /// A file is sealed with another key than the app's: ask the key store for the right one.
    case wrongKey(path: String)
    /// A key that the app gave is no key.
    case invalidKey(reason: String)
    /// A pack is not signed by anyone the app trusts: do not use it.
    case untrusted(path: String, reason: String)
    /// The last day of a pack, or of the keys that signed it, is over: fetch a newer one.
    case expired(path: String, reason: String)
    /// A pack expired by a day that was seen before, and the clock now says an earlier one.
    case clockTurnedBack(path: String, reason: String)
    /// A delta is older than what was applied before: fetch the newest.
    case replayed(path: String, reason: String)
    /// A delta gives other content to a version that is known.
    case fork(path: String, reason: String)
    /// A delta builds on another state than the library's: fetch the ones between.
    case otherParent(path: String, reason: String)
    /// A pack belongs to another body of knowledge than the library.
    case otherPack(path: String, reason: String)
    /// The library was purged, and this folder opens no more.
    case purged(path: String)
    /// The library's folder is open elsewhere: one engine at a time has it.
    case locked(path: String)
    /// The engine was opened without a library, and nothing can be changed.
    case readOnly
    /// No earlier state is kept that a rollback could go to.
    case nothingToRollBackTo
    /// A document of the app cannot become part of the library.
    case unusableDocument(reason: String)
    /// The question is empty.
    case emptyQuestion
    /// The question alone is longer than the window: shorten it.
    case questionTooLong(tokens: Int, limit: Int)
    /// An answer was asked of an engine that was opened without a language model.
    case noModel
    /// Reading or writing failed: free space, check permissions.
    case storage(reason: String)
    /// The engine was closed.
    case closed
    /// A defect of this library: please report it.
    case `internal`(reason: String)

    /// A stable name for logs, the same in every language of the SDK.
    public var code: String {
        switch self {
        case .notFound: "not_found"
        case .damaged: "damaged"
        case .unsupported: "unsupported"
        case .embedderMismatch: "embedder_mismatch"
        case .adapterMismatch: "adapter_mismatch"
        case .keyNeeded: "key_needed"
        case .wrongKey: "wrong_key"
        case .invalidKey: "invalid_key"
        case .untrusted: "untrusted"
        case .expired: "expired"
        case .clockTurnedBack: "clock_turned_back"
        case .replayed: "replayed"
        case .fork: "fork"
        case .otherParent: "other_parent"
        case .otherPack: "other_pack"
        case .purged: "purged"
        case .locked: "locked"
        case .readOnly: "read_only"
        case .nothingToRollBackTo: "nothing_to_roll_back_to"
        case .unusableDocument: "unusable_document"
        case .emptyQuestion: "empty_question"
        case .questionTooLong: "question_too_long"
        case .noModel: "no_model"
        case .storage: "storage"
        case .closed: "closed"
        case .internal: "internal"
        }
    }
}
