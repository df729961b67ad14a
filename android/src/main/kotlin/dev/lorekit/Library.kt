package dev.lorekit

import java.io.File
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first

/**
 * Makes the engine's pack the base of a library that takes updates and documents of the app.
 *
 * @property folder the folder that belongs to this library alone, for example in `context.noBackupFilesDir`; made if it
 *   does not exist.
 * @property trustedKeys the public keys whose signatures are believed, as PEM or as 64 hexadecimal digits.
 * @property allowUnsigned takes packs without any signature: for development, never for an app that ships.
 * @property key seals whatever is written to [folder] and to the cache folder; null leaves it readable.
 * @property contentKey the publisher's key, for packs whose sections are sealed.
 * @property today the day by which packs expire, `YYYY-MM-DD`; null takes the device's clock.
 * @property keptStates how many earlier states are kept for a rollback.
 */
public data class LibraryConfiguration(
    public val folder: File,
    public val trustedKeys: List<String>,
    public val allowUnsigned: Boolean = false,
    public val key: SealingKey? = null,
    public val contentKey: SealingKey? = null,
    public val today: String? = null,
    public val keptStates: Int = 2,
)

/**
 * A key of 32 bytes, for example one that the Android Keystore unwrapped. It never shows its bytes.
 *
 * @param bytes the key; it is copied, and the caller's array is the caller's to erase.
 */
public class SealingKey(bytes: ByteArray) {
    internal val bytes: ByteArray = bytes.copyOf()

    override fun equals(other: Any?): Boolean = other is SealingKey && bytes.contentEquals(other.bytes)

    override fun hashCode(): Int = bytes.contentHashCode()

    override fun toString(): String = "SealingKey(..)"
}

/** Who brought a passage. */
public enum class Origin {
    /** The publisher of the pack. */
    PUBLISHER,

    /** The app, as a document of its own on this device. */
    LOCAL,
}

/**
 * A document of the app, on its way into the library.
 *
 * @property id stable name, by which it is replaced and removed.
 * @property path name of the file, whose ending says what it is: `md`, `txt`, `html`. Citations show it.
 * @property content its text.
 * @property title what people call it; null takes what it says itself, else its path.
 * @property labels access labels, of which a caller needs any; none adds nothing to those that the document names.
 */
public data class OwnDocument(
    public val id: String,
    public val path: String,
    public val content: String,
    public val title: String? = null,
    public val labels: List<String> = emptyList(),
)

/** What comes of a change of the library: any number of [Progress], and [Finished] as the last. */
public sealed interface ChangeEvent<out R> {
    /**
     * How far the change is. Who collects slowly gets the latest only.
     *
     * @property stage the step.
     * @property done done so far.
     * @property total of how many.
     */
    public data class Progress(
        public val stage: ChangeStage,
        public val done: Long,
        public val total: Long,
    ) : ChangeEvent<Nothing>

    /**
     * The change is made.
     *
     * @property report what it did.
     */
    public data class Finished<out R>(public val report: R) : ChangeEvent<R>
}

/** A step of a change. */
public enum class ChangeStage {
    /** A pack is copied into the library's folder; counted in bytes. */
    COPY,

    /** A document's passages are embedded; counted in passages. */
    EMBED,

    /** Passages are written; counted in passages. */
    TEXT,

    /** Vectors are put into an index; counted in passages. */
    INDEX,

    /** The index is measured; counted in queries. */
    RECALL,

    /** The file is put together; one step. */
    PACK,
}

/** Collects to the end and returns what the change did, for callers who show no progress. */
public suspend fun <R> Flow<ChangeEvent<R>>.finalReport(): R {
    // The type argument was erased, but a Flow<ChangeEvent<R>> emits no other Finished.
    @Suppress("UNCHECKED_CAST")
    return (first { it is ChangeEvent.Finished } as ChangeEvent.Finished<R>).report
}

/**
 * What an update or a rollback did.
 *
 * @property applied whether anything changed: not, if the delta was applied already.
 * @property generation the generation that is current now.
 * @property version the publisher's version that is current now.
 * @property state the publisher's state that is current now, in hexadecimal.
 * @property ownerRollback whether the owner's word let an older version arrive.
 */
