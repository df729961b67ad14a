package dev.lorekit

import dev.lorekit.internal.ffi.FfiPlaceholders
import dev.lorekit.internal.ffi.FfiRedactor
import dev.lorekit.internal.toFfi
import dev.lorekit.internal.toPublic
import dev.lorekit.internal.translating

/** A kind of personal data. */
public enum class PersonalData {
    /** The name of a person. */
    PERSON,

    /** A postal address with a street, house or room number. */
    ADDRESS,

    /** An employer or other organisation, where the text ties it to a person. */
    ORGANISATION,

    /** A resident identity number of mainland China. */
    ID_CARD,

    /** A mobile or fixed telephone number. */
    PHONE,

    /** An e-mail address. */
    EMAIL,

    /** A payment card number. */
    BANK_CARD,

    /** A passport number. */
    PASSPORT,

    /** A permit or identity card of Hong Kong, Macau or Taiwan. */
    PERMIT,

    /** A unified social credit code. */
    CREDIT_CODE,

    /** A licence plate of mainland China. */
    PLATE,

    /** An IP address tied to a person. */
    IP_ADDRESS,

    /** A URL that carries a user name and password. */
    URL_CREDENTIALS,

    /** A password, API key or other secret. */
    SECRET,

    /** An International Bank Account Number. */
    IBAN,

    /** A US social security number. */
    US_SSN,

    /** A UK national insurance number. */
    UK_NINO,

    /** A date of birth, recognised by what the text says of it. */
    DATE_OF_BIRTH,

    /** The number of an insurance policy. */
    POLICY_NUMBER,

    /** The number of an account. */
    ACCOUNT_NUMBER,
}

/** What becomes of personal data that is found. */
public enum class RedactionAction {
    /** A `*` for each character. */
    MASK,

    /** The kind in angle brackets: `<PHONE>`. */
    LABEL,

    /** A false value of the same shape, the same for the same value. */
    SURROGATE,

    /** Nothing: it is reported and stays. */
    KEEP,
}

/**
 * What a [Redactor] looks for and what it does with it.
 *
 * @property action for kinds without a rule of their own.
 * @property rules actions of single kinds.
 * @property kinds the kinds that are looked for.
 * @property threshold the lowest score that counts, 0 to 1; lower finds more, and more that is none.
 */
public data class RedactorOptions(
    public val action: RedactionAction = RedactionAction.LABEL,
    public val rules: Map<PersonalData, RedactionAction> = emptyMap(),
    public val kinds: Set<PersonalData> = PersonalData.entries.toSet(),
    public val threshold: Float = 0.5f,
)

/**
 * One place that holds personal data.
 *
 * @property kind what it is.
 * @property range where, in UTF-16 units of the text that was given: `text.substring(range)`.
 * @property score how sure the rule is, 0 to 1.
 */
public data class Finding(
    public val kind: PersonalData,
    public val range: IntRange,
    public val score: Float,
)

/**
 * A text without its personal data.
 *
 * @property text the new text.
 * @property findings what was found in the old one, in order, without overlaps.
 */
public data class Redaction(
    public val text: String,
    public val findings: List<Finding>,
)

/**
 * Finds personal data in Chinese and English text and replaces it, for logs and for text that leaves the app.
 *
 * Rules, no model: a name that nothing around it gives away is not found. Making one takes some tens of milliseconds;
 * redacting a message takes well under one. Every function may be called from any thread.
 *
 * ```kotlin
 * Redactor().use { redactor -> log(redactor.redact("我叫李娜，手机13900138000").text) } // 我叫<PERSON>，手机<PHONE>
 * ```
 *
 * @param options what to look for and what to do with it.
 * @param surrogateKey 32 bytes under which surrogates are chosen, so that another redactor with the key chooses the
 *   same; null draws a key that nobody sees.
 * @throws LoreKitException.InvalidKey when the key has another length than 32.
 */
public class Redactor(
    options: RedactorOptions = RedactorOptions(),
    surrogateKey: ByteArray? = null,
) : AutoCloseable {
    private val ffi: FfiRedactor = translating { FfiRedactor(options.toFfi(surrogateKey)) }

    /** [text] without its personal data. */
    public fun redact(text: String): Redaction = translating { ffi.redact(text) }.toPublic()

    /** Texts that belong together, such as the turns of a dialogue: what one gives away is replaced in all. */
    public fun redactTogether(texts: List<String>): List<Redaction> =
        translating { ffi.redactTogether(texts) }.map { it.toPublic() }

    /** Numbered placeholders for one exchange with a model. */
    public fun placeholders(): Placeholders = Placeholders(FfiPlaceholders(ffi))

    /** Frees the rules. Placeholders that were made from it go on. */
    override fun close() {
        ffi.destroy()
    }
}

/**
 * Values behind numbered placeholders, around a call of a model elsewhere: it reads `<PHONE_1>`, the person reads the
 * number again in its answer. The values live in memory only, until this is closed.
 */
public class Placeholders internal constructor(private val ffi: FfiPlaceholders) : AutoCloseable {
    /** [text] with every finding as a placeholder; the same value has the same number each time. */
    public fun hide(text: String): String = translating { ffi.hide(text) }

    /** [text] with the values back in the place of their placeholders; unknown ones stay. */
    public fun restore(text: String): String = translating { ffi.restore(text) }

    /** Overwrites the values. */
    override fun close() {
        ffi.destroy()
    }
}
