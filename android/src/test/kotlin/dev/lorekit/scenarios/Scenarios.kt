package dev.lorekit.scenarios

import dev.lorekit.Answer
import dev.lorekit.AnswerEvent
import dev.lorekit.AnswerFormat
import dev.lorekit.AnswerOptions
import dev.lorekit.DeclineReason
import dev.lorekit.Engine
import dev.lorekit.EngineConfiguration
import dev.lorekit.Exchange
import dev.lorekit.Log
import dev.lorekit.LogLevel
import dev.lorekit.LogRecord
import dev.lorekit.LogSink
import dev.lorekit.LoreKitException
import dev.lorekit.Outcome
import dev.lorekit.SearchMode
import dev.lorekit.SearchOptions
import dev.lorekit.ThermalState
import dev.lorekit.finalAnswer
import java.io.File
import java.util.concurrent.CopyOnWriteArrayList
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertNotEquals
import kotlin.test.assertNull
import kotlin.test.assertTrue
import kotlin.time.Duration
import kotlin.time.Duration.Companion.seconds
import kotlin.time.TimeSource
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.delay
import kotlinx.coroutines.flow.first
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch
import kotlinx.coroutines.withTimeoutOrNull

/** One scenario of the contract, under the name that it has in every language. */
class Scenario(val name: String, val run: suspend () -> Unit)

/** All scenarios, held against the fixtures in [folder]. */
fun allScenarios(folder: File): List<Scenario> = Scenarios(folder).all + LibraryScenarios(folder).all + RedactorScenarios.all

/** The contract, held against the fixtures in [folder]. */
class Scenarios(private val folder: File) {
    val all: List<Scenario> = listOf(
        Scenario("open", ::open),
        Scenario("every_error_case", ::everyErrorCase),
        Scenario("search_by_words_and_by_meaning", ::searchByWordsAndByMeaning),
        Scenario("streamed_answer_in_chinese_with_an_emoji", ::streamedAnswerInChineseWithAnEmoji),
        Scenario("break_out_of_the_loop", ::breakOutOfTheLoop),
        Scenario("cancel_during_prefill", ::cancelDuringPrefill),
        Scenario("cancel_during_decode", ::cancelDuringDecode),
        Scenario("two_answers_queued", ::twoAnswersQueued),
        Scenario("close_while_answering", ::closeWhileAnswering),
        Scenario("adapter_named_per_request", ::adapterNamedPerRequest),
        Scenario("a_thousand_open_and_close_cycles_with_flat_memory", ::aThousandOpenAndCloseCycles),
        Scenario("use_after_close", ::useAfterClose),
        Scenario("lifecycle_calls", ::lifecycleCalls),
        Scenario("log_sink", ::logSink),
    )

    private fun file(name: String) = File(folder, name)

    private val configuration = EngineConfiguration(
        pack = file("base.lorepack"),
        embedder = file("embedder.gguf"),
        model = file("model.gguf"),
        threads = 2,
    )

    private suspend fun <T> engine(configuration: EngineConfiguration = this.configuration, block: suspend (Engine) -> T): T =
        Engine.open(configuration).use { block(it) }

    private suspend fun open() = engine { engine ->
        val pack = engine.pack
        assertEquals(listOf("fixture", "Fixture", "CC0-1.0"), listOf(pack.id, pack.title, pack.licence))
        assertEquals(listOf(3L, 2L, 4L), listOf(pack.version, pack.documentCount, pack.passageCount))
        assertEquals(listOf("zh", "en"), pack.languages)
        assertEquals(64, pack.state.length)
        val model = checkNotNull(engine.model)
        assertEquals(listOf("Tiny fixture", "qwen2"), listOf(model.name, model.architecture))
        assertEquals(4_096, model.contextTokens)
        assertEquals(file("model.gguf").length(), model.fileBytes)
        engine(configuration.copy(model = null)) { assertNull(it.model) }
    }

