package dev.lorekit

import kotlin.time.Duration
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.first

/** One step of an answer. */
public sealed interface AnswerEvent {
    /**
     * What was found, best first, before the model has said a word.
     *
     * @property passages the passages.
     */
    public data class Retrieved(public val passages: List<Passage>) : AnswerEvent

    /**
     * The next piece of text, whole Unicode characters.
     *
     * @property delta the piece; all pieces together are [Answer.text].
     */
    public data class Text(public val delta: String) : AnswerEvent

    /**
     * A part of the answer that stands, word for word, in a passage.
     *
     * @property citation where, and where there.
     */
    public data class Citation(public val citation: dev.lorekit.Citation) : AnswerEvent

    /**
     * The end; nothing follows.
     *
     * @property answer the whole answer.
     */
    public data class Finished(public val answer: Answer) : AnswerEvent
}

/**
 * A complete answer.
 *
 * @property text the whole text, as it was streamed.
 * @property citations verified citations, in the order of their place in [text].
 * @property passages the passages that were in the prompt, best first; for a declined question the nearest ones.
 * @property outcome how it ended.
 * @property usage what it took.
 */
public data class Answer(
    public val text: String,
    public val citations: List<Citation>,
    public val passages: List<Passage>,
    public val outcome: Outcome,
    public val usage: Usage,
)

/**
 * A span of the answer and the span of a passage that holds exactly these characters.
 *
 * Code found it by comparing bytes; the model's word is never taken for it.
 * Ranges count UTF-16 units, as `String.substring(range)` does.
 *
 * @property answer the span of [Answer.text].
 * @property passage index into [Answer.passages].
 * @property quoted the span of that passage's text.
 * @property source bytes in the source file.
 * @property origin whether the passage is the publisher's or from a document of the app.
 */
public data class Citation(
    public val answer: IntRange,
    public val passage: Int,
    public val quoted: IntRange,
    public val source: LongRange,
    public val origin: Origin = Origin.PUBLISHER,
)

/** How an answer ended. Declining is a result, not an exception. */
public sealed interface Outcome {
    /** Answered. In [AnswerFormat.BASIS] at least one citation proves it. */
    public data object Answered : Outcome

    /**
     * Not answered; the nearest passages are in [Answer.passages].
     *
     * @property reason why.
     */
    public data class Declined(public val reason: DeclineReason) : Outcome

    /** The text ended at the token limit, not at its own end. */
    public data object Truncated : Outcome
}

/** Why a question was declined. */
public enum class DeclineReason {
    /** No passage came above the floor; the model was not asked. */
    NOTHING_FOUND,

    /** The model read the passages and said that they do not answer the question. */
    NOT_IN_PASSAGES,
}

/**
 * What an answer took.
 *
 * @property promptTokens tokens of the whole prompt.
 * @property reusedTokens prompt tokens that were still in the cache from the request before.
 * @property completionTokens tokens of the answer.
 * @property timeToPassages from the request to the passages.
 * @property timeToFirstText from the request to the first piece of text; zero when there was none.
 * @property totalTime from the request to the end.
 * @property prefillTokensPerSecond prompt tokens per second, without the reused ones; zero when nothing was computed.
 * @property decodeTokensPerSecond answer tokens per second.
 */
public data class Usage(
    public val promptTokens: Int,
    public val reusedTokens: Int,
    public val completionTokens: Int,
    public val timeToPassages: Duration,
    public val timeToFirstText: Duration,
    public val totalTime: Duration,
    public val prefillTokensPerSecond: Double,
    public val decodeTokensPerSecond: Double,
)

/** Collects to the end and returns the whole answer, for callers who show nothing meanwhile. */
public suspend fun Flow<AnswerEvent>.finalAnswer(): Answer =
    (first { it is AnswerEvent.Finished } as AnswerEvent.Finished).answer
