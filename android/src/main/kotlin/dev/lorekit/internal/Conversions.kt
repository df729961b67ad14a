package dev.lorekit.internal

import dev.lorekit.Answer
import dev.lorekit.AnswerEvent
import dev.lorekit.AnswerFormat
import dev.lorekit.AnswerOptions
import dev.lorekit.Citation
import dev.lorekit.DeclineReason
import dev.lorekit.Document
import dev.lorekit.EngineConfiguration
import dev.lorekit.LogLevel
import dev.lorekit.LogRecord
import dev.lorekit.LogSink
import dev.lorekit.ModelInfo
import dev.lorekit.Outcome
import dev.lorekit.PackInfo
import dev.lorekit.Passage
import dev.lorekit.SearchMode
import dev.lorekit.SearchOptions
import dev.lorekit.ThermalState
import dev.lorekit.Usage
import dev.lorekit.internal.ffi.FfiAdapterFile
import dev.lorekit.internal.ffi.FfiAnswer
import dev.lorekit.internal.ffi.FfiAnswerEvent
import dev.lorekit.internal.ffi.FfiAnswerFormat
import dev.lorekit.internal.ffi.FfiAnswerOptions
import dev.lorekit.internal.ffi.FfiCitation
import dev.lorekit.internal.ffi.FfiEngineOptions
import dev.lorekit.internal.ffi.FfiExchange
import dev.lorekit.internal.ffi.FfiLogLevel
import dev.lorekit.internal.ffi.FfiLogRecord
import dev.lorekit.internal.ffi.FfiLogSink
import dev.lorekit.internal.ffi.FfiModelInfo
import dev.lorekit.internal.ffi.FfiOutcome
import dev.lorekit.internal.ffi.FfiPackInfo
import dev.lorekit.internal.ffi.FfiPassage
import dev.lorekit.internal.ffi.FfiSearchMode
import dev.lorekit.internal.ffi.FfiSearchOptions
import dev.lorekit.internal.ffi.FfiSpan
import dev.lorekit.internal.ffi.FfiThermalState
import dev.lorekit.internal.ffi.FfiUsage
import kotlin.time.toKotlinDuration

internal fun EngineConfiguration.toFfi(): FfiEngineOptions = FfiEngineOptions(
    pack = pack.absolutePath,
    embedder = embedder.absolutePath,
    model = model?.absolutePath,
    adapters = adapters.map { (name, file) -> FfiAdapterFile(name, file.absolutePath) },
    threads = count(threads, "threads"),
    contextTokens = count(contextTokens, "contextTokens"),
    cacheFolder = cacheFolder?.absolutePath,
    library = library?.toFfi(),
)

internal fun SearchOptions.toFfi(): FfiSearchOptions = FfiSearchOptions(
    limit = count(limit, "limit"),
    mode = when (mode) {
        SearchMode.HYBRID -> FfiSearchMode.HYBRID
        SearchMode.DENSE -> FfiSearchMode.DENSE
        SearchMode.LEXICAL -> FfiSearchMode.LEXICAL
    },
    asOf = asOf,
    labels = labels,
)

internal fun AnswerOptions.toFfi(): FfiAnswerOptions = FfiAnswerOptions(
    search = search.toFfi(),
    format = when (format) {
        AnswerFormat.BASIS -> FfiAnswerFormat.BASIS
        AnswerFormat.FREE -> FfiAnswerFormat.FREE
    },
    maxTokens = count(maxTokens, "maxTokens"),
    temperature = temperature,
    seed = seed.toULong(),
    adapter = adapter,
    floor = floor,
    history = history.map { FfiExchange(it.question, it.answer) },
)

/** A count for the native side. A negative one is the caller's mistake, not a state of the world. */
internal fun count(value: Int, name: String): UInt {
    require(value >= 0) { "$name must not be negative" }
    return value.toUInt()
}

internal fun FfiPackInfo.toPublic(): PackInfo = PackInfo(
    id = id,
    version = version.toLong(),
    title = title,
    languages = languages,
    documentCount = documentCount.toLong(),
    passageCount = passageCount.toLong(),
    licence = licence,
    state = state,
)

