public import Foundation
import LoreKitBindings

// Changes of the library. They run beside answers, one change at a time: a running answer ends on what it began with,
// and what is asked after a change was made sees the new version. Without `EngineConfiguration.library` all of them
// throw `LoreKitError.readOnly`.
extension Engine {
    /// What the library is.
    ///
    /// - Throws: ``LoreKitError/readOnly`` when the engine was opened on a pack alone, ``LoreKitError/closed``, or what is
    ///   wrong with a pack.
    public func libraryState() async throws -> LibraryState {
        try await library { try LibraryState($0.libraryState()) }
    }

    /// Applies a delta of the publisher. Returns at once; the change is under way when this returns.
    ///
    /// Neither waits for running answers nor stops them. Applying what is applied already changes nothing; the report
    /// says so. After an error the library is as it was. Errors come out of the change:
    /// ``LoreKitError/untrusted(path:reason:)``, ``LoreKitError/expired(path:reason:)``,
    /// ``LoreKitError/clockTurnedBack(path:reason:)``, ``LoreKitError/replayed(path:reason:)``,
    /// ``LoreKitError/fork(path:reason:)``, ``LoreKitError/otherParent(path:reason:)``,
    /// ``LoreKitError/otherPack(path:reason:)``, ``LoreKitError/wrongKey(path:)``,
    /// ``LoreKitError/damaged(path:reason:)``, ``LoreKitError/storage(reason:)``, ``LoreKitError/readOnly``,
    /// ``LoreKitError/closed``.
    public func apply(_ delta: URL) -> Change<ApplyReport> {
        change({ try $0.apply(delta: delta.path) }) { event in
            if case .applied(let report) = event { ApplyReport(report) } else { nil }
        }
    }

    /// Adds a document of the app, or replaces the one of the same id. Returns at once, as ``apply(_:)`` does.
    ///
    /// It is cut and embedded on this device, between requests; its passages are found at once, as
    /// ``Passage/Origin/local``, and stay when the publisher's updates come.
    /// ``LoreKitError/unusableDocument(reason:)`` says that it cannot be read.
    public func add(_ document: OwnDocument) -> Change<AddReport> {
        change({ try $0.add(document: FfiOwnDocument(document)) }) { event in
            if case .added(let report) = event { AddReport(report) } else { nil }
        }
    }

    /// Removes a document of the app and its bytes from the library's folder; false if there is none of this id.
    @discardableResult
    public func remove(documentID: String) async throws -> Bool {
        let cancellation = FfiCancellation()
        return try await library(cancel: { cancellation.cancel() }) {
            try $0.remove(document: documentID, cancellation: cancellation)
        }
    }

    /// Goes back to the state before the last update; the app's own documents stay.
    ///
    /// A task that is cancelled does not wait for it, but what has begun is made.
    ///
    /// - Throws: ``LoreKitError/nothingToRollBackTo`` when no earlier state is kept.
    @discardableResult
    public func rollback() async throws -> ApplyReport {
        try await library { try ApplyReport($0.rollback()) }
    }

    /// Merges the library's files into as few as there can be. Returns at once, as ``apply(_:)`` does.
    public func compact() -> Change<CompactReport> {
        change({ try $0.compact() }) { event in
            if case .compacted(let report) = event { CompactReport(report) } else { nil }
        }
    }

    /// Destroys content. Returns at once, as ``apply(_:)`` does.
    ///
    /// ``Purge/everything`` ends all requests with ``LoreKitError/closed``, and so the engine.
    public func purge(_ what: Purge) -> Change<PurgeReport> {
        // Requests that end as cancelled from now on were ended by us.
        if what == .everything, hasLibrary { ended.value = true }
        return change({ try $0.purge(what: FfiPurge(what)) }) { event in
            if case .purged(let report) = event { PurgeReport(report) } else { nil }
        }
    }

    /// Seals the library and the cache folder with another key of 32 bytes; gives the number of packs that changed theirs.
    ///
    /// Keep both keys until this has returned: if it is cut short, exactly one of them opens the library, and calling it
    /// again completes it. Destroy the old key then. A task that is cancelled does not wait for it, but what has begun is
    /// made.
    ///
    /// - Throws: ``LoreKitError/invalidKey(reason:)`` for a key of another length.
    @discardableResult
    public func rotateKey(_ key: Data) async throws -> Int {
        try await library { Int(clamping: try $0.rotateKey(key: key)) }
    }

    /// Hashes all files of the library and compares them with what was signed; gives the number of bytes.
    ///
    /// - Throws: ``LoreKitError/damaged(path:reason:)`` with the first file that is not what it should be.
    @discardableResult
    public func verify() async throws -> Int64 {
        try await library { Int64(clamping: try $0.verify()) }
    }

    private func change<Report>(
        _ start: (FfiEngine) throws -> FfiChange,
        report: @escaping @Sendable (FfiChangeEvent) -> Report?
    ) -> Change<Report> {
        Change(RunningChange(Result { try start(ffi) }, engineEnded: ended, report: report))
    }

    /// A call that blocks for a moment or for one read of all files, and may run beside searches.
    private func library<T: Sendable>(
        cancel: @escaping @Sendable () -> Void = {},
        _ call: @escaping @Sendable (FfiEngine) throws -> T
    ) async throws -> T {
        let (ffi, ended) = (ffi, ended)
        return try await blocking(on: .global(qos: .userInitiated), cancel: cancel) {
            Result { try call(ffi) }.mapError { publicError($0, closed: ended.value) }
        }
    }
}
