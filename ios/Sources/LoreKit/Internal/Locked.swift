import Foundation

/// A value behind a lock. The closures are short and call nothing that waits.
final class Locked<Value>: @unchecked Sendable {
    // `Mutex` of the Synchronization module needs newer systems than the package supports.
    private let lock = NSLock()
    private var stored: Value

    init(_ value: sending Value) {
        stored = value
    }

    func withLock<T>(_ body: (inout Value) throws -> T) rethrows -> T {
        lock.lock()
        defer { lock.unlock() }
        return try body(&stored)
    }
}

extension Locked where Value: Sendable {
    var value: Value {
        get { withLock { $0 } }
        set { withLock { $0 = newValue } }
    }

    /// Stores a value and returns the one before.
    func exchange(_ value: Value) -> Value {
        withLock { stored in
            defer { stored = value }
            return stored
        }
    }
}
