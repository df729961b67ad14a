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
        case .emptyQuestion: "empty_question"
        case .questionTooLong: "question_too_long"
        case .noModel: "no_model"
        case .storage: "storage"
        case .closed: "closed"
        case .internal: "internal"
        }
    }
}
