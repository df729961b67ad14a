package dev.lorekit

/**
 * A passage that was found for a question, with its document and its place.
 *
 * @property id its name across builds, in hexadecimal.
 * @property text its text.
 * @property document the document it is from.
 * @property titlePath headings above it, outermost first.
 * @property article label of its article, for example `第五条`.
 * @property place document id, `#`, and article number or heading.
 * @property source bytes of the source file.
 * @property page page in the source, if it has pages.
 * @property validFrom first day it holds, `YYYY-MM-DD`.
 * @property validTo last day it holds, `YYYY-MM-DD`.
 * @property score fused score from 0 to 1, larger is better; comparable within one search only.
 * @property dense cosine similarity of question and passage, if the search used vectors.
 * @property lexical BM25 score, if the passage shares a term with the question.
 * @property origin whether the publisher or this device brought it.
 */
public data class Passage(
    public val id: String,
    public val text: String,
    public val document: Document,
    public val titlePath: List<String>,
    public val article: String?,
    public val place: String,
    public val source: LongRange,
    public val page: Int?,
    public val validFrom: String?,
    public val validTo: String?,
    public val score: Float,
    public val dense: Float?,
    public val lexical: Float?,
    public val origin: Origin = Origin.PUBLISHER,
)

/**
 * The document a passage is from.
 *
 * @property id its stable name.
 * @property title its title.
 * @property path its path in the publisher's folder, or the name that the app gave.
 * @property version its edition.
 * @property language its language, BCP 47.
 */
public data class Document(
    public val id: String,
    public val title: String,
    public val path: String,
    public val version: String?,
    public val language: String,
)
