import LoreKitBindings

/// What an app sees of what the native side threw. Exhaustive: a new case is a decision here.
///
/// The native side says "cancelled" also when closing the engine took the request away; that is ``LoreKitError/closed``,
/// since nobody cancelled the task that waits.
func publicError(_ error: any Error, closed: Bool) -> any Error {
    if error is CancellationError { return closed ? LoreKitError.closed : error }
    if error is LoreKitError { return error }
    guard let error = error as? FfiError else {
        // A panic of the native side that was caught at the border.
        return LoreKitError.internal(reason: String(describing: error))
    }
    return switch error {
    case .NotFound(_, _, let path): LoreKitError.notFound(path: path)
    case .Damaged(_, _, let path, let reason): LoreKitError.damaged(path: path, reason: reason)
    case .Unsupported(_, _, let path, let reason): LoreKitError.unsupported(path: path, reason: reason)
    case .EmbedderMismatch(_, _, let pack, let device): LoreKitError.embedderMismatch(pack: pack, device: device)
    case .AdapterMismatch(_, _, let adapter, let reason): LoreKitError.adapterMismatch(adapter: adapter, reason: reason)
    case .EmptyQuestion: LoreKitError.emptyQuestion
    case .QuestionTooLong(_, _, let tokens, let limit):
        LoreKitError.questionTooLong(tokens: Int(clamping: tokens), limit: Int(clamping: limit))
    case .NoModel: LoreKitError.noModel
    case .Storage(_, _, let reason): LoreKitError.storage(reason: reason)
    case .Closed: LoreKitError.closed
    case .Cancelled: closed ? LoreKitError.closed : CancellationError()
    case .Internal(_, _, let reason): LoreKitError.internal(reason: reason)
    }
}
