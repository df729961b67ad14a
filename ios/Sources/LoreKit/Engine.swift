import Foundation
import LoreKitBindings

/// A knowledge pack with its models, ready to search and to answer, offline.
///
/// Requests run one after another on the engine's own thread; every method may be called from any task or actor,
/// the main actor included, and blocks none of them. One engine per pack is enough.
///
/// ```swift
/// let engine = try await Engine.open(EngineConfiguration(pack: pack, embedder: embedder, model: model))
/// for try await event in engine.answer(to: "信用卡还款宽限期几天？") {
///     if case .text(let delta) = event { transcript += delta }
/// }
/// ```
///
/// With ``EngineConfiguration/library`` it also changes its library, one change at a time, while it answers: a running
/// answer ends on what it began with, and what is asked after a change was made sees the new version.
///
/// When the last reference goes, everything that still runs is cancelled and the models are freed;
/// ``close()`` does so at once and says when it is done.
public final class Engine: Sendable {
    /// What the pack says of itself, as of the last change.
    public var pack: PackInfo { PackInfo(ffi.packInfo()) }
    /// What the language model says of itself; `nil` when the engine was opened without one.
    public let model: ModelInfo?

    let ffi: FfiEngine
    let hasLibrary: Bool
    private let closed = Locked(false)
    /// Whether requests that end as cancelled were ended by us: by a close, or by a purge of everything.
    let ended = Locked(false)
    /// Searches block a thread; the engine serves one at a time, so one thread is enough.
    private let searches = DispatchQueue(label: "LoreKit.Engine.search", qos: .userInitiated)

    private init(_ ffi: FfiEngine, hasLibrary: Bool) {
        self.ffi = ffi
        self.hasLibrary = hasLibrary
        model = ffi.modelInfo().map(ModelInfo.init)
    }

    /// Opens pack, embedder and, if one is named, model and adapters. Takes from milliseconds to seconds.
    ///
    /// Cancelling the task returns at once with `CancellationError`; what is being opened is freed when it is there.
    ///
    /// - Throws: ``LoreKitError`` with the file that is missing, damaged, unsupported or does not fit.
    public static func open(_ configuration: EngineConfiguration) async throws -> Engine {
        let options = FfiEngineOptions(configuration)
        let opened = try await blocking(on: .global(qos: .userInitiated)) {
            Result { try FfiEngine.open(options: options) }.mapError { publicError($0, closed: false) }
        }
        return Engine(opened, hasLibrary: configuration.library != nil)
    }

    /// The best passages for a question, at most one per place, best first. Waits behind a running answer.
    ///
    /// Cancelling the task returns at once; the engine leaves the search before its next step.
    ///
    /// - Throws: ``LoreKitError/emptyQuestion``, ``LoreKitError/closed``, or what went wrong with a file.
    public func search(_ question: String, options: SearchOptions = SearchOptions()) async throws -> [Passage] {
        let (ffi, ended, options) = (ffi, ended, FfiSearchOptions(options))
        let cancellation = FfiCancellation()
        return try await blocking(on: searches, cancel: { cancellation.cancel() }) {
            Result { try ffi.search(question: question, options: options, cancellation: cancellation).map(Passage.init) }
                .mapError { publicError($0, closed: ended.value) }
        }
    }

    /// Answers a question. Returns at once; the answer is under way when this returns.
    ///
    /// Cancelling the task that reads, leaving its loop, or dropping the stream stops the model within one decode step
    /// or one piece of the prompt; the engine stays usable. Errors come out of the stream, the first with its first event:
    /// ``LoreKitError/emptyQuestion``, ``LoreKitError/noModel``, ``LoreKitError/questionTooLong(tokens:limit:)``,
    /// ``LoreKitError/adapterMismatch(adapter:reason:)``, ``LoreKitError/closed``.
    public func answer(to question: String, options: AnswerOptions = AnswerOptions()) -> AnswerStream {
        let ended = ended
        let started = Result { try ffi.answer(question: question, options: FfiAnswerOptions(options)) }
        return AnswerStream(Request(started.mapError { publicError($0, closed: ended.value) }, engineEnded: ended))
    }

    /// Gives back the memory of caches, as soon as a running answer is done: call it on a memory warning.
    ///
    /// Later questions are answered as before, the next one slower. Returns at once, as do the calls below; after
    /// ``close()`` they change nothing.
    public func memoryWarning() {
        tell { try $0.memoryWarning() }
    }

    /// Says how hot the device is; it holds from the next question on.
    ///
    /// Pass `ThermalState(ProcessInfo.processInfo.thermalState)` when the system says that it changed.
    public func setThermalState(_ state: ThermalState) {
        tell { try $0.setThermalState(state: FfiThermalState(state)) }
    }

    /// The app leaves the foreground: what was computed goes to the cache folder, and its memory is given back.
    ///
    /// A running answer goes on; cancel its task if it shall not.
    public func enterBackground() {
        tell { try $0.enterBackground() }
    }

    /// The app comes back.
    public func enterForeground() {
        tell { try $0.enterForeground() }
    }

    /// Forgets everything that was computed for prompts, in memory and on disk.
    public func clearCaches() {
        tell { try $0.clearCaches() }
    }

    private func tell(_ call: (FfiEngine) throws -> Void) {
        guard !closed.value else { return }
        // It can fail only by a caught panic, and the app can do nothing about that here.
        try? call(ffi)
    }

    /// Cancels everything, frees the models, and gives the library's folder free; returns when that is done, after at most
    /// one step of the model, and when a change of the library has stopped.
    ///
    /// Running requests end with ``LoreKitError/closed``, and so do later ones. Closing again changes nothing.
    public func close() async {
        guard closed.exchange(true) == false else { return }
        ended.value = true
        let ffi = ffi
        await withCheckedContinuation { done in
            DispatchQueue.global(qos: .userInitiated).async {
                // It can fail only by a caught panic, after which there is nothing left to close.
                try? ffi.shutDown()
                done.resume()
            }
        }
    }

    deinit {
        // Waiting for the engine's thread may take one step of the model: not on the thread that drops the engine.
        guard !closed.value else { return }
        ended.value = true
        let ffi = ffi
        DispatchQueue.global(qos: .utility).async { try? ffi.shutDown() }
    }
}
