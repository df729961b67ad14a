package dev.lorekit.scenarios

import dev.lorekit.AnswerEvent
import dev.lorekit.AnswerFormat
import dev.lorekit.AnswerOptions
import dev.lorekit.ApplyReport
import dev.lorekit.ChangeEvent
import dev.lorekit.ChangeStage
import dev.lorekit.Engine
import dev.lorekit.EngineConfiguration
import dev.lorekit.LibraryConfiguration
import dev.lorekit.LoreKitException
import dev.lorekit.Origin
import dev.lorekit.OwnDocument
import dev.lorekit.Passage
import dev.lorekit.Purge
import dev.lorekit.SealingKey
import dev.lorekit.SearchMode
import dev.lorekit.SearchOptions
import dev.lorekit.finalAnswer
import dev.lorekit.finalReport
import java.io.File
import kotlin.test.assertContains
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertIs
import kotlin.test.assertTrue
import kotlinx.coroutines.CancellationException
import kotlinx.coroutines.CompletableDeferred
import kotlinx.coroutines.CoroutineStart
import kotlinx.coroutines.Dispatchers
import kotlinx.coroutines.async
import kotlinx.coroutines.cancelAndJoin
import kotlinx.coroutines.coroutineScope
import kotlinx.coroutines.flow.onEach
import kotlinx.coroutines.flow.take
import kotlinx.coroutines.flow.toList
import kotlinx.coroutines.launch

/** The contract of the library: updates, the app's own documents, labels, seals. */
class LibraryScenarios(private val fixtures: File) {
    val all: List<Scenario> = listOf(
        Scenario("open_a_library", ::openALibrary),
        Scenario("apply_a_delta_with_progress", ::applyADeltaWithProgress),
        Scenario("apply_while_answering", ::applyWhileAnswering),
        Scenario("rollback", ::rollback),
        Scenario("what_does_not_belong_is_refused", ::whatDoesNotBelongIsRefused),
        Scenario("an_expired_delta_and_a_clock_turned_back", ::anExpiredDeltaAndAClockTurnedBack),
        Scenario("a_local_document_is_found_cited_and_removed", ::aLocalDocumentIsFoundCitedAndRemoved),
        Scenario("labels_hide_passages", ::labelsHidePassages),
        Scenario("a_wrong_key", ::aWrongKey),
        Scenario("another_key_for_the_library", ::anotherKeyForTheLibrary),
        Scenario("a_base_that_its_publisher_sealed", ::aBaseThatItsPublisherSealed),
        Scenario("a_sealed_folder_holds_no_plain_text", ::aSealedFolderHoldsNoPlainText),
        Scenario("compact_and_purge", ::compactAndPurge),
        Scenario("cancel_an_apply", ::cancelAnApply),
        Scenario("cancel_an_add", ::cancelAnAdd),
        Scenario("a_pack_alone_does_not_change", ::aPackAloneDoesNotChange),
    )

    private fun file(name: String) = File(fixtures, name)

    /** A library on the fixture base, in a folder of its own. */
    private inner class Place(val folder: File) {
        val library = LibraryConfiguration(
            folder = File(folder, "library"),
            trustedKeys = listOf(file("publisher.pub").readText()),
            today = "2026-01-01",
        )

        fun configuration(library: LibraryConfiguration = this.library) = EngineConfiguration(
            pack = file("library.lorepack"),
            embedder = file("embedder.gguf"),
            model = file("model.gguf"),
            threads = 2,
            library = library,
        )

        suspend fun open(library: LibraryConfiguration = this.library): Engine = Engine.open(configuration(library))
    }

    private suspend fun <T> place(block: suspend Place.() -> T): T {
        val folder = kotlin.io.path.createTempDirectory("lorekit").toFile()
        try {
            return Place(folder).block()
        } finally {
            folder.deleteRecursively()
        }
    }

    private suspend fun library(block: suspend Place.(Engine) -> Unit) = place { open().use { block(it) } }

    private suspend fun Engine.update(name: String): ApplyReport = apply(file(name)).finalReport()

    private suspend fun Engine.find(question: String, vararg labels: String): List<Passage> =
        search(question, SearchOptions(limit = 5, mode = SearchMode.LEXICAL, labels = labels.toList()))

