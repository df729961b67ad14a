package dev.lorekit

import dev.lorekit.internal.EngineHandle
import dev.lorekit.internal.ffi.FfiChange
import dev.lorekit.internal.ffi.FfiChangeEvent
import dev.lorekit.internal.ffi.FfiEngine
import dev.lorekit.internal.toFfi
import dev.lorekit.internal.toPublic
import java.io.File
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.emitAll
import kotlinx.coroutines.flow.flow

/**
 * A knowledge pack with its models, ready to search and to answer, offline.
 *
 * Requests run one after another on the engine's own thread; every function may be called from any thread,
 * the main thread included. One owner closes it.
 *
 * ```kotlin
 * Engine.open(EngineConfiguration(pack, embedder, model)).use { engine ->
 *     engine.answer("信用卡还款宽限期几天？").collect { event ->
 *         if (event is AnswerEvent.Text) print(event.delta)
 *     }
 * }
 * ```
 *
 * With [EngineConfiguration.library] it also changes its library, one change at a time, while it answers: a running
 * answer ends on what it began with, and what is asked after a change was made sees the new version.
 *
 * @property pack what the pack says of itself, as of the last change.
 * @property model what the language model says of itself; null when the engine was opened without one.
 */
public class Engine private constructor(private val handle: EngineHandle) : AutoCloseable {
    public val pack: PackInfo get() = handle.pack()
    public val model: ModelInfo? = handle.ffi.modelInfo()?.toPublic()

    /**
     * The best passages for [question], at most one per place, best first. Waits behind a running answer.
     *
     * Cancelling the coroutine returns at once; the engine leaves the search before its next step.
     *
     * @throws LoreKitException.EmptyQuestion when there is nothing but white space.
     * @throws LoreKitException.Closed when the engine is closed, before or meanwhile.
     */
    public suspend fun search(question: String, options: SearchOptions = SearchOptions()): List<Passage> =
        handle.search(question, options.toFfi()).map { it.toPublic() }

    /**
     * Answers [question] as a cold flow: nothing happens before it is collected, and each collection asks again.
     *
     * Events come in order: [AnswerEvent.Retrieved], any number of [AnswerEvent.Text] and [AnswerEvent.Citation],
     * and [AnswerEvent.Finished] as the last. A slow collector slows the model, not memory.
     * Cancelling the collecting coroutine, or leaving the flow early (`first`, `take`), stops the model within one
     * decode step or one piece of the prompt; the engine stays usable. Declining is an [Outcome], not an exception.
     *
     * The flow throws [LoreKitException]: `EmptyQuestion`, `NoModel`, `QuestionTooLong`, `AdapterMismatch`, `Closed`, …
     */
    public fun answer(question: String, options: AnswerOptions = AnswerOptions()): Flow<AnswerEvent> = flow {
        val stream = handle.translating { handle.open().answer(question, options.toFfi()) }
        try {
            while (true) {
                val batch = handle.translating { stream.nextBatch() }
                if (batch.isEmpty()) break
                for (event in batch) emit(event.toPublic())
            }
        } finally {
            // Cancelling the coroutine drops only the wait; this is what stops the model.
            stream.cancel()
            stream.destroy()
        }
    }

    /**
     * What the library is.
     *
     * @throws LoreKitException.ReadOnly when the engine was opened on a pack alone.
     * @throws LoreKitException.Closed when the engine is closed, before or meanwhile; so do all calls below.
     */
    public suspend fun libraryState(): LibraryState = handle.blocking { libraryState() }.toPublic()

    /**
     * Applies a delta of the publisher as a cold flow: nothing happens before it is collected.
     *
     * Emits [ChangeEvent.Progress] and [ChangeEvent.Finished]; [finalReport] collects it where nobody watches. Neither
     * waits for running answers nor stops them. Applying what is applied already changes nothing; the report says so.
     * Cancelling the coroutine, or leaving the flow early, stops the change, and the library is as it was unless the
     * last step was made already; [libraryState] tells.
     *
     * The flow throws [LoreKitException]: `Untrusted`, `Expired`, `ClockTurnedBack`, `Replayed`, `Fork`, `OtherParent`,
     * `OtherPack`, `WrongKey`, `Damaged`, `Storage`, `ReadOnly`, `Closed`. The library is as it was then.
     */
    public fun apply(delta: File): Flow<ChangeEvent<ApplyReport>> =
        change({ apply(delta.absolutePath) }) { (it as? FfiChangeEvent.Applied)?.report?.toPublic() }

