import Foundation

/// Runs a blocking call on a queue, so that no thread of Swift's own pool waits for it.
///
/// When the task is cancelled, this returns at once with `CancellationError` and does `cancel`; the call's result is
/// dropped when it comes.
func blocking<T: Sendable>(
    on queue: DispatchQueue,
    cancel: @escaping @Sendable () -> Void = {},
    _ call: @escaping @Sendable () -> Result<T, any Error>
) async throws -> T {
    let waiting = Waiting<T>()
    return try await withTaskCancellationHandler {
        try await withCheckedThrowingContinuation { continuation in
            guard waiting.begin(continuation) else { return }
            queue.async {
                // Cancelled before its turn came: there is nothing to do any more.
                if waiting.isWanted { waiting.end(call()) }
            }
        }
    } onCancel: {
        waiting.end(.failure(CancellationError()))
        cancel()
    }
}

/// A continuation that is resumed once, by whoever comes first.
private final class Waiting<T: Sendable>: Sendable {
    private enum State {
        case new
        case begun(CheckedContinuation<T, any Error>)
        case ended
    }

    private let state = Locked(State.new)

    var isWanted: Bool {
        state.withLock { state in
            if case .begun = state { true } else { false }
        }
    }

    /// False when the task was cancelled before it began to wait.
    func begin(_ continuation: CheckedContinuation<T, any Error>) -> Bool {
        let isCancelled = state.withLock { state in
            if case .ended = state { return true }
            state = .begun(continuation)
            return false
        }
        if isCancelled { continuation.resume(throwing: CancellationError()) }
        return !isCancelled
    }

    func end(_ result: Result<T, any Error>) {
        let continuation: CheckedContinuation<T, any Error>? = state.withLock { state in
            defer { state = .ended }
            if case .begun(let continuation) = state { return continuation }
            return nil
        }
        continuation?.resume(with: result)
    }
}