    private fun List<Passage>.hold(text: String) = any { text in it.text }

    private suspend fun openALibrary() = library { engine ->
        assertEquals(listOf("library", 1L, 5L), engine.pack.run { listOf(id, version, passageCount) })
        val state = engine.libraryState()
        assertEquals(listOf("library", 1L, 1L), state.run { listOf(packId, version, versionFloor) })
        assertEquals(listOf<Any>(engine.pack.state, 5L, 5L), state.run { listOf(this.state, base.passages, passages) })
        val key = checkNotNull(state.base.signer)
        assertEquals(64, key.length)
        assertTrue(state.deltas.isEmpty() && state.localDocuments.isEmpty() && state.kept.isEmpty())
        assertFalse(state.baseSealed || state.compacted || state.expired || state.clockTurnedBack)
        assertEquals(engine.verify(), engine.verify())
        assertEquals("locked", assertFailsWith<LoreKitException.Locked> { open() }.code)
        engine.close()
        open(library.copy(trustedKeys = listOf(key))).close()
    }

    private suspend fun applyADeltaWithProgress() = library { engine ->
        assertTrue(engine.find(FEE).hold("12 crowns"))
        val events = engine.apply(file("update-2.lorepack")).toList()
        val report = assertIs<ChangeEvent.Finished<ApplyReport>>(events.last()).report
        assertTrue(report.applied && !report.ownerRollback)
        assertEquals(2L to 2L, report.version to report.generation)
        val steps = events.dropLast(1).map { assertIs<ChangeEvent.Progress>(it) }
        assertEquals(ChangeStage.COPY to file("update-2.lorepack").length(), steps.last().stage to steps.last().total)
        assertTrue(steps.all { it.done <= it.total })
        val found = engine.find(FEE)
        assertTrue(found.hold("15 crowns") && !found.hold("12 crowns"))
        assertTrue(found.all { it.origin == Origin.PUBLISHER })
        assertEquals(2L to report.state, engine.pack.version to engine.pack.state)
        val state = engine.libraryState()
        assertEquals(listOf<Any>(2L, report.state, 1), listOf(state.version, state.state, state.deltas.size))
        assertEquals(listOf(1L), state.kept.map { it.version })
        assertEquals(false to report.state, engine.update("update-2.lorepack").let { it.applied to it.state })
        // It is all there after the app was ended.
        engine.close()
        open().use { assertEquals(2L, it.libraryState().version) }
    }

    private suspend fun applyWhileAnswering() = library { engine ->
        coroutineScope {
            val (started, applied) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
            // The collector holds the first event, so that the answer is under way and cannot end.
            val held = engine.answer(GRACE, TALKATIVE).onEach {
                started.complete(Unit)
                applied.await()
            }
            val answer = async(Dispatchers.Default) { held.finalAnswer() }
            started.await()
            assertEquals(2L, engine.update("update-2.lorepack").version)
            assertEquals(2L, engine.pack.version)
            applied.complete(Unit)
            assertTrue(answer.await().text.isNotEmpty(), "the running answer goes on to its end")
            assertTrue(engine.find(TRAVEL).hold("travel notice"), "and what is asked now sees the new version")
        }
    }

    private suspend fun rollback() = library { engine ->
        assertFailsWith<LoreKitException.NothingToRollBackTo> { engine.rollback() }
        val before = engine.libraryState().state
        engine.update("update-2.lorepack")
        val report = engine.rollback()
        assertEquals(1L to before, report.version to report.state)
        val found = engine.find(FEE)
        assertTrue(found.hold("12 crowns") && !found.hold("15 crowns"))
        assertEquals(1L to 2L, engine.pack.version to engine.libraryState().versionFloor)
        assertTrue(engine.update("update-2.lorepack").applied, "what was left can be applied again")
    }

