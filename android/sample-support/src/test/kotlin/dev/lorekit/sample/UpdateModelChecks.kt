package dev.lorekit.sample

import dev.lorekit.AppliedPack
import dev.lorekit.ApplyReport
import dev.lorekit.ChangeEvent
import dev.lorekit.ChangeStage
import dev.lorekit.KeptState
import dev.lorekit.LibraryState
import dev.lorekit.LoreKitException
import java.io.File
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.flow

/** A library of two versions, in memory; `gate` holds an update after its progress. */
private class Shelf(private val gate: CompletableDeferred<Unit>? = null) : Updating {
    var version = 1L
    var stopped = false

    override suspend fun libraryState() = LibraryState(
        generation = version,
        packId = "rules",
        version = version,
        state = "",
        versionFloor = 1,
        base = AppliedPack("", 1, null, 0, 0, 0),
        compacted = false,
        deltas = emptyList(),
        localDocuments = emptyList(),
        kept = if (version > 1) listOf(KeptState(1, "")) else emptyList(),
        passages = 0,
        revoked = 0,
        revokedInReadOnlyBase = 0,
        sealed = false,
        baseSealed = false,
        bytes = 0,
        expires = null,
        expired = false,
        clockTurnedBack = false,
    )

    override fun apply(delta: File): Flow<ChangeEvent<ApplyReport>> = flow {
        if (delta.name == "foreign.lorepack") throw LoreKitException.Untrusted("not trusted", delta.path)
        emit(PROGRESS)
        try {
            gate?.await()
        } finally {
            stopped = gate?.isCompleted == false
        }
        val applied = version == 1L
        version = 2
        emit(ChangeEvent.Finished(report(applied)))
    }

    override suspend fun rollback(): ApplyReport {
        if (version == 1L) throw LoreKitException.NothingToRollBackTo("nothing is kept")
        version = 1
        return report(true)
    }

    private fun report(applied: Boolean) = ApplyReport(applied, version, version, "", false)
}

private val PROGRESS = ChangeEvent.Progress(ChangeStage.COPY, 1, 2)
private val DELTA = File("update-2.lorepack")

internal val UPDATE_CHECKS: Map<String, () -> Unit> = mapOf(
    "an update is taken with its progress, told when it was taken before, and gone back from" to {
        val gate = CompletableDeferred<Unit>()
        val model = UpdateModel(Shelf(gate), scope())
        model.look()
        assertEquals(UpdateState(UpdateStatus.Idle, version = 1, canGoBack = false), model.state.value)
        model.apply(DELTA)
        assertEquals(UpdateStatus.Applying(PROGRESS), model.state.value.status)
        assertTrue(model.state.value.busy)
        model.goBack()
        assertEquals(UpdateStatus.Applying(PROGRESS), model.state.value.status, "one change at a time")
        gate.complete(Unit)
        assertEquals(UpdateState(UpdateStatus.Updated, version = 2, canGoBack = true), model.state.value)
        model.apply(DELTA)
        assertEquals(UpdateStatus.UpToDate, model.state.value.status)
        model.goBack()
        assertEquals(UpdateState(UpdateStatus.WentBack, version = 1, canGoBack = false), model.state.value)
    },
    "an update that is refused is shown by its code, and changes nothing" to {
        val model = UpdateModel(Shelf(), scope())
        model.apply(File("foreign.lorepack"))
        assertEquals(UpdateState(UpdateStatus.Failed("untrusted", "not trusted"), 1, false), model.state.value)
        model.goBack()
        assertEquals(UpdateStatus.Failed("nothing_to_roll_back_to", "nothing is kept"), model.state.value.status)
    },
    "stopping an update frees the buttons" to {
        val shelf = Shelf(CompletableDeferred())
        val model = UpdateModel(shelf, scope())
        model.apply(DELTA)
        model.stop()
        assertTrue(shelf.stopped)
        assertFalse(model.state.value.busy)
        assertEquals(UpdateState(UpdateStatus.Stopped, 1, false), model.state.value)
    },
)
