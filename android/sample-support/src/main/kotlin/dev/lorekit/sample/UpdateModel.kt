package dev.lorekit.sample

import dev.lorekit.ApplyReport
import dev.lorekit.ChangeEvent
import dev.lorekit.Engine
import dev.lorekit.LibraryState
import dev.lorekit.LoreKitException
import java.io.File
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.NonCancellable
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch
import kotlinx.coroutines.withContext

/** What came of the last press. */
public sealed interface UpdateStatus {
    /** Nothing was pressed yet. */
    public data object Idle : UpdateStatus

    /**
     * An update is being taken.
     *
     * @property progress how far it is; null at its start.
     */
    public data class Applying(public val progress: ChangeEvent.Progress?) : UpdateStatus

    /** The way back is under way. */
    public data object GoingBack : UpdateStatus

    /** The update was taken; the state has its version. */
    public data object Updated : UpdateStatus

    /** The update had been taken before. */
    public data object UpToDate : UpdateStatus

    /** The version before is current again. */
    public data object WentBack : UpdateStatus

    /** The person stopped it. */
    public data object Stopped : UpdateStatus

    /**
     * It failed, and nothing changed.
     *
     * @property code stable name of the error, for the app's own wording.
     * @property message what the library says, in English.
     */
    public data class Failed(public val code: String, public val message: String) : UpdateStatus
}

/**
 * What the update buttons show.
 *
 * @property status what came of the last press.
 * @property version the version of the knowledge that answers now; null before anybody looked.
 * @property canGoBack whether there is a version to go back to, so that the screen offers it.
 */
public data class UpdateState(
    public val status: UpdateStatus = UpdateStatus.Idle,
    public val version: Long? = null,
    public val canGoBack: Boolean = false,
) {
    /** Whether a change is under way: the buttons do nothing then, and the screen offers to stop it. */
    public val busy: Boolean get() = status is UpdateStatus.Applying || status == UpdateStatus.GoingBack
}

/** Whoever takes updates: an engine with a library, or a fake in a test. */
public interface Updating {
    /** As [Engine.libraryState]. */
    public suspend fun libraryState(): LibraryState

    /** As [Engine.apply]. */
    public fun apply(delta: File): Flow<ChangeEvent<ApplyReport>>

    /** As [Engine.rollback]. */
    public suspend fun rollback(): ApplyReport
}

/** This engine as the one that takes updates. */
public fun Engine.updating(): Updating {
    val engine = this
    return object : Updating {
        override suspend fun libraryState() = engine.libraryState()

        override fun apply(delta: File) = engine.apply(delta)

        override suspend fun rollback() = engine.rollback()
    }
}

/**
 * The logic of two buttons, without a screen: take an update with its progress, stoppable, and go back to the one before.
 *
 * @param updating whoever takes updates.
 * @param scope where changes run; a view model's scope, so that leaving the screen stops them.
 */
public class UpdateModel(
    private val updating: Updating,
    private val scope: CoroutineScope,
) {
    private val mutable = MutableStateFlow(UpdateState())
    private var running: Job? = null

    /** What the screen shows. */
    public val state: StateFlow<UpdateState> = mutable.asStateFlow()

    /** Reads what the library is; call it when the screen appears. */
    public fun look() {
        scope.launch { read() }
    }

    /** Takes an update that lies on the device; does nothing while a change is under way. */
    public fun apply(delta: File): Unit = press(UpdateStatus.Applying(null)) {
        var end: UpdateStatus = UpdateStatus.UpToDate
        updating.apply(delta).collect { event ->
            when (event) {
                is ChangeEvent.Progress -> show(UpdateStatus.Applying(event))
                is ChangeEvent.Finished -> if (event.report.applied) end = UpdateStatus.Updated
            }
        }
        end
    }

    /** Goes back to the version before; does nothing while a change is under way. */
    public fun goBack(): Unit = press(UpdateStatus.GoingBack) {
        updating.rollback()
        UpdateStatus.WentBack
    }

    /** Stops the update that is being taken; the knowledge stays what it was. */
    public fun stop() {
        running?.cancel()
    }

    private fun press(now: UpdateStatus, work: suspend () -> UpdateStatus) {
        if (state.value.busy) return
        show(now)
        running = scope.launch {
            var end: UpdateStatus = UpdateStatus.Stopped
            try {
                end = work()
            } catch (error: CancellationException) {
                throw error
            } catch (error: LoreKitException) {
                end = UpdateStatus.Failed(error.code, error.message.orEmpty())
            } finally {
                withContext(NonCancellable) { read() }
                show(end)
            }
        }
    }

    private suspend fun read() {
        try {
            val library = updating.libraryState()
            mutable.update { it.copy(version = library.version, canGoBack = library.kept.isNotEmpty()) }
        } catch (_: LoreKitException) {
            // Without a library there is nothing to go back to, and a press says why.
            mutable.update { it.copy(canGoBack = false) }
        }
    }

    private fun show(status: UpdateStatus) {
        mutable.update { it.copy(status = status) }
    }
}
