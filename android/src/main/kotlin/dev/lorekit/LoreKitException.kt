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
