package dev.lorekit.internal

import dev.lorekit.LoreKitException
import dev.lorekit.internal.ffi.FfiCancellation
import dev.lorekit.internal.ffi.FfiEngine
import dev.lorekit.internal.ffi.FfiEngineOptions
import dev.lorekit.internal.ffi.FfiException
import dev.lorekit.internal.ffi.FfiPassage
import dev.lorekit.internal.ffi.FfiSearchOptions
import java.util.concurrent.atomic.AtomicBoolean
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineDispatcher
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Deferred
import kotlinx.coroutines.SupervisorJob
import kotlinx.coroutines.async
import kotlinx.coroutines.launch

/** The native engine with the one flag that says whether it may still be called. */
internal class EngineHandle private constructor(
    val ffi: FfiEngine,
    dispatcher: CoroutineDispatcher,
) {
    private val closed = AtomicBoolean(false)
    private val blocking = CoroutineScope(SupervisorJob() + dispatcher)

    /** The native engine, or [LoreKitException.Closed]. */
    fun open(): FfiEngine = if (closed.get()) throw closedException(null) else ffi

    suspend fun search(question: String, options: FfiSearchOptions): List<FfiPassage> {
        val engine = open()
        // Freed by its cleaner: a cancel may come at any time.
        val cancellation = FfiCancellation()
        val found = blocking.async { runCatching { engine.search(question, options, cancellation) } }
        return translating { awaitOr(found) { cancellation.cancel() }.getOrThrow() }
    }

    /** A call of the app's lifecycle, which may come when everything is closed already. */
    fun tell(call: FfiEngine.() -> Unit) {
        try {
            translating { open().call() }
        } catch (_: LoreKitException.Closed) {
            // There is nothing left to be told.
        }
    }

    fun close() {
        if (!closed.compareAndSet(false, true)) return
        try {
            ffi.shutDown()
        } finally {
            // A call that is still running keeps the native side alive until it returns.
            ffi.destroy()
        }
    }

    /**
     * Runs [block] and turns what it throws into what an app may see.
     *
     * The native side says "cancelled" also when [close] took the request away. A `CancellationException` would then
     * end the caller's coroutine without a word, so that case is [LoreKitException.Closed].
     */
    inline fun <T> translating(block: () -> T): T =
        try {
            block()
        } catch (error: CancellationException) {
            throw error
        } catch (error: FfiException.Cancelled) {
            throw if (closed.get()) closedException(error) else CancellationException("cancelled", error)
        } catch (error: IllegalStateException) {
            // The generated object refuses calls after it was destroyed.
            throw if (closed.get()) closedException(error) else toPublic(error)
        } catch (error: Exception) {
            throw toPublic(error)
        }

    companion object {
        suspend fun open(options: FfiEngineOptions, dispatcher: CoroutineDispatcher): EngineHandle {
            val scope = CoroutineScope(SupervisorJob() + dispatcher)
            val opening = scope.async { runCatching { FfiEngine.open(options) } }
            val opened = awaitOr(opening) {
                // Opening cannot be interrupted; what nobody waits for any more is freed when it is there.
                scope.launch { opening.await().onSuccess { it.destroy() } }
            }
            return EngineHandle(opened.getOrElse { throw toPublic(it) }, dispatcher)
        }
    }
}

/** Waits for a blocking call; when the waiting coroutine is cancelled, returns at once and does [abandon]. */
private suspend inline fun <T> awaitOr(call: Deferred<T>, abandon: () -> Unit): T =
    try {
        call.await()
    } catch (error: CancellationException) {
        abandon()
        throw error
    }

internal fun closedException(cause: Throwable?): LoreKitException =
    LoreKitException.Closed("the engine is closed", cause)
