/// What an update or a rollback did.
public struct ApplyReport: Hashable, Sendable {
    /// Whether anything changed: not, if the delta was applied already.
    public let applied: Bool
    /// The generation that is current now.
    public let generation: UInt64
    /// The publisher's version that is current now.
    public let version: UInt64
    /// The publisher's state that is current now, in hexadecimal.
    public let state: String
    /// Whether the owner's word let an older version arrive.
    public let ownerRollback: Bool
}

/// What adding a document did.
public struct AddReport: Hashable, Sendable {
    /// The generation that is current now.
    public let generation: UInt64
    /// Passages of the document.
    public let passages: Int
}

/// What a compaction did.
public struct CompactReport: Hashable, Sendable {
    /// The generation that is current now.
    public let generation: UInt64
    /// Packs of the publisher that became one; 0 if there was nothing to do.
    public let publisherPacks: Int
    /// Packs of the app's documents that became one; 0 if there was nothing to do.
    public let localPacks: Int
    /// Kept states that were given up, because files of theirs held revoked passages.
    public let droppedStates: Int
}

/// What to destroy.
public enum Purge: Hashable, Sendable, CaseIterable {
    /// Everything that was written for this library; the engine ends, and the library never opens again in this folder.
    case everything
    /// The bytes of revoked passages, in all files of the folder. The library goes on.
    case revoked
}

/// What a purge did, and what it could not do.
public struct PurgeReport: Hashable, Sendable {
    /// Files that were removed from the folder.
    public let filesRemoved: Int
    /// Kept states that were given up.
    public let droppedStates: Int
    /// Whether the base in its read-only place still holds what was purged.
    public let baseStillHolds: Bool
    /// Whether the library refuses to open from now on.
    public let refusalRecorded: Bool
}
