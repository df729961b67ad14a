import LoreKitBindings

/// One log record. It never holds a question, a passage or an answer.
public struct LogRecord: Hashable, Sendable {
    /// How much weight a record has.
    public enum Level: Hashable, Sendable, CaseIterable {
        /// Something failed.
        case error
        /// Something is odd, and the library goes on.
        case warn
        /// Rare events of a healthy life.
        case info
        /// For people who look for a fault.
        case debug
    }

    /// Its weight.
    public let level: Level
    /// Where it comes from, for example `lorekit_ffi::engine`.
    public let target: String
    /// What happened.
    public let text: String
}

/// Where log records go.
public protocol LogSink: Sendable {
    /// Takes one record, on any thread: return soon, and do not call the library. What it throws is ignored.
    func record(_ record: LogRecord) throws
}

/// Log records of the whole process.
public enum Log {
    /// Sends records of `level` and above to `sink`; `nil`, as at the start, sends them nowhere. The last call holds.
    public static func setSink(_ sink: (any LogSink)?, level: LogRecord.Level = .info) {
        // It can fail only by a caught panic, and then there is no log.
        try? setLogSink(level: FfiLogLevel(level), sink: sink.map(Forward.init))
    }
}

/// Hands records of the native side to the app's sink.
private final class Forward: FfiLogSink {
    private let sink: any LogSink

    init(sink: any LogSink) {
        self.sink = sink
    }

    func record(record: FfiLogRecord) throws {
        try sink.record(LogRecord(level: LogRecord.Level(record.level), target: record.target, text: record.text))
    }
}