    private suspend fun everyErrorCase() {
        val missing = file("missing.lorepack")
        val notFound = assertFailsWith<LoreKitException.NotFound> { Engine.open(configuration.copy(pack = missing)) }
        assertEquals(missing.absolutePath, notFound.path)
        assertEquals("not_found", notFound.code)
        assertEquals("${missing.absolutePath}: not found", notFound.message)
        val damaged =
            assertFailsWith<LoreKitException.Damaged> { Engine.open(configuration.copy(pack = file("damaged.lorepack"))) }
        assertEquals("damaged" to file("damaged.lorepack").absolutePath, damaged.code to damaged.path)
        val unsupported = assertFailsWith<LoreKitException.Unsupported> {
            Engine.open(configuration.copy(model = file("unsupported-model.gguf")))
        }
        assertEquals("unsupported", unsupported.code)
        val mismatch = assertFailsWith<LoreKitException.EmbedderMismatch> {
            Engine.open(configuration.copy(embedder = file("other-embedder.gguf")))
        }
        assertEquals("embedder_mismatch", mismatch.code)
        val foreign = assertFailsWith<LoreKitException.AdapterMismatch> {
            Engine.open(configuration.copy(adapters = mapOf("foreign" to file("foreign-adapter.gguf"))))
        }
        assertEquals("adapter_mismatch", foreign.code)
        // A file in a file: neither missing nor damaged, the system refuses the path.
        val refused = configuration.copy(pack = file("base.lorepack/inside"))
        assertEquals("storage", assertFailsWith<LoreKitException.Storage> { Engine.open(refused) }.code)

        val engine = Engine.open(configuration)
        suspend fun ask(question: String, options: AnswerOptions = ANSWER) = engine.answer(question, options).finalAnswer()
        assertEquals("empty_question", assertFailsWith<LoreKitException.EmptyQuestion> { ask("  ") }.code)
        assertFailsWith<LoreKitException.EmptyQuestion> { engine.search("") }
        val unknown = assertFailsWith<LoreKitException.AdapterMismatch> { ask(GRACE, ANSWER.copy(adapter = "unknown")) }
        assertEquals("unknown", unknown.adapter)
        val long = assertFailsWith<LoreKitException.QuestionTooLong> { ask(GRACE + "长".repeat(5_000)) }
        assertEquals("question_too_long", long.code)
        assertTrue(long.tokens > long.limit && long.limit > 0, "${long.tokens} of ${long.limit}")
        assertEquals("internal", assertFailsWith<LoreKitException.Internal> { ask(GRACE, ANSWER.copy(temperature = -1f)) }.code)
        engine.close()
        assertEquals("closed", assertFailsWith<LoreKitException.Closed> { ask(GRACE) }.code)
        engine(configuration.copy(model = null)) { mute ->
            val noModel = assertFailsWith<LoreKitException.NoModel> { mute.answer(GRACE, ANSWER).finalAnswer() }
            assertEquals("no_model", noModel.code)
            assertTrue(mute.search(GRACE, BY_WORDS).isNotEmpty())
        }
    }

    private suspend fun searchByWordsAndByMeaning() = engine { engine ->
        val found = engine.search(GRACE, BY_WORDS)
        assertEquals(listOf("rules#第一条"), found.map { it.place })
        assertEquals("银行卡规则" to "第一条", found[0].document.title to found[0].article)
        assertTrue(found[0].lexical != null && found[0].dense == null)
        val hybrid = engine.search("card fees", SearchOptions(limit = 4))
        assertEquals(4, hybrid.size)
        assertEquals(hybrid.map { it.score }.sortedDescending(), hybrid.map { it.score })
        assertTrue(hybrid.all { it.dense != null })
    }

    private suspend fun streamedAnswerInChineseWithAnEmoji() = engine { engine ->
        val events = engine.answer(GRACE, ANSWER).toList()
        val retrieved = assertIs<AnswerEvent.Retrieved>(events.first())
        val answer = assertIs<AnswerEvent.Finished>(events.last()).answer
        assertEquals(retrieved.passages, answer.passages)
        val between = events.drop(1).dropLast(1)
        assertEquals(answer.text, between.filterIsInstance<AnswerEvent.Text>().joinToString("") { it.delta })
        assertEquals(answer.citations, between.filterIsInstance<AnswerEvent.Citation>().map { it.citation })
        assertTrue(answer.text.startsWith("【政策依据】《银行卡规则》第一条：“信用卡还款宽限期为三天😀"), answer.text)
        val citation = answer.citations.first()
        assertEquals("信用卡还款宽限期为三天😀，逾期按日计息。", answer.text.substring(citation.answer))
        assertEquals(answer.text.substring(citation.answer), answer.passages[citation.passage].text.substring(citation.quoted))
        assertEquals(0L until answer.passages[0].text.toByteArray().size, citation.source)
        assertTrue(answer.usage.completionTokens > 0 && answer.usage.timeToFirstText <= answer.usage.totalTime)
        val floor = ANSWER.copy(search = SearchOptions(limit = 1), floor = 2f)
        assertEquals(Outcome.Declined(DeclineReason.NOTHING_FOUND), engine.answer(GRACE, floor).finalAnswer().outcome)
    }