    private suspend fun whatDoesNotBelongIsRefused() = library { engine ->
        assertFailsWith<LoreKitException.Untrusted> { engine.update("unsigned-2.lorepack") }
        assertFailsWith<LoreKitException.Untrusted> { engine.update("untrusted-2.lorepack") }
        assertFailsWith<LoreKitException.OtherPack> { engine.update("other-pack-2.lorepack") }
        assertFailsWith<LoreKitException.OtherParent> { engine.update("update-3.lorepack") }
        assertFailsWith<LoreKitException.OtherParent> { engine.update("other-parent-3.lorepack") }
        assertFailsWith<LoreKitException.NotFound> { engine.update("missing.lorepack") }
        assertEquals(1, engine.libraryState().generation, "nothing of it left a trace")
        engine.update("update-2.lorepack")
        assertFailsWith<LoreKitException.Unsupported> { engine.update("library.lorepack") }
        assertFailsWith<LoreKitException.Fork> { engine.update("fork-2.lorepack") }
        assertFailsWith<LoreKitException.OtherParent> { engine.update("other-parent-3.lorepack") }
        engine.update("update-3.lorepack")
        val replayed = assertFailsWith<LoreKitException.Replayed> { engine.update("update-2.lorepack") }
        assertEquals("replayed" to file("update-2.lorepack").absolutePath, replayed.code to replayed.path)
        assertContains(checkNotNull(replayed.message), "update-2.lorepack")
        engine.close()
        assertFailsWith<LoreKitException.Untrusted> { open(library.copy(trustedKeys = emptyList())) }
        assertFailsWith<LoreKitException.InvalidKey> { open(library.copy(trustedKeys = listOf("no key"))) }
    }

    private suspend fun anExpiredDeltaAndAClockTurnedBack() = place {
        open(library.copy(today = "2030-01-01")).use { engine ->
            assertFailsWith<LoreKitException.Expired> { engine.update("expiring-2.lorepack") }
        }
        open(library.copy(today = "2026-01-01")).use { engine ->
            assertTrue(engine.libraryState().clockTurnedBack)
            assertFailsWith<LoreKitException.ClockTurnedBack> { engine.update("expiring-2.lorepack") }
        }
        library { assertFalse(it.libraryState().clockTurnedBack) }
    }

    private suspend fun aLocalDocumentIsFoundCitedAndRemoved() = library { engine ->
        val events = engine.add(NOTE).toList()
        assertEquals(1, assertIs<ChangeEvent.Finished<dev.lorekit.AddReport>>(events.last()).report.passages)
        assertTrue(events.size > 1)
        val found = engine.find(LOCKER).first()
        assertEquals(Origin.LOCAL to "note", found.origin to found.document.id)
        assertEquals("Notes" to "notes.md", found.document.title to found.document.path)
        val answer = engine.answer(LOCKER, ANSWER).finalAnswer()
        assertTrue(answer.citations.isNotEmpty() && answer.citations.all { it.origin == Origin.LOCAL }, "$answer")
        // The publisher's updates leave it alone, and so does the way back.
        engine.update("update-2.lorepack")
        engine.rollback()
        assertTrue(engine.find(LOCKER).hold("gymnasium"))
        assertEquals(listOf("note" to "Notes"), engine.libraryState().localDocuments.map { it.id to it.title })
        assertTrue(engine.remove("note"))
        assertFalse(engine.find(LOCKER).hold("gymnasium"))
        assertFalse(engine.remove("note"))
        for (unusable in listOf(NOTE.copy(content = ""), NOTE.copy(path = "notes.xyz"))) {
            assertFailsWith<LoreKitException.UnusableDocument> { engine.add(unusable).finalReport() }
        }
    }

    private suspend fun labelsHidePassages() = library { engine ->
        assertFalse(engine.find(WAIVER).hold("waive"))
        assertFalse(engine.find(WAIVER, "public").hold("waive"))
        assertTrue(engine.find(WAIVER, "public", "staff").hold("waive"))
        val asStaff = ANSWER.copy(search = ANSWER.search.copy(labels = listOf("staff")))
        assertTrue(engine.answer(WAIVER, asStaff).finalAnswer().passages.hold("waive"))
        val public = engine.answer(WAIVER, ANSWER).finalAnswer()
        assertFalse(public.passages.hold("waive") || "waive" in public.text)
        engine.add(NOTE.copy(labels = listOf("staff"))).finalReport()
        assertEquals(emptyList(), engine.find(LOCKER))
        assertTrue(engine.find(LOCKER, "staff").hold("gymnasium"))
    }