internal fun FfiModelInfo.toPublic(): ModelInfo = ModelInfo(
    name = name,
    architecture = architecture,
    fileBytes = fileBytes.toLong(),
    contextTokens = contextTokens.toInt(),
)

internal fun FfiPassage.toPublic(): Passage = Passage(
    id = id,
    origin = origin.toPublic(),
    text = text,
    document = Document(documentId, documentTitle, documentPath, documentVersion, language),
    titlePath = titlePath,
    article = article,
    place = place,
    source = bytes(sourceStart, sourceEnd),
    page = page?.toInt(),
    validFrom = validFrom,
    validTo = validTo,
    score = score,
    dense = dense,
    lexical = lexical,
)

internal fun FfiAnswerEvent.toPublic(): AnswerEvent = when (this) {
    is FfiAnswerEvent.Retrieved -> AnswerEvent.Retrieved(passages.map { it.toPublic() })
    is FfiAnswerEvent.Text -> AnswerEvent.Text(delta)
    is FfiAnswerEvent.Citation -> AnswerEvent.Citation(citation.toPublic())
    is FfiAnswerEvent.Finished -> AnswerEvent.Finished(answer.toPublic())
}

private fun FfiAnswer.toPublic(): Answer = Answer(
    text = text,
    citations = citations.map { it.toPublic() },
    passages = passages.map { it.toPublic() },
    outcome = when (outcome) {
        FfiOutcome.ANSWERED -> Outcome.Answered
        FfiOutcome.DECLINED_NOTHING_FOUND -> Outcome.Declined(DeclineReason.NOTHING_FOUND)
        FfiOutcome.DECLINED_NOT_IN_PASSAGES -> Outcome.Declined(DeclineReason.NOT_IN_PASSAGES)
        FfiOutcome.TRUNCATED -> Outcome.Truncated
    },
    usage = usage.toPublic(),
)

private fun FfiCitation.toPublic(): Citation = Citation(
    answer = answer.utf16(),
    passage = passage.toInt(),
    quoted = quoted.utf16(),
    source = bytes(sourceStart, sourceEnd),
    origin = origin.toPublic(),
)

private fun FfiUsage.toPublic(): Usage = Usage(
    promptTokens = promptTokens.toInt(),
    reusedTokens = reusedTokens.toInt(),
    completionTokens = completionTokens.toInt(),
    timeToPassages = timeToPassages.toKotlinDuration(),
    timeToFirstText = timeToFirstText.toKotlinDuration(),
    totalTime = totalTime.toKotlinDuration(),
    prefillTokensPerSecond = prefillTokensPerSecond,
    decodeTokensPerSecond = decodeTokensPerSecond,
)

internal fun FfiSpan.utf16(): IntRange = utf16Start.toInt() until utf16End.toInt()

private fun bytes(start: ULong, end: ULong): LongRange = start.toLong() until end.toLong()

internal fun ThermalState.toFfi(): FfiThermalState = when (this) {
    ThermalState.NOMINAL -> FfiThermalState.NOMINAL
    ThermalState.FAIR -> FfiThermalState.FAIR
    ThermalState.SERIOUS -> FfiThermalState.SERIOUS
    ThermalState.CRITICAL -> FfiThermalState.CRITICAL
}

internal fun LogLevel.toFfi(): FfiLogLevel = when (this) {
    LogLevel.ERROR -> FfiLogLevel.ERROR
    LogLevel.WARN -> FfiLogLevel.WARN
    LogLevel.INFO -> FfiLogLevel.INFO
    LogLevel.DEBUG -> FfiLogLevel.DEBUG
}

/** A sink of the app, as the native side calls it. */
internal fun forward(sink: LogSink): FfiLogSink = object : FfiLogSink {
    override fun record(record: FfiLogRecord) {
        val level = when (record.level) {
            FfiLogLevel.ERROR -> LogLevel.ERROR
            FfiLogLevel.WARN -> LogLevel.WARN
            FfiLogLevel.INFO -> LogLevel.INFO
            FfiLogLevel.DEBUG -> LogLevel.DEBUG
        }
        sink.record(LogRecord(level, record.target, record.text))
    }
}
