package dev.lorekit

/**
 * What a pack says of itself.
 *
 * @property id the pack's id.
 * @property version its version, which grows with every release.
 * @property title its title.
 * @property languages the languages of its documents.
 * @property documentCount how many documents it holds.
 * @property passageCount how many passages it holds.
 * @property licence the licence of its contents, as its publisher stated it.
 * @property state hash of its logical state, in hexadecimal.
 */
public data class PackInfo(
    public val id: String,
    public val version: Long,
    public val title: String,
    public val languages: List<String>,
    public val documentCount: Long,
    public val passageCount: Long,
    public val licence: String,
    public val state: String,
)

/**
 * What a language model says of itself.
 *
 * @property name the name in the file.
 * @property architecture the architecture, for example `qwen2`.
 * @property fileBytes size of the file in bytes.
 * @property contextTokens tokens that prompt and answer may take together.
 */
public data class ModelInfo(
    public val name: String,
    public val architecture: String,
    public val fileBytes: Long,
    public val contextTokens: Int,
)
