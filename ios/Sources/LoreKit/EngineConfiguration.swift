public import Foundation

/// What an engine opens: files that the app has on the device. Nothing is ever fetched.
public struct EngineConfiguration: Hashable, Sendable {
    /// The knowledge pack, `*.lorepack`; with ``library`` its base, which is never written to.
    public var pack: URL
    /// The embedder the pack was built with, as GGUF.
    public var embedder: URL
    /// The language model, as GGUF; without one the engine searches but does not answer.
    public var model: URL?
    /// LoRA adapters by name; each request names one, or none.
    public var adapters: [String: URL]
    /// Threads for inference; 0 takes the number of processors, at most 4.
    public var threads: Int
    /// Window of prompt and answer in tokens; 0 takes 4,096 or the model's own, whichever is smaller.
    public var contextTokens: Int
    /// Folder in which computed beginnings of prompts outlive the process, for example in the app's caches folder;
    /// `nil` keeps them in memory alone. Like memory, it holds what passages say.
    public var cacheFolder: URL?
    /// Whether the graphics processor may compute. It is used only on iOS 18 or macOS 15 and later, with a cache folder,
    /// in a library that was built for it, and after a trial that agreed with the CPU; a failure is remembered and the
    /// CPU computes.
    public var usesGPU: Bool
    /// Makes the pack the base of a library that takes updates; `nil` opens the pack alone, which never changes.
    public var library: LibraryConfiguration?

    /// Names the files; everything but pack and embedder may be left out.
    public init(
        pack: URL,
        embedder: URL,
        model: URL? = nil,
        adapters: [String: URL] = [:],
        threads: Int = 0,
        contextTokens: Int = 0,
        cacheFolder: URL? = nil,
        usesGPU: Bool = false,
        library: LibraryConfiguration? = nil
    ) {
        self.pack = pack
        self.embedder = embedder
        self.model = model
        self.adapters = adapters
        self.threads = threads
        self.contextTokens = contextTokens
        self.cacheFolder = cacheFolder
        self.usesGPU = usesGPU
        self.library = library
    }
}
