/// What a pack says of itself.
public struct PackInfo: Hashable, Sendable {
    /// The pack's id.
    public let id: String
    /// Its version, which grows with every release.
    public let version: UInt64
    /// Its title.
    public let title: String
    /// The languages of its documents.
    public let languages: [String]
    /// How many documents it holds.
    public let documentCount: Int
    /// How many passages it holds.
    public let passageCount: Int
    /// The licence of its contents, as its publisher stated it.
    public let licence: String
    /// Hash of its logical state, in hexadecimal.
    public let state: String
}

/// What a language model says of itself.
public struct ModelInfo: Hashable, Sendable {
    /// The name in the file.
    public let name: String
    /// The architecture, for example `qwen2`.
    public let architecture: String
    /// Size of the file in bytes.
    public let fileBytes: Int64
    /// Tokens that prompt and answer may take together.
    public let contextTokens: Int
}
