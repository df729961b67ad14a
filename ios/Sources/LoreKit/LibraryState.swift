/// What a library is.
public struct LibraryState: Hashable, Sendable {
    /// A pack that is part of the current generation.
    public struct Pack: Hashable, Sendable {
        /// Hash of its manifest, in hexadecimal.
        public let manifest: String
        /// Its version.
        public let version: UInt64
        /// The key that signed it, in hexadecimal; `nil` for an unsigned pack.
        public let signer: String?
        /// Length of its file in bytes.
        public let bytes: Int64
        /// Passages in it.
        public let passages: Int
        /// Passages that it withdraws.
        public let withdrawals: Int
    }

    /// A document of the app, as the library holds it.
    public struct LocalDocument: Hashable, Sendable, Identifiable {
        /// Its id.
        public let id: String
        /// Its title.
        public let title: String
    }

    /// A state that a rollback can go to.
    public struct Kept: Hashable, Sendable {
        /// Its version.
        public let version: UInt64
        /// Its hash, in hexadecimal.
        public let state: String
    }

    /// Number of the generation; grows by one with each change.
    public let generation: UInt64
    /// Name of the body of knowledge.
    public let packID: String
    /// The publisher's version.
    public let version: UInt64
    /// The publisher's state, in hexadecimal: what the next delta must build on.
    public let state: String
    /// The lowest version that may arrive.
    public let versionFloor: UInt64
    /// The base, or what a compaction made of the chain.
    public let base: Pack
    /// Whether the base is a file of the folder, written by a compaction.
    public let isCompacted: Bool
    /// The deltas on it, in order.
    public let deltas: [Pack]
    /// The app's own documents.
    public let localDocuments: [LocalDocument]
    /// What a rollback can go to, newest last.
    public let kept: [Kept]
    /// Passages that can be found, local ones included.
    public let passages: Int
    /// Passages that are revoked.
    public let revoked: Int
    /// Of those, how many still stand in the base in its read-only place, hidden.
    public let revokedInReadOnlyBase: Int
    /// Whether each file of the folder that the current generation is made of is sealed.
    public let isSealed: Bool
    /// Whether the base in its read-only place is sealed by the publisher.
    public let isBaseSealed: Bool
    /// Bytes of all files that the current generation is made of.
    public let bytes: Int64
    /// The last day of use of the newest pack, `YYYY-MM-DD`.
    public let expires: String?
    /// Whether that day is over.
    public let isExpired: Bool
    /// Whether the clock names a day that is earlier than one seen before.
    public let isClockTurnedBack: Bool
}