public data class ApplyReport(
    public val applied: Boolean,
    public val generation: Long,
    public val version: Long,
    public val state: String,
    public val ownerRollback: Boolean,
)

/**
 * What adding a document did.
 *
 * @property generation the generation that is current now.
 * @property passages passages of the document.
 */
public data class AddReport(
    public val generation: Long,
    public val passages: Long,
)

/**
 * What a compaction did.
 *
 * @property generation the generation that is current now.
 * @property publisherPacks packs of the publisher that became one; 0 if there was nothing to do.
 * @property localPacks packs of the app's documents that became one; 0 if there was nothing to do.
 * @property droppedStates kept states that were given up, because files of theirs held revoked passages.
 */
public data class CompactReport(
    public val generation: Long,
    public val publisherPacks: Long,
    public val localPacks: Long,
    public val droppedStates: Long,
)

/** What to destroy. */
public enum class Purge {
    /** Everything that was written for this library; the engine ends, and the library never opens again in this folder. */
    EVERYTHING,

    /** The bytes of revoked passages, in all files of the folder. The library goes on. */
    REVOKED,
}

/**
 * What a purge did, and what it could not do.
 *
 * @property filesRemoved files that were removed from the folder.
 * @property droppedStates kept states that were given up.
 * @property baseStillHolds whether the base in its read-only place still holds what was purged.
 * @property refusalRecorded whether the library refuses to open from now on.
 */
public data class PurgeReport(
    public val filesRemoved: Long,
    public val droppedStates: Long,
    public val baseStillHolds: Boolean,
    public val refusalRecorded: Boolean,
)

/**
 * What a library is.
 *
 * @property generation number of the generation; grows by one with each change.
 * @property packId name of the body of knowledge.
 * @property version the publisher's version.
 * @property state the publisher's state, in hexadecimal: what the next delta must build on.
 * @property versionFloor the lowest version that may arrive.
 * @property base the base, or what a compaction made of the chain.
 * @property compacted whether the base is a file of the folder, written by a compaction.
 * @property deltas the deltas on it, in order.
 * @property localDocuments the app's own documents.
 * @property kept what a rollback can go to, newest last.
 * @property passages passages that can be found, local ones included.
 * @property revoked passages that are revoked.
 * @property revokedInReadOnlyBase of those, how many still stand in the base in its read-only place, hidden.
 * @property sealed whether each file of the folder that the current generation is made of is sealed.
 * @property baseSealed whether the base in its read-only place is sealed by the publisher.
 * @property bytes bytes of all files that the current generation is made of.
 * @property expires the last day of use of the newest pack, `YYYY-MM-DD`.
 * @property expired whether that day is over.
 * @property clockTurnedBack whether the clock names a day that is earlier than one seen before.
 */
public data class LibraryState(
    public val generation: Long,
    public val packId: String,
    public val version: Long,
    public val state: String,
    public val versionFloor: Long,
    public val base: AppliedPack,
    public val compacted: Boolean,
    public val deltas: List<AppliedPack>,
    public val localDocuments: List<LocalDocument>,
    public val kept: List<KeptState>,
    public val passages: Long,
    public val revoked: Long,
    public val revokedInReadOnlyBase: Long,
    public val sealed: Boolean,
    public val baseSealed: Boolean,
    public val bytes: Long,
    public val expires: String?,
    public val expired: Boolean,
    public val clockTurnedBack: Boolean,
)

/**
 * A pack that is part of the current generation.
 *
 * @property manifest hash of its manifest, in hexadecimal.
 * @property version its version.
 * @property signer the key that signed it, in hexadecimal; null for an unsigned pack.
 * @property bytes length of its file.
 * @property passages passages in it.
 * @property withdrawals passages that it withdraws.
 */
public data class AppliedPack(
    public val manifest: String,
    public val version: Long,
    public val signer: String?,
    public val bytes: Long,
    public val passages: Long,
    public val withdrawals: Long,
)

/**
 * A document of the app, as the library holds it.
 *
 * @property id its id.
 * @property title its title.
 */
public data class LocalDocument(
    public val id: String,
    public val title: String,
)

/**
 * A state that a rollback can go to.
 *
 * @property version its version.
 * @property state its hash, in hexadecimal.
 */
public data class KeptState(
    public val version: Long,
    public val state: String,
)
