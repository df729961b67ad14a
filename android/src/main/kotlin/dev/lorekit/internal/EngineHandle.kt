package dev.lorekit.internal

import dev.lorekit.LoreKitException
import dev.lorekit.PackInfo
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
    private val scope = CoroutineScope(SupervisorJob() + dispatcher)

    /** Whether requests are taken away by us: by [close], or by a purge of everything. */
    private val ended = AtomicBoolean(false)

    @Volatile
    private var lastPack: PackInfo = ffi.packInfo().toPublic()

    /** What the pack says of itself; after the end, what it said last. */
    fun pack(): PackInfo {
        try {
            lastPack = ffi.packInfo().toPublic()
        } catch (_: IllegalStateException) {
            // The generated object refuses calls after it was destroyed.
        }
        return lastPack
    }

    /** Whether requests that end as cancelled are ended by us from now on. */
    fun ended(byUs: Boolean) = ended.set(byUs || closed.get())

    /** The native engine, or [LoreKitException.Closed]. */
    fun open(): FfiEngine = if (closed.get()) throw closedException(null) else ffi

    suspend fun search(question: String, options: FfiSearchOptions): List<FfiPassage> =
        cancellable { search(question, options, it) }

    /** A call that blocks, off the caller's thread; a cancelled caller does not wait for it. */
    suspend fun <T> blocking(call: FfiEngine.() -> T): T = cancellable { call() }

    /** A call that blocks and can be cancelled. */
    suspend fun <T> cancellable(call: FfiEngine.(FfiCancellation) -> T): T {
        val engine = open()
        // Freed by its cleaner: a cancel may come at any time.
        val cancellation = FfiCancellation()
        val result = scope.async { runCatching { engine.call(cancellation) } }
        return translating { awaitOr(result) { cancellation.cancel() }.getOrThrow() }
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
        ended(true)
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
     * The native side says "cancelled" also when the end took the request away. A `CancellationException` would then
     * end the caller's coroutine without a word, so that case is [LoreKitException.Closed].
     */
    inline fun <T> translating(block: () -> T): T =
        try {
            block()
        } catch (error: CancellationException) {
            throw error
        } catch (error: FfiException.Cancelled) {
            throw if (ended.get()) closedException(error) else CancellationException("cancelled", error)
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
