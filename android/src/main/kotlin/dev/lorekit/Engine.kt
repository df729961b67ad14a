package dev.lorekit

import dev.lorekit.internal.EngineHandle
import dev.lorekit.internal.toFfi
import dev.lorekit.internal.toPublic
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.flow.Flow
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
 * @property pack what the pack says of itself.
 * @property model what the language model says of itself; null when the engine was opened without one.
 */
public class Engine private constructor(private val handle: EngineHandle) : AutoCloseable {
    public val pack: PackInfo = handle.ffi.packInfo().toPublic()
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
     * Cancels everything and frees the models. Blocks until the engine's thread has ended: at most one step of the model.
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
