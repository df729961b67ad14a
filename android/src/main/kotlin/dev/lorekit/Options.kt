package dev.lorekit

import java.io.File

/**
 * What an engine opens.
 *
 * @property pack the knowledge pack, `*.lorepack`; with [library] its base, which is never written to.
 * @property embedder the embedder the pack was built with, as GGUF.
 * @property model the language model, as GGUF; without one the engine searches but does not answer.
 * @property adapters LoRA adapters by name; each request names one, or none.
 * @property threads threads for inference; 0 takes the number of processors, at most 4.
 * @property contextTokens window of prompt and answer in tokens; 0 takes 4,096 or the model's own, whichever is smaller.
 * @property cacheFolder folder in which computed beginnings of prompts outlive the process, for example
 *   `context.noBackupFilesDir`; null keeps them in memory alone. Like memory, it holds what passages say.
 * @property library makes the pack the base of a library that takes updates; null opens the pack alone.
 */
public data class EngineConfiguration(
    public val pack: File,
    public val embedder: File,
    public val model: File? = null,
    public val adapters: Map<String, File> = emptyMap(),
    public val threads: Int = 0,
    public val contextTokens: Int = 0,
    public val cacheFolder: File? = null,
    public val library: LibraryConfiguration? = null,
)

/** How hot the device is, in steps of `PowerManager`'s thermal status. */
public enum class ThermalState {
    /** Cool: everything is allowed. `THERMAL_STATUS_NONE`. */
    NOMINAL,

    /** Warm: nothing changes yet. `THERMAL_STATUS_LIGHT`. */
    FAIR,

    /** Hot: answers are the same, somewhat later. `THERMAL_STATUS_MODERATE` and `THERMAL_STATUS_SEVERE`. */
    SERIOUS,

    /** Too hot to compute: an answer is the best passage as it stands, and the model is not asked. `THERMAL_STATUS_CRITICAL`. */
    CRITICAL,
}

/** Which lists take part in a search. */
public enum class SearchMode {
    /** By meaning and by words, fused. */
    HYBRID,

    /** By meaning only: cosine similarity of embeddings. */
    DENSE,

    /** By words only: BM25. Needs no embedding of the question. */
    LEXICAL,
}

/**
 * How to search.
 *
 * @property limit how many places to return.
 * @property mode which lists take part.
 * @property asOf the day for which the rules are asked, `YYYY-MM-DD`; null takes today.
 * @property labels the caller's access labels; what they do not allow does not exist for this search.
 */
public data class SearchOptions(
    public val limit: Int = 3,
    public val mode: SearchMode = SearchMode.HYBRID,
    public val asOf: String? = null,
    public val labels: List<String> = emptyList(),
)

/** The shape of an answer. */
public enum class AnswerFormat {
    /** First the basis, a label and a word-for-word quote of one passage, then a short explanation. */
    BASIS,

    /** Free text, cited where it repeats a passage word for word. */
    FREE,
}

/**
 * One earlier question and its answer.
 *
 * @property question what was asked.
 * @property answer what was answered.
 */
public data class Exchange(
    public val question: String,
    public val answer: String,
)

/**
 * How to answer.
 *
 * @property search how to search; the default takes the three best places that are in force today.
 * @property format the shape of the answer.
 * @property maxTokens tokens of the answer at most.
 * @property temperature randomness of the free parts; 0 always takes the likeliest token.
 * @property seed seed for a temperature above 0; same pack, model, seed and options: same answer.
 * @property adapter name of the adapter that decides how it is said.
 * @property floor cosine similarity below which the question is declined; null takes the pack's own floor.
 * @property history earlier turns of the conversation, oldest first.
 */
public data class AnswerOptions(
    public val search: SearchOptions = SearchOptions(),
    public val format: AnswerFormat = AnswerFormat.BASIS,
    public val maxTokens: Int = 320,
    public val temperature: Float = 0f,
    public val seed: Long = 0,
    public val adapter: String? = null,
    public val floor: Float? = null,
    public val history: List<Exchange> = emptyList(),
)