    /**
     * Adds a document of the app, or replaces the one of the same id, as a cold flow like that of [apply].
     *
     * It is cut and embedded on this device, between requests; its passages are found at once, as [Origin.LOCAL], and
     * stay when the publisher's updates come. The flow throws `UnusableDocument` for what cannot be read.
     */
    public fun add(document: OwnDocument): Flow<ChangeEvent<AddReport>> =
        change({ add(document.toFfi()) }) { (it as? FfiChangeEvent.Added)?.report?.toPublic() }

    /** Removes a document of the app and its bytes from the library's folder; false if there is none of this id. */
    public suspend fun remove(documentId: String): Boolean = handle.cancellable { remove(documentId, it) }

    /**
     * Goes back to the state before the last update; the app's own documents stay.
     *
     * @throws LoreKitException.NothingToRollBackTo when no earlier state is kept.
     */
    public suspend fun rollback(): ApplyReport = handle.blocking { rollback() }.toPublic()

    /**
     * Seals the library and the cache folder with another key; gives the number of packs that changed theirs.
     *
     * Keep both keys until this has returned: if it is cut short, exactly one of them opens the library, and calling it
     * again completes it. Destroy the old key then.
     */
    public suspend fun rotateKey(key: SealingKey): Long = handle.blocking { rotateKey(key.bytes) }.toLong()

    /** Merges the library's files into as few as there can be, as a cold flow like that of [apply]. */
    public fun compact(): Flow<ChangeEvent<CompactReport>> =
        change({ compact() }) { (it as? FfiChangeEvent.Compacted)?.report?.toPublic() }

    /**
     * Destroys content, as a cold flow like that of [apply]. [Purge.EVERYTHING] ends all requests with
     * [LoreKitException.Closed], and so the engine; [close] it afterwards as always.
     */
    public fun purge(what: Purge): Flow<ChangeEvent<PurgeReport>> = flow {
        handle.ended(what == Purge.EVERYTHING)
        try {
            emitAll(change({ purge(what.toFfi()) }) { (it as? FfiChangeEvent.Purged)?.report?.toPublic() })
        } catch (error: LoreKitException.ReadOnly) {
            handle.ended(false)
            throw error
        }
    }

    /**
     * Hashes all files of the library and compares them with what was signed; gives the number of bytes.
     *
     * @throws LoreKitException.Damaged with the first file that is not what it should be.
     */
    public suspend fun verify(): Long = handle.blocking { verify() }.toLong()

    private fun <R : Any> change(start: FfiEngine.() -> FfiChange, report: (FfiChangeEvent) -> R?): Flow<ChangeEvent<R>> = flow {
        val change = handle.translating { handle.open().start() }
        try {
            while (true) {
                val event = handle.translating { change.nextEvent() }
                if (event is FfiChangeEvent.Progress) {
                    emit(event.progress.toPublic())
                    continue
                }
                emit(ChangeEvent.Finished(checkNotNull(report(event)) { "a change ended as another one" }))
                break
            }
        } finally {
            // Cancelling the coroutine drops only the wait; this is what stops the change.
            change.cancel()
            change.destroy()
        }
    }

    /**
     * Gives back the memory of caches, as soon as a running answer is done: call it from `onTrimMemory`.
     *
     * Later questions are answered as before, the next one slower. Returns at once, as do the calls below; after
     * [close] they change nothing.
     */
    public fun memoryWarning(): Unit = handle.tell { memoryWarning() }

    /** Says how hot the device is; it holds from the next question on. */
    public fun setThermalState(state: ThermalState): Unit = handle.tell { setThermalState(state.toFfi()) }

    /**
     * The app leaves the foreground: what was computed goes to the cache folder, and its memory is given back.
     *
     * A running answer goes on; cancel its coroutine if it shall not.
     */
    public fun enterBackground(): Unit = handle.tell { enterBackground() }

    /** The app comes back. */
    public fun enterForeground(): Unit = handle.tell { enterForeground() }

    /** Forgets everything that was computed for prompts, in memory and on disk. */
    public fun clearCaches(): Unit = handle.tell { clearCaches() }

    /**
     * Cancels everything, frees the models, and gives the library's folder free. Blocks until the engine's thread has
     * ended, at most one step of the model, and until a change of the library has stopped.
     *
     * Running requests end with [LoreKitException.Closed], and so do later ones. Closing again changes nothing.
     */
    override fun close() {
        handle.close()
    }

    public companion object {
        /**
         * Opens pack, embedder and, if one is named, model and adapters.
         *
         * @param dispatcher where blocking calls run (opening, searching); the default is [Dispatchers.IO].
         * @throws LoreKitException with the file that is missing, damaged, unsupported or does not fit.
         */
        public suspend fun open(
            configuration: EngineConfiguration,
            dispatcher: CoroutineDispatcher = Dispatchers.IO,
        ): Engine = Engine(EngineHandle.open(configuration.toFfi(), dispatcher))
    }
}