    private suspend fun breakOutOfTheLoop() = engine { engine ->
        val text = engine.answer(GRACE, TALKATIVE).first { it is AnswerEvent.Text }
        assertIs<AnswerEvent.Text>(text)
        freeWithinTheBound(engine, "break out of the loop")
        assertEquals(1, engine.answer(GRACE, TALKATIVE).take(1).toList().size)
        freeWithinTheBound(engine, "break before the prompt")
    }

    private suspend fun cancelDuringPrefill() = engine(configuration.copy(contextTokens = 16_000)) { engine ->
        val whole = engine.answer(GRACE, longPrompt("z")).finalAnswer()
        assertTrue(whole.usage.promptTokens > 12_000, "${whole.usage}")
        // Another first turn, so that nothing of the prompt is in the cache.
        val seen = cancelAfter(engine, longPrompt("x"), whole.usage.timeToFirstText / 4) { it is AnswerEvent.Retrieved }
        assertTrue(seen.none { it is AnswerEvent.Text }, "$seen")
        freeWithinTheBound(engine, "cancel during prefill (the whole request takes ${whole.usage.totalTime})")
    }

    private suspend fun cancelDuringDecode() = engine { engine ->
        val seen = cancelAfter(engine, TALKATIVE) { it is AnswerEvent.Text }
        assertTrue(seen.none { it is AnswerEvent.Finished }, "$seen")
        freeWithinTheBound(engine, "cancel during decode")
        assertContains(engine.answer(GRACE, ANSWER).finalAnswer().text, "😀")
    }

    /** Collects in a coroutine of its own and cancels that [later] after the first event that is [enough]. */
    private suspend fun cancelAfter(
        engine: Engine,
        options: AnswerOptions,
        later: Duration = Duration.ZERO,
        enough: (AnswerEvent) -> Boolean,
    ): List<AnswerEvent> =
        coroutineScope {
            val seen = CopyOnWriteArrayList<AnswerEvent>()
            val reached = CompletableDeferred<Unit>()
            val job = launch(Dispatchers.Default) {
                engine.answer(GRACE, options).collect {
                    seen += it
                    if (enough(it)) reached.complete(Unit)
                }
                reached.completeExceptionally(AssertionError("the answer ended before it could be cancelled"))
            }
            reached.await()
            delay(later)
            val asked = TimeSource.Monotonic.markNow()
            job.cancelAndJoin()
            assertTrue(job.isCancelled)
            assertTrue(asked.elapsedNow() < BOUND, "the coroutine ended after ${asked.elapsedNow()}")
            seen
        }

    /** The next request is served, so the engine has left the cancelled one. */
    private suspend fun freeWithinTheBound(engine: Engine, what: String) {
        val asked = TimeSource.Monotonic.markNow()
        assertEquals(1, engine.search(GRACE, BY_WORDS).size)
        println("     $what: engine free after ${asked.elapsedNow()}")
        assertTrue(asked.elapsedNow() < BOUND, "$what: free after ${asked.elapsedNow()}")
    }

    private suspend fun twoAnswersQueued() = engine { engine ->
        coroutineScope {
            val first = async(start = CoroutineStart.UNDISPATCHED) { engine.answer(GRACE, ANSWER).finalAnswer() }
            val second =
                async(start = CoroutineStart.UNDISPATCHED) { engine.answer("card transaction disputed", ANSWER).finalAnswer() }
            assertContains(second.await().text, "60 days")
            assertContains(first.await().text, "信用卡")
        }
    }

    private suspend fun closeWhileAnswering() = coroutineScope {
        val engine = Engine.open(configuration)
        val (started, closed) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
        // The collector holds the first event, so that the model is kept waiting until the engine is closed.
        val held = engine.answer(GRACE, TALKATIVE).onEach {
            started.complete(Unit)
            closed.await()
        }
        val running = async(Dispatchers.Default) { runCatching { held.finalAnswer() } }
        started.await()
        val queued = async(Dispatchers.Default) { runCatching { engine.answer(GRACE, TALKATIVE).finalAnswer() } }
        val searching = async(Dispatchers.Default) { runCatching { engine.search(GRACE, BY_WORDS) } }
        val asked = TimeSource.Monotonic.markNow()
        engine.close()
        assertTrue(asked.elapsedNow() < BOUND, "closed after ${asked.elapsedNow()}")
        closed.complete(Unit)
        for (request in listOf(running, queued, searching)) {
            assertIs<LoreKitException.Closed>(request.await().exceptionOrNull())
        }
    }