    private suspend fun aWrongKey() = place {
        val sealed = library.copy(key = SealingKey(file("seal.key").readBytes()))
        open(sealed).use { it.update("update-2.lorepack") }
        val other = SealingKey(file("other-seal.key").readBytes())
        assertEquals("wrong_key", assertFailsWith<LoreKitException.WrongKey> { open(library.copy(key = other)) }.code)
        assertFailsWith<LoreKitException.KeyNeeded> { open() }
        assertFailsWith<LoreKitException.InvalidKey> { open(library.copy(key = SealingKey(ByteArray(31)))) }
        open(sealed).use { assertEquals(2L, it.libraryState().version) }
        assertEquals("SealingKey(..)", other.toString())
    }

    private suspend fun anotherKeyForTheLibrary() = place {
        val (old, new) = listOf("seal.key", "other-seal.key").map { SealingKey(file(it).readBytes()) }
        open(library.copy(key = old)).use { engine ->
            engine.update("update-2.lorepack")
            engine.add(NOTE).finalReport()
            assertFailsWith<LoreKitException.InvalidKey> { engine.rotateKey(SealingKey(ByteArray(33))) }
            assertEquals(2L, engine.rotateKey(new))
            assertTrue(engine.find(LOCKER).hold("gymnasium"), "whoever asks goes on")
            engine.update("update-3.lorepack")
        }
        assertFailsWith<LoreKitException.WrongKey> { open(library.copy(key = old)) }
        open(library.copy(key = new)).use { engine ->
            assertTrue(engine.libraryState().sealed && engine.libraryState().version == 3L)
            assertTrue(engine.find(LOCKER).hold("gymnasium"))
        }
    }

    private suspend fun aBaseThatItsPublisherSealed() = place {
        suspend fun open(key: String?): Engine {
            val contentKey = key?.let { SealingKey(file(it).readBytes()) }
            return Engine.open(configuration(library.copy(contentKey = contentKey)).copy(pack = file("content-sealed.lorepack")))
        }
        assertFailsWith<LoreKitException.KeyNeeded> { open(null) }
        assertFailsWith<LoreKitException.WrongKey> { open("other-seal.key") }
        open("content.key").use { engine ->
            assertTrue(engine.libraryState().baseSealed)
            assertTrue(engine.find(FEE).hold("12 crowns"))
            engine.update("update-2.lorepack")
            assertTrue(engine.find(FEE).hold("15 crowns"))
        }
        assertFalse("crowns" in plain(file("content-sealed.lorepack")))
    }

    private suspend fun aSealedFolderHoldsNoPlainText() {
        for (key in listOf(null, SealingKey(file("seal.key").readBytes()))) place {
            val cache = File(folder, "cache").apply { mkdirs() }
            Engine.open(configuration(library.copy(key = key)).copy(cacheFolder = cache)).use { engine ->
                engine.update("update-2.lorepack")
                engine.add(NOTE).finalReport()
                // Asked twice, a passage is worth keeping, and going to the background writes it.
                repeat(2) { engine.answer(LOCKER, ANSWER).finalAnswer() }
                engine.enterBackground()
            }
            val prefixes = File(cache, "prefixes")
            assertTrue(prefixes.list().orEmpty().isNotEmpty(), "something is cached")
            val bytes = plain(library.folder) + plain(prefixes)
            val shown = listOf("travel notice", "15 crowns", "locker combination", "gymnasium", "Card Terms")
                .filter { it in bytes }
            assertEquals(key != null, shown.isEmpty(), "$shown")
        }
    }

