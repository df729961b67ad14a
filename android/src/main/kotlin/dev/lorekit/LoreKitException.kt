package dev.lorekit

/**
 * What can go wrong, cut by what the app can do about it.
 *
 * Cancellation is none of these: it is a [kotlinx.coroutines.CancellationException].
 * Messages name files, sizes and causes, never a question, a passage or an answer.
 *
 * @property code a stable name for logs, for example `not_found`.
 */
public sealed class LoreKitException(
    message: String,
    public val code: String,
    cause: Throwable?,
) : Exception(message, cause) {
    /**
     * There is no file there: fetch it.
     *
     * @property path the missing file.
     */
    public class NotFound(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "not_found", cause)

    /**
     * A pack, model, embedder or adapter is damaged: fetch it again.
     *
     * @property path the damaged file.
     */
    public class Damaged(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "damaged", cause)

    /**
     * A file is sound but of a kind this version does not read: update the app or the file.
     *
     * @property path the file.
     */
    public class Unsupported(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "unsupported", cause)

    /** The pack was built with another embedder than the one on this device. */
    public class EmbedderMismatch(message: String, cause: Throwable? = null) :
        LoreKitException(message, "embedder_mismatch", cause)

    /**
     * The adapter does not fit the model, or none of this name was opened: choose another.
     *
     * @property adapter name or file of the adapter.
     */
    public class AdapterMismatch(message: String, public val adapter: String, cause: Throwable? = null) :
        LoreKitException(message, "adapter_mismatch", cause)

    /**
     * A file is sealed, and the app gave no key for it.
     *
     * @property path the sealed file.
     */
    public class KeyNeeded(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "key_needed", cause)

    /**
     * A file is sealed with another key than the app's.
     *
     * @property path the sealed file.
     */
    public class WrongKey(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "wrong_key", cause)

    /** A key that the app gave is no key. */
    public class InvalidKey(message: String, cause: Throwable? = null) :
        LoreKitException(message, "invalid_key", cause)

    /**
     * A pack is not signed by anyone the app trusts: do not use it.
     *
     * @property path the pack.
     */
    public class Untrusted(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "untrusted", cause)

    /**
     * The last day of a pack, or of the keys that signed it, is over: fetch a newer one.
     *
     * @property path the pack.
     */
    public class Expired(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "expired", cause)

    /**
     * A pack expired by a day that was seen before, and the clock now says an earlier one.
     *
     * @property path the pack.
     */
    public class ClockTurnedBack(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "clock_turned_back", cause)

    /**
     * A delta is older than what was applied before: fetch the newest.
     *
     * @property path the delta.
     */
    public class Replayed(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "replayed", cause)

    /**
     * A delta gives other content to a version that is known.
     *
     * @property path the delta.
     */
    public class Fork(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "fork", cause)

    /**
     * A delta builds on another state than the library's: fetch the ones between.
     *
     * @property path the delta.
     */
    public class OtherParent(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "other_parent", cause)

    /**
     * A pack belongs to another body of knowledge than the library.
     *
     * @property path the pack.
     */
    public class OtherPack(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "other_pack", cause)

    /**
     * The library was purged, and this folder opens no more.
     *
     * @property path the library's folder.
     */
    public class Purged(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "purged", cause)

    /**
     * The library's folder is open elsewhere: one engine at a time has it.
     *
     * @property path the lock.
     */
    public class Locked(message: String, public val path: String, cause: Throwable? = null) :
        LoreKitException(message, "locked", cause)

    /** The engine was opened without a library, and nothing can be changed. */
    public class ReadOnly(message: String, cause: Throwable? = null) :
        LoreKitException(message, "read_only", cause)

    /** No earlier state is kept that a rollback could go to. */
    public class NothingToRollBackTo(message: String, cause: Throwable? = null) :
        LoreKitException(message, "nothing_to_roll_back_to", cause)

    /** A document of the app cannot become part of the library. */
    public class UnusableDocument(message: String, cause: Throwable? = null) :
        LoreKitException(message, "unusable_document", cause)

    /** The question is empty. */
    public class EmptyQuestion(message: String, cause: Throwable? = null) :
        LoreKitException(message, "empty_question", cause)

    /**
     * The question alone is longer than the window: shorten it.
     *
     * @property tokens tokens of the question with its fixed surroundings.
     * @property limit tokens the window leaves for it.
     */
    public class QuestionTooLong(
        message: String,
        public val tokens: Long,
        public val limit: Long,
        cause: Throwable? = null,
    ) : LoreKitException(message, "question_too_long", cause)

    /** An answer was asked of an engine that was opened without a language model. */
    public class NoModel(message: String, cause: Throwable? = null) :
        LoreKitException(message, "no_model", cause)

    /** Reading or writing failed: free space, check permissions. */
    public class Storage(message: String, cause: Throwable? = null) :
        LoreKitException(message, "storage", cause)

    /** The engine was closed. */
    public class Closed(message: String, cause: Throwable? = null) :
        LoreKitException(message, "closed", cause)

    /** A defect of this library: please report it. */
    public class Internal(message: String, cause: Throwable? = null) :
        LoreKitException(message, "internal", cause)
}