    private suspend fun adapterNamedPerRequest() {
        val adapters = mapOf("calm" to file("adapter.gguf"), "brisk" to file("second-adapter.gguf"))
        engine(configuration.copy(adapters = adapters)) { engine ->
            suspend fun say(adapter: String?) =
                engine.answer(GRACE, ANSWER.copy(adapter = adapter, maxTokens = 160)).finalAnswer().text
            val (plain, calm, brisk) = listOf(say(null), say("calm"), say("brisk"))
            assertNotEquals(plain, calm)
            assertNotEquals(calm, brisk)
            assertNotEquals(brisk, plain)
            // What is copied from the passage is the same whoever says it.
            assertEquals(1, setOf(plain, calm, brisk).map { it.substringBefore("【简明解释】") }.toSet().size)
            assertEquals(calm, say("calm"))
            assertEquals(plain, say(null))
        }
    }

    private suspend fun aThousandOpenAndCloseCycles() {
        val small = configuration.copy(threads = 1, contextTokens = 512)
        repeat(100) { Engine.open(small).close() }
        System.gc()
        val before = residentKilobytes()
        repeat(1_000) { Engine.open(small).close() }
        System.gc()
        val after = residentKilobytes()
        println("     a thousand cycles: $before kB resident before, $after kB after")
        // One engine of these takes some hundred kilobytes; a leak of one in four would show beside the JVM's own heap.
        if (before != null && after != null) assertTrue(after < before + 64 * 1_024, "$before kB before, $after kB after")
    }

    private suspend fun useAfterClose() {
        val engine = Engine.open(configuration)
        engine.close()
        engine.close()
        assertFailsWith<LoreKitException.Closed> { engine.search(GRACE, BY_WORDS) }
        assertFailsWith<LoreKitException.Closed> { engine.answer(GRACE, ANSWER).finalAnswer() }
        assertEquals("fixture", engine.pack.id)
    }

    private suspend fun lifecycleCalls() {
        val cache = File(folder, "cache").apply { deleteRecursively() }
        val engine = Engine.open(configuration.copy(cacheFolder = cache.apply { mkdirs() }))
        suspend fun say() = engine.answer(GRACE, ANSWER).finalAnswer()
        val before = say().text
        engine.memoryWarning()
        assertEquals(before, say().text)
        engine.enterBackground()
        engine.enterForeground()
        assertEquals(before, say().text)
        engine.clearCaches()
        engine.setThermalState(ThermalState.CRITICAL)
        val hot = say()
        assertContains(hot.text, "😀")
        assertEquals(1 to 0, hot.citations.size to hot.usage.completionTokens)
        engine.setThermalState(ThermalState.NOMINAL)
        assertEquals(before, say().text)
        engine.close()
        engine.memoryWarning()
        engine.enterBackground()
        cache.deleteRecursively()
    }

    private suspend fun logSink() {
        val records = CopyOnWriteArrayList<LogRecord>()
        val sink = LogSink { record ->
            records += record
            error("a sink that fails disturbs nobody")
        }
        Log.setSink(LogLevel.DEBUG, sink)
        engine { it.answer(GRACE, ANSWER).finalAnswer() }
        Log.setSink(LogLevel.DEBUG, null)
        assertTrue(records.any { "fixture version 3" in it.text }, "$records")
        for (record in records) {
            assertTrue(record.target.startsWith("lorekit"), "$record")
            assertFalse("信用卡" in record.text || "宽限" in record.text, "$record")
        }
        val count = records.size
        engine { }
        assertEquals(count, records.size, "nothing comes after the sink was taken away")
    }

    private companion object {
        /** A question whose words stand in the passage with the emoji, and in no other. */
        const val GRACE = "信用卡还款宽限期几天？"

        /** See the same constant in `bindings/tests/scenarios`. */
        val BOUND: Duration = 2.seconds

        /** Searches by words for one passage, so that the tiny embedder's noise decides nothing. */
        val BY_WORDS = SearchOptions(limit = 1, mode = SearchMode.LEXICAL)
        val ANSWER = AnswerOptions(search = BY_WORDS)

        /** Options with which the model would talk for long. */
        val TALKATIVE = ANSWER.copy(format = AnswerFormat.FREE, maxTokens = 3_000)

        /** Options with a prompt of about twelve thousand tokens, so that the prefill takes long. */
        fun longPrompt(letter: String) =
            ANSWER.copy(history = listOf(Exchange(letter.repeat(6_000), "y".repeat(6_000))), maxTokens = 64)

        fun residentKilobytes(): Long? =
            File("/proc/self/status").takeIf { it.isFile }?.readLines()
                ?.firstOrNull { it.startsWith("VmRSS:") }?.filter { it.isDigit() }?.toLong()
    }
}