    private suspend fun compactAndPurge() = library { engine ->
        for (name in listOf("update-2.lorepack", "update-3.lorepack")) engine.update(name)
        engine.add(NOTE).finalReport()
        val before = engine.libraryState()
        assertEquals(listOf<Any>(3L, 1L, 2), listOf(before.version, before.revoked, before.deltas.size))
        assertEquals(3L, engine.compact().finalReport().publisherPacks)
        val state = engine.libraryState()
        assertTrue(state.compacted && state.deltas.isEmpty() && state.state == before.state)
        val revoked = engine.purge(Purge.REVOKED).finalReport()
        assertTrue(revoked.baseStillHolds && !revoked.refusalRecorded)
        assertTrue(engine.find(LOCKER).hold("gymnasium"), "a purge of what is revoked leaves the rest")
        val all = engine.purge(Purge.EVERYTHING).finalReport()
        assertTrue(all.refusalRecorded && all.filesRemoved > 0)
        assertFalse("gymnasium" in plain(library.folder) || "crowns" in plain(library.folder))
        assertFailsWith<LoreKitException.Closed> { engine.answer(LOCKER, ANSWER).finalAnswer() }
        assertFailsWith<LoreKitException.Closed> { engine.libraryState() }
        engine.close()
        assertFailsWith<LoreKitException.Purged> { open() }
    }

    private suspend fun cancelAnApply() = library { engine ->
        coroutineScope {
            // Leaving the flow at its first event, and cancelling the coroutine: the library is as it was, or has it.
            repeat(10) {
                assertEquals(1, engine.apply(file("update-2.lorepack")).take(1).toList().size)
                val job = launch(Dispatchers.Default, CoroutineStart.UNDISPATCHED) { engine.update("update-2.lorepack") }
                job.cancelAndJoin()
                assertTrue(job.isCancelled)
                val state = engine.libraryState()
                assertEquals(state.version, 1L + state.deltas.size)
            }
            assertEquals(2L, engine.update("update-2.lorepack").version, "the library stays usable")
            assertTrue(library.folder.list().orEmpty().none { it.endsWith(".tmp") })
        }
    }

    private suspend fun cancelAnAdd() = library { engine ->
        coroutineScope {
            val before = engine.libraryState()
            val (started, cancelled) = CompletableDeferred<Unit>() to CompletableDeferred<Unit>()
            // The answer is held at its first event, so embedding waits behind it.
            val held = engine.answer(GRACE, TALKATIVE).onEach {
                started.complete(Unit)
                cancelled.await()
            }
            val answer = launch(Dispatchers.Default) { held.toList() }
            started.await()
            val adding = async(Dispatchers.Default) { engine.add(NOTE).finalReport() }
            adding.cancelAndJoin()
            assertFailsWith<CancellationException> { adding.await() }
            cancelled.complete(Unit)
            answer.cancelAndJoin()
            assertEquals(before, engine.libraryState())
            assertEquals(1L, engine.add(NOTE).finalReport().passages)
        }
    }

    private suspend fun aPackAloneDoesNotChange() = place {
        Engine.open(configuration().copy(pack = file("base.lorepack"), library = null)).use { engine ->
            assertFailsWith<LoreKitException.ReadOnly> { engine.libraryState() }
            assertFailsWith<LoreKitException.ReadOnly> { engine.update("update-2.lorepack") }
            assertFailsWith<LoreKitException.ReadOnly> { engine.add(NOTE).finalReport() }
            assertFailsWith<LoreKitException.ReadOnly> { engine.rollback() }
            assertFailsWith<LoreKitException.ReadOnly> { engine.purge(Purge.EVERYTHING).finalReport() }
            assertEquals(1, engine.search(GRACE, ANSWER.search).size)
            assertIs<AnswerEvent.Finished>(engine.answer(GRACE, ANSWER).toList().last())
        }
    }

    private companion object {
        const val GRACE = "信用卡还款宽限期几天？"
        const val FEE = "replacement card costs crowns"
        const val TRAVEL = "travel notice foreign countries"
        const val WAIVER = "staff waive replacement fee twice"
        const val LOCKER = "locker combination gymnasium"
        val NOTE = OwnDocument(
            id = "note",
            path = "notes.md",
            content = "# Notes\n\nThe locker combination of the gymnasium is kept in the drawer.\n",
        )
        val ANSWER = AnswerOptions(search = SearchOptions(limit = 1, mode = SearchMode.LEXICAL))
        val TALKATIVE = ANSWER.copy(format = AnswerFormat.FREE, maxTokens = 3_000)

        /** Every byte of all files below a folder, each as one character. */
        fun plain(folder: File): String =
            folder.walk().filter { it.isFile }.joinToString("") { String(it.readBytes(), Charsets.ISO_8859_1) }
    }
}
