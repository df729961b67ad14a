package dev.lorekit.internal

import dev.lorekit.LoreKitException
import dev.lorekit.internal.ffi.FfiException
import kotlinx.coroutines.CancellationException

/** What an app sees of what the native side threw. Exhaustive: a new case is a decision here. */
internal fun toPublic(error: Throwable): Throwable =
    when (error) {
        is FfiException -> when (error) {
            is FfiException.NotFound -> LoreKitException.NotFound(error.text, error.path, error)
            is FfiException.Damaged -> LoreKitException.Damaged(error.text, error.path, error)
            is FfiException.Unsupported -> LoreKitException.Unsupported(error.text, error.path, error)
            is FfiException.EmbedderMismatch -> LoreKitException.EmbedderMismatch(error.text, error)
            is FfiException.AdapterMismatch -> LoreKitException.AdapterMismatch(error.text, error.adapter, error)
            is FfiException.KeyNeeded -> LoreKitException.KeyNeeded(error.text, error.path, error)
            is FfiException.WrongKey -> LoreKitException.WrongKey(error.text, error.path, error)
            is FfiException.InvalidKey -> LoreKitException.InvalidKey(error.text, error)
            is FfiException.Untrusted -> LoreKitException.Untrusted(error.text, error.path, error)
            is FfiException.Expired -> LoreKitException.Expired(error.text, error.path, error)
            is FfiException.ClockTurnedBack -> LoreKitException.ClockTurnedBack(error.text, error.path, error)
            is FfiException.Replayed -> LoreKitException.Replayed(error.text, error.path, error)
            is FfiException.Fork -> LoreKitException.Fork(error.text, error.path, error)
            is FfiException.OtherParent -> LoreKitException.OtherParent(error.text, error.path, error)
            is FfiException.OtherPack -> LoreKitException.OtherPack(error.text, error.path, error)
            is FfiException.Purged -> LoreKitException.Purged(error.text, error.path, error)
            is FfiException.Locked -> LoreKitException.Locked(error.text, error.path, error)
            is FfiException.ReadOnly -> LoreKitException.ReadOnly(error.text, error)
            is FfiException.NothingToRollBackTo -> LoreKitException.NothingToRollBackTo(error.text, error)
            is FfiException.UnusableDocument -> LoreKitException.UnusableDocument(error.text, error)
            is FfiException.EmptyQuestion -> LoreKitException.EmptyQuestion(error.text, error)
            is FfiException.QuestionTooLong ->
                LoreKitException.QuestionTooLong(error.text, error.tokens.toLong(), error.limit.toLong(), error)
            is FfiException.NoModel -> LoreKitException.NoModel(error.text, error)
            is FfiException.Storage -> LoreKitException.Storage(error.text, error)
            is FfiException.Closed -> LoreKitException.Closed(error.text, error)
            is FfiException.Cancelled -> CancellationException(error.text, error)
            is FfiException.Internal -> LoreKitException.Internal(error.text, error)
        }
        is LoreKitException, is CancellationException, is VirtualMachineError -> error
        // A caught panic of the native side, or a native library that is not there.
        else -> LoreKitException.Internal(error.javaClass.simpleName + ": " + error.message, error)
    }
