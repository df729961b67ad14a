package dev.lorekit.sample

import dev.lorekit.Citation
import dev.lorekit.DeclineReason
import dev.lorekit.Origin
import dev.lorekit.Passage

/** How far a turn has come. */
public sealed interface TurnStatus {
    /** Passages or text are still coming. */
    public data object Streaming : TurnStatus

    /** Answered, with citations that can be opened. */
    public data object Answered : TurnStatus

    /** The text ended at the token limit. */
    public data object Truncated : TurnStatus

    /**
     * Not answered; the nearest passages are shown instead.
     *
     * @property reason why.
     */
    public data class Declined(public val reason: DeclineReason) : TurnStatus

    /** The person stopped it. */
    public data object Stopped : TurnStatus

    /**
     * It failed.
     *
     * @property code stable name of the error, for the app's own wording.
     * @property message what the library says, in English.
     */
    public data class Failed(public val code: String, public val message: String) : TurnStatus
}

/**
 * One question and what came of it.
 *
 * @property question what was asked.
 * @property text the answer so far.
 * @property citations its citations so far.
 * @property passages the passages they point into.
 * @property status how far it has come.
 */
public data class Turn(
    public val question: String,
    public val text: String = "",
    public val citations: List<Citation> = emptyList(),
    public val passages: List<Passage> = emptyList(),
    public val status: TurnStatus = TurnStatus.Streaming,
) {
    /** The text cut at its citations, so that a screen can make the cited parts tappable. */
    public fun segments(): List<Segment> {
        val segments = mutableListOf<Segment>()
        var from = 0
        for (citation in citations.sortedBy { it.answer.first }) {
            // Citations of different passages may overlap; the earlier one keeps the tap.
            val start = maxOf(from, citation.answer.first)
            val end = minOf(text.length, citation.answer.last + 1)
            if (start >= end) continue
            if (from < start) segments += Segment(text.substring(from, start), null)
            segments += Segment(text.substring(start, end), citation)
            from = end
        }
        if (from < text.length) segments += Segment(text.substring(from), null)
        return segments
    }
}

/**
 * A part of an answer's text.
 *
 * @property text the part.
 * @property citation what proves it; null for words of the model's own.
 */
public data class Segment(public val text: String, public val citation: Citation?)

/**
 * A passage that was opened from a citation.
 *
 * @property title how the passage is named on the screen.
 * @property before its text before the marked span.
 * @property marked the span that the answer quotes.
 * @property after its text after the marked span.
 * @property origin whether the publisher or the person's own device brought it.
 */
public data class OpenedPassage(
    public val title: String,
    public val before: String,
    public val marked: String,
    public val after: String,
    public val origin: Origin,
)
