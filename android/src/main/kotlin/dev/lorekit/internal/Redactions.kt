package dev.lorekit.internal

import dev.lorekit.Finding
import dev.lorekit.PersonalData
import dev.lorekit.Redaction
import dev.lorekit.RedactionAction
import dev.lorekit.RedactorOptions
import dev.lorekit.internal.ffi.FfiPersonalData
import dev.lorekit.internal.ffi.FfiRedaction
import dev.lorekit.internal.ffi.FfiRedactionAction
import dev.lorekit.internal.ffi.FfiRedactionRule
import dev.lorekit.internal.ffi.FfiRedactorOptions

/** Errors of the native side as the app knows them, for what has no engine. */
internal inline fun <T> translating(block: () -> T): T =
    try {
        block()
    } catch (error: Exception) {
        throw toPublic(error)
    }

internal fun RedactorOptions.toFfi(surrogateKey: ByteArray?): FfiRedactorOptions {
    require(threshold in 0f..1f) { "threshold lies between 0 and 1" }
    require(kinds.isNotEmpty()) { "kinds must name at least one kind" }
    return FfiRedactorOptions(
        action = action.toFfi(),
        rules = rules.map { (kind, action) -> FfiRedactionRule(kind.toFfi(), action.toFfi()) },
        kinds = kinds.map { it.toFfi() },
        threshold = threshold,
        surrogateKey = surrogateKey,
    )
}

internal fun FfiRedaction.toPublic(): Redaction = Redaction(
    text = text,
    findings = findings.map { Finding(it.kind.toPublic(), it.span.utf16(), it.score) },
)

private fun RedactionAction.toFfi(): FfiRedactionAction = when (this) {
    RedactionAction.MASK -> FfiRedactionAction.MASK
    RedactionAction.LABEL -> FfiRedactionAction.LABEL
    RedactionAction.SURROGATE -> FfiRedactionAction.SURROGATE
    RedactionAction.KEEP -> FfiRedactionAction.KEEP
}

private fun PersonalData.toFfi(): FfiPersonalData = when (this) {
    PersonalData.PERSON -> FfiPersonalData.PERSON
    PersonalData.ADDRESS -> FfiPersonalData.ADDRESS
    PersonalData.ORGANISATION -> FfiPersonalData.ORGANISATION
    PersonalData.ID_CARD -> FfiPersonalData.ID_CARD
    PersonalData.PHONE -> FfiPersonalData.PHONE
    PersonalData.EMAIL -> FfiPersonalData.EMAIL
    PersonalData.BANK_CARD -> FfiPersonalData.BANK_CARD
    PersonalData.PASSPORT -> FfiPersonalData.PASSPORT
    PersonalData.PERMIT -> FfiPersonalData.PERMIT
    PersonalData.CREDIT_CODE -> FfiPersonalData.CREDIT_CODE
    PersonalData.PLATE -> FfiPersonalData.PLATE
    PersonalData.IP_ADDRESS -> FfiPersonalData.IP_ADDRESS
    PersonalData.URL_CREDENTIALS -> FfiPersonalData.URL_CREDENTIALS
    PersonalData.SECRET -> FfiPersonalData.SECRET
    PersonalData.IBAN -> FfiPersonalData.IBAN
    PersonalData.US_SSN -> FfiPersonalData.US_SSN
    PersonalData.UK_NINO -> FfiPersonalData.UK_NINO
    PersonalData.DATE_OF_BIRTH -> FfiPersonalData.DATE_OF_BIRTH
    PersonalData.POLICY_NUMBER -> FfiPersonalData.POLICY_NUMBER
    PersonalData.ACCOUNT_NUMBER -> FfiPersonalData.ACCOUNT_NUMBER
}

private fun FfiPersonalData.toPublic(): PersonalData = when (this) {
    FfiPersonalData.PERSON -> PersonalData.PERSON
    FfiPersonalData.ADDRESS -> PersonalData.ADDRESS
    FfiPersonalData.ORGANISATION -> PersonalData.ORGANISATION
    FfiPersonalData.ID_CARD -> PersonalData.ID_CARD
    FfiPersonalData.PHONE -> PersonalData.PHONE
    FfiPersonalData.EMAIL -> PersonalData.EMAIL
    FfiPersonalData.BANK_CARD -> PersonalData.BANK_CARD
    FfiPersonalData.PASSPORT -> PersonalData.PASSPORT
    FfiPersonalData.PERMIT -> PersonalData.PERMIT
    FfiPersonalData.CREDIT_CODE -> PersonalData.CREDIT_CODE
    FfiPersonalData.PLATE -> PersonalData.PLATE
    FfiPersonalData.IP_ADDRESS -> PersonalData.IP_ADDRESS
    FfiPersonalData.URL_CREDENTIALS -> PersonalData.URL_CREDENTIALS
    FfiPersonalData.SECRET -> PersonalData.SECRET
    FfiPersonalData.IBAN -> PersonalData.IBAN
    FfiPersonalData.US_SSN -> PersonalData.US_SSN
    FfiPersonalData.UK_NINO -> PersonalData.UK_NINO
    FfiPersonalData.DATE_OF_BIRTH -> PersonalData.DATE_OF_BIRTH
    FfiPersonalData.POLICY_NUMBER -> PersonalData.POLICY_NUMBER
    FfiPersonalData.ACCOUNT_NUMBER -> PersonalData.ACCOUNT_NUMBER
}
