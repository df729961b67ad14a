package dev.lorekit.sample

import dev.lorekit.Answer
import dev.lorekit.AnswerEvent
import dev.lorekit.AnswerOptions
import dev.lorekit.Citation
import dev.lorekit.LoreKitException
import dev.lorekit.Outcome
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Job
import kotlinx.coroutines.flow.Flow
import kotlinx.coroutines.flow.MutableStateFlow
import kotlinx.coroutines.flow.StateFlow
import kotlinx.coroutines.flow.asStateFlow
import kotlinx.coroutines.flow.update
import kotlinx.coroutines.launch

/**
 * What a chat screen shows.
 *
 * @property turns questions and answers, oldest first.
 * @property adapter the adapter that the next question names; null for the model's own voice.
 * @property opened the passage that lies open, if one does.
 */
public data class ChatState(
    public val turns: List<Turn> = emptyList(),
    public val adapter: String? = null,
    public val opened: OpenedPassage? = null,
) {
    /** Whether an answer is coming, so that the screen offers to stop it. */
    public val busy: Boolean get() = turns.lastOrNull()?.status == TurnStatus.Streaming
}

/** Whoever answers: `engine::answer`, or a fake in a test. */
public fun interface Answering {
    /** As [dev.lorekit.Engine.answer]. */
    public fun answer(question: String, options: AnswerOptions): Flow<AnswerEvent>
}

/**
 * The logic of a chat screen, without a screen: one question at a time, streamed, stoppable, with citations to open.
 *
 * @param answering whoever answers.
 * @param scope where answers are collected; a view model's scope, so that leaving the screen stops the model.
 * @param options how to answer; the adapter is the state's.
 */
public class ChatModel(
    private val answering: Answering,
    private val scope: CoroutineScope,
    private val options: AnswerOptions = AnswerOptions(),
) {
    private val mutable = MutableStateFlow(ChatState())
    private var running: Job? = null

    /** What the screen shows. */
    public val state: StateFlow<ChatState> = mutable.asStateFlow()

    /** Asks; does nothing while an answer is coming or when there is nothing to ask. */
    public fun ask(question: String) {
        val asked = question.trim()
        if (asked.isEmpty() || state.value.busy) return
        mutable.update { it.copy(turns = it.turns + Turn(asked), opened = null) }
        running = scope.launch { collect(asked, options.copy(adapter = state.value.adapter)) }
    }

    /** Stops the answer that is coming; what has come stays on the screen. */
    public fun stop() {
        running?.cancel()
    }

    /** Chooses who says the next answer; null for the model's own voice. */
    public fun choose(adapter: String?) {
        mutable.update { it.copy(adapter = adapter) }
    }

    /** Opens the passage behind [citation] of the turn at [index], with the quoted span marked. */
    public fun open(index: Int, citation: Citation) {
        val passage = state.value.turns.getOrNull(index)?.passages?.getOrNull(citation.passage) ?: return
        val place = passage.article ?: passage.titlePath.lastOrNull()
        val opened = OpenedPassage(
            title = listOfNotNull(passage.document.title, place).distinct().joinToString(" "),
            before = passage.text.substring(0, citation.quoted.first),
            marked = passage.text.substring(citation.quoted),
            after = passage.text.substring(citation.quoted.last + 1),
            origin = passage.origin,
        )
        mutable.update { it.copy(opened = opened) }
    }

    /** Closes the passage that lies open. */
    public fun dismiss() {
        mutable.update { it.copy(opened = null) }
    }

    private suspend fun collect(question: String, options: AnswerOptions) {
        try {
            answering.answer(question, options).collect { event -> last { it.with(event) } }
        } catch (error: CancellationException) {
            last { it.copy(status = TurnStatus.Stopped) }
            throw error
        } catch (error: LoreKitException) {
            last { it.copy(status = TurnStatus.Failed(error.code, error.message.orEmpty())) }
        }
    }

    private fun last(change: (Turn) -> Turn) {
        mutable.update { it.copy(turns = it.turns.dropLast(1) + change(it.turns.last())) }
    }
}

private fun Turn.with(event: AnswerEvent): Turn =
    when (event) {
        is AnswerEvent.Retrieved -> copy(passages = event.passages)
        is AnswerEvent.Text -> copy(text = text + event.delta)
        is AnswerEvent.Citation -> copy(citations = citations + event.citation)
        is AnswerEvent.Finished -> finished(event.answer)
    }

private fun Turn.finished(answer: Answer): Turn =
    copy(
        text = answer.text,
        citations = answer.citations,
        passages = answer.passages,
        status = when (val outcome = answer.outcome) {
            Outcome.Answered -> TurnStatus.Answered
            Outcome.Truncated -> TurnStatus.Truncated
            is Outcome.Declined -> TurnStatus.Declined(outcome.reason)
        },
    )
