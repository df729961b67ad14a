package dev.lorekit.scenarios

import dev.lorekit.LoreKitException
import dev.lorekit.PersonalData
import dev.lorekit.RedactionAction
import dev.lorekit.Redactor
import dev.lorekit.RedactorOptions
import kotlin.test.assertEquals
import kotlin.test.assertFailsWith
import kotlin.test.assertFalse
import kotlin.test.assertNotEquals
import kotlin.test.assertTrue

/** The contract of redaction, which needs no engine. */
object RedactorScenarios {
    val all: List<Scenario> = listOf(Scenario("redact_and_restore", ::redactAndRestore))

    private const val TEXT = "😀我叫李娜，手机13900138000。"

    private fun redacted(options: RedactorOptions, key: Byte? = null): String =
        Redactor(options, key?.let { byte -> ByteArray(32) { byte } }).use { it.redact(TEXT).text }

    private suspend fun redactAndRestore() {
        val label = Redactor()
        val redaction = label.redact(TEXT)
        assertEquals("😀我叫<PERSON>，手机<PHONE>。", redaction.text)
        val found = redaction.findings.map { it.kind to TEXT.substring(it.range) }
        assertEquals(listOf(PersonalData.PERSON to "李娜", PersonalData.PHONE to "13900138000"), found)
        assertTrue(redaction.findings.all { it.score >= 0.5f })
        assertEquals("😀我叫**，手机***********。", redacted(RedactorOptions(RedactionAction.MASK)))
        val kept = RedactorOptions(rules = mapOf(PersonalData.PERSON to RedactionAction.KEEP))
        assertEquals("😀我叫李娜，手机<PHONE>。", redacted(kept))
        assertEquals(TEXT, redacted(RedactorOptions(kinds = setOf(PersonalData.EMAIL))))

        val surrogate = RedactorOptions(RedactionAction.SURROGATE)
        assertEquals(redacted(surrogate, 1), redacted(surrogate, 1), "a key chooses the same for the same value")
        assertNotEquals(redacted(surrogate, 1), redacted(surrogate, 2))
        assertFalse("李娜" in redacted(surrogate, 1) || "13900138000" in redacted(surrogate))

        val turns = label.redactTogether(listOf("我叫李娜。", "您好，李娜！")).map { it.text }
        assertEquals(listOf("我叫<PERSON>。", "您好，<PERSON>！"), turns, "what one turn gives away is replaced in all")

        label.placeholders().use { placeholders ->
            // The placeholders hold what they need of it.
            label.close()
            assertEquals("😀我叫<PERSON_1>，手机<PHONE_1>。", placeholders.hide(TEXT))
            assertEquals("手机<PHONE_1>", placeholders.hide("手机13900138000"), "the same value, the same number")
            val answer = placeholders.restore("<PERSON_1>，我们打<PHONE_1>，不打<PHONE_2>")
            assertEquals("李娜，我们打13900138000，不打<PHONE_2>", answer)
        }
        assertFailsWith<LoreKitException.InvalidKey> { Redactor(surrogate, ByteArray(31)) }
    }
}
