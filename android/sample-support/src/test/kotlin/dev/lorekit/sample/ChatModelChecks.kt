package dev.lorekit.sample

import dev.lorekit.Answer
import dev.lorekit.AnswerEvent
import dev.lorekit.AnswerOptions
import dev.lorekit.Citation
import dev.lorekit.DeclineReason
import dev.lorekit.Document
import dev.lorekit.LoreKitException
import dev.lorekit.Origin
import dev.lorekit.Outcome
import dev.lorekit.Passage
import dev.lorekit.Usage
import kotlin.system.exitProcess
import kotlin.test.assertEquals
import kotlin.test.assertFalse
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineScope
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.Job
import kotlinx.coroutines.awaitCancellation
import kotlinx.coroutines.flow.flow
import kotlinx.coroutines.flow.flowOf

private val PASSAGE = Passage(
    id = "1",
    text = "宽限期为三天😀。逾期计息。",
    document = Document("rules", "银行卡规则", "rules.md", null, "zh"),
    titlePath = listOf("银行卡规则", "还款"),
    article = "第一条",
    place = "rules#第一条",
    source = 0L until 40L,
    page = null,
    validFrom = null,
    validTo = null,
    score = 1f,
    dense = null,
    lexical = 1f,
)

/** `三天😀。` in the answer and in the passage. */
private val CITATION = Citation(answer = 3 until 8, passage = 0, quoted = 4 until 9, source = 12L until 25L)
private const val TEXT = "依据：三天😀。好。"

private fun answer(outcome: Outcome) = Answer(
    text = TEXT,
    citations = if (outcome == Outcome.Answered) listOf(CITATION) else emptyList(),
    passages = listOf(PASSAGE),
    outcome = outcome,
    usage = Usage(1, 0, 1, Duration.ZERO, Duration.ZERO, Duration.ZERO, 0.0, 0.0),
)

private fun events(outcome: Outcome) = listOf(
    AnswerEvent.Retrieved(listOf(PASSAGE)),
    AnswerEvent.Text(TEXT.take(5)),
    AnswerEvent.Text(TEXT.drop(5)),
    AnswerEvent.Finished(answer(outcome)),
)

internal fun scope() = CoroutineScope(Dispatchers.Unconfined + Job())

private fun model(outcome: Outcome) = ChatModel({ _, _ -> flowOf(*events(outcome).toTypedArray()) }, scope())

private val CHECKS: Map<String, () -> Unit> = mapOf(
    "an answer is cut at its citations, around an emoji" to {
        val model = model(Outcome.Answered)
        model.ask(" 几天？ ")
        val turn = model.state.value.turns.single()
        assertEquals("几天？" to TurnStatus.Answered, turn.question to turn.status)
        assertEquals(listOf("依据：" to false, "三天😀。" to true, "好。" to false), turn.segments().map { it.text to (it.citation != null) })
    },
    "a citation opens its passage with the span marked" to {
        val model = model(Outcome.Answered)
        model.ask("几天？")
        model.open(0, CITATION)
        assertEquals(OpenedPassage("银行卡规则 第一条", "宽限期为", "三天😀。", "逾期计息。", Origin.PUBLISHER), model.state.value.opened)
        model.dismiss()
        assertEquals(null, model.state.value.opened)
        val own = answer(Outcome.Answered).copy(passages = listOf(PASSAGE.copy(origin = Origin.LOCAL)))
        val other = ChatModel({ _, _ -> flowOf(AnswerEvent.Finished(own)) }, scope())
        other.ask("几天？")
        other.open(0, CITATION)
        assertEquals(Origin.LOCAL, other.state.value.opened?.origin, "a document of the app is shown as such")
    },
    "declining shows the nearest passages" to {
        val model = model(Outcome.Declined(DeclineReason.NOTHING_FOUND))
        model.ask("几天？")
        val turn = model.state.value.turns.single()
        assertEquals(TurnStatus.Declined(DeclineReason.NOTHING_FOUND) to listOf(PASSAGE), turn.status to turn.passages)
    },
    "stopping keeps what has come and frees the screen" to {
        val stopped = CompletableDeferred<Unit>()
        val model = ChatModel({ _, _ ->
            flow {
                emit(AnswerEvent.Text("依据"))
                try {
                    awaitCancellation()
                } finally {
                    stopped.complete(Unit)
                }
            }
        }, scope())
        model.ask("几天？")
        assertTrue(model.state.value.busy)
        model.ask("第二个问题")
        assertEquals(1, model.state.value.turns.size, "one question at a time")
        model.stop()
        assertTrue(stopped.isCompleted)
        assertFalse(model.state.value.busy)
        assertEquals("依据" to TurnStatus.Stopped, model.state.value.turns.single().run { text to status })
    },
    "an error is shown by its code" to {
        val model = ChatModel({ _, _ -> flow { throw LoreKitException.QuestionTooLong("9 of 8", 9, 8) } }, scope())
        model.ask("几天？")
        assertEquals(TurnStatus.Failed("question_too_long", "9 of 8"), model.state.value.turns.single().status)
    },
    "the chosen adapter goes with the next question" to {
        val seen = mutableListOf<AnswerOptions>()
        val model = ChatModel({ _, options -> seen += options; flowOf(AnswerEvent.Finished(answer(Outcome.Truncated))) }, scope())
        model.ask("一")
        model.choose("calm")
        model.ask("二")
        assertEquals(listOf(null, "calm"), seen.map { it.adapter })
        assertEquals(TurnStatus.Truncated, model.state.value.turns.last().status)
    },
)

/** Runs the checks of the sample logic; needs no native library. */
public fun main() {
    var failed = 0
    val checks = CHECKS + UPDATE_CHECKS
    for ((name, check) in checks) {
        try {
            check()
            println("ok   $name")
        } catch (error: Throwable) {
            failed++
            println("FAIL $name")
            error.printStackTrace(System.out)
        }
    }
    println("${checks.size - failed} checks passed, $failed failed")
    exitProcess(if (failed == 0) 0 else 1)
}
