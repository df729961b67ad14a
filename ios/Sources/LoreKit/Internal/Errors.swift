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
    case .KeyNeeded(_, _, let path): LoreKitError.keyNeeded(path: path)
    case .WrongKey(_, _, let path): LoreKitError.wrongKey(path: path)
    case .InvalidKey(_, _, let reason): LoreKitError.invalidKey(reason: reason)
    case .Untrusted(_, _, let path, let reason): LoreKitError.untrusted(path: path, reason: reason)
    case .Expired(_, _, let path, let reason): LoreKitError.expired(path: path, reason: reason)
    case .ClockTurnedBack(_, _, let path, let reason): LoreKitError.clockTurnedBack(path: path, reason: reason)
    case .Replayed(_, _, let path, let reason): LoreKitError.replayed(path: path, reason: reason)
    case .Fork(_, _, let path, let reason): LoreKitError.fork(path: path, reason: reason)
    case .OtherParent(_, _, let path, let reason): LoreKitError.otherParent(path: path, reason: reason)
    case .OtherPack(_, _, let path, let reason): LoreKitError.otherPack(path: path, reason: reason)
    case .Purged(_, _, let path): LoreKitError.purged(path: path)
    case .Locked(_, _, let path): LoreKitError.locked(path: path)
    case .ReadOnly: LoreKitError.readOnly
    case .NothingToRollBackTo: LoreKitError.nothingToRollBackTo
    case .UnusableDocument(_, _, let reason): LoreKitError.unusableDocument(reason: reason)
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
