package dev.lorekit.internal

import dev.lorekit.AddReport
import dev.lorekit.AppliedPack
import dev.lorekit.ApplyReport
import dev.lorekit.ChangeEvent
import dev.lorekit.ChangeStage
import dev.lorekit.CompactReport
import dev.lorekit.KeptState
import dev.lorekit.LibraryConfiguration
import dev.lorekit.LibraryState
import dev.lorekit.LocalDocument
import dev.lorekit.Origin
import dev.lorekit.OwnDocument
import dev.lorekit.Purge
import dev.lorekit.PurgeReport
import dev.lorekit.internal.ffi.FfiAddReport
import dev.lorekit.internal.ffi.FfiAppliedPack
import dev.lorekit.internal.ffi.FfiApplyReport
import dev.lorekit.internal.ffi.FfiChangeProgress
import dev.lorekit.internal.ffi.FfiChangeStage
import dev.lorekit.internal.ffi.FfiCompactReport
import dev.lorekit.internal.ffi.FfiLibraryOptions
import dev.lorekit.internal.ffi.FfiLibraryState
import dev.lorekit.internal.ffi.FfiOrigin
import dev.lorekit.internal.ffi.FfiOwnDocument
import dev.lorekit.internal.ffi.FfiPurge
import dev.lorekit.internal.ffi.FfiPurgeReport

internal fun LibraryConfiguration.toFfi(): FfiLibraryOptions = FfiLibraryOptions(
    folder = folder.absolutePath,
    trustedKeys = trustedKeys,
    allowUnsigned = allowUnsigned,
    key = key?.bytes,
    contentKey = contentKey?.bytes,
    today = today,
    keptStates = count(keptStates, "keptStates"),
)

internal fun OwnDocument.toFfi(): FfiOwnDocument = FfiOwnDocument(
    id = id,
    path = path,
    content = content.encodeToByteArray(),
    title = title,
    labels = labels,
)

internal fun Purge.toFfi(): FfiPurge = when (this) {
    Purge.EVERYTHING -> FfiPurge.EVERYTHING
    Purge.REVOKED -> FfiPurge.REVOKED
}

internal fun FfiOrigin.toPublic(): Origin = when (this) {
    FfiOrigin.PUBLISHER -> Origin.PUBLISHER
    FfiOrigin.LOCAL -> Origin.LOCAL
}

internal fun FfiChangeProgress.toPublic(): ChangeEvent.Progress = ChangeEvent.Progress(
    stage = when (stage) {
        FfiChangeStage.COPY -> ChangeStage.COPY
        FfiChangeStage.EMBED -> ChangeStage.EMBED
        FfiChangeStage.TEXT -> ChangeStage.TEXT
        FfiChangeStage.INDEX -> ChangeStage.INDEX
        FfiChangeStage.RECALL -> ChangeStage.RECALL
        FfiChangeStage.PACK -> ChangeStage.PACK
    },
    done = done.toLong(),
    total = total.toLong(),
)

internal fun FfiApplyReport.toPublic(): ApplyReport = ApplyReport(
    applied = applied,
    generation = generation.toLong(),
    version = version.toLong(),
    state = state,
    ownerRollback = ownerRollback,
)

internal fun FfiAddReport.toPublic(): AddReport = AddReport(generation.toLong(), passages.toLong())

internal fun FfiCompactReport.toPublic(): CompactReport = CompactReport(
    generation = generation.toLong(),
    publisherPacks = publisherPacks.toLong(),
    localPacks = localPacks.toLong(),
    droppedStates = droppedStates.toLong(),
)

internal fun FfiPurgeReport.toPublic(): PurgeReport = PurgeReport(
    filesRemoved = filesRemoved.toLong(),
    droppedStates = droppedStates.toLong(),
    baseStillHolds = baseStillHolds,
    refusalRecorded = refusalRecorded,
)

internal fun FfiLibraryState.toPublic(): LibraryState = LibraryState(
    generation = generation.toLong(),
    packId = packId,
    version = version.toLong(),
    state = state,
    versionFloor = versionFloor.toLong(),
    base = base.toPublic(),
    compacted = compacted,
    deltas = deltas.map { it.toPublic() },
    localDocuments = localDocuments.map { LocalDocument(it.id, it.title) },
    kept = kept.map { KeptState(it.version.toLong(), it.state) },
    passages = passages.toLong(),
    revoked = revoked.toLong(),
    revokedInReadOnlyBase = revokedInReadOnlyBase.toLong(),
    sealed = sealed,
    baseSealed = baseSealed,
    bytes = bytes.toLong(),
    expires = expires,
    expired = expired,
    clockTurnedBack = clockTurnedBack,
)

private fun FfiAppliedPack.toPublic(): AppliedPack = AppliedPack(
    manifest = manifest,
    version = version.toLong(),
    signer = signer,
    bytes = bytes.toLong(),
    passages = passages.toLong(),
    withdrawals = withdrawals.toLong(),
)
