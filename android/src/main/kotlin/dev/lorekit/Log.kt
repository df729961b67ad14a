package dev.lorekit

import dev.lorekit.internal.forward
import dev.lorekit.internal.ffi.setLogSink as ffiSetLogSink
import dev.lorekit.internal.toFfi
import dev.lorekit.internal.toPublic

/** How much weight a log record has. */
public enum class LogLevel {
    /** Something failed. */
    ERROR,

    /** Something is odd, and the library goes on. */
    WARN,

    /** Rare events of a healthy life. */
    INFO,

    /** For people who look for a fault. */
    DEBUG,
}

/**
 * One log record. It never holds a question, a passage or an answer.
 *
 * @property level its weight.
 * @property target where it comes from, for example `lorekit_ffi::engine`.
 * @property text what happened.
 */
public data class LogRecord(
    public val level: LogLevel,
    public val target: String,
    public val text: String,
)

/** Where log records go. */
public fun interface LogSink {
    /** Takes one record, on any thread: return soon, and do not call the library. What it throws is ignored. */
    public fun record(record: LogRecord)
}

/** Log records of the whole process. */
public object Log {
    /** Sends records of [level] and above to [sink]; null, as at the start, sends them nowhere. The last call holds. */
    public fun setSink(level: LogLevel, sink: LogSink?) {
        try {
            ffiSetLogSink(level.toFfi(), sink?.let(::forward))
        } catch (error: Exception) {
            throw toPublic(error)
        } catch (error: LinkageError) {
            throw toPublic(error)
        }
    }
}
