import Foundation
import LoreKitBindings

// From the app to the native side. Numbers out of range are taken as the nearest one that fits.

extension FfiEngineOptions {
    init(_ configuration: EngineConfiguration) {
        self.init(
            pack: configuration.pack.path,
            embedder: configuration.embedder.path,
            model: configuration.model?.path,
            adapters: configuration.adapters.sorted { $0.key < $1.key }.map { FfiAdapterFile(name: $0.key, path: $0.value.path) },
            threads: UInt32(clamping: configuration.threads),
            contextTokens: UInt32(clamping: configuration.contextTokens),
            cacheFolder: configuration.cacheFolder?.path,
            gpu: configuration.usesGPU ? FfiGpuRequest.thisSystem : nil,
            library: configuration.library.map(FfiLibraryOptions.init)
        )
    }
}

extension FfiGpuRequest {
    /// What this system says of itself. Simulators have no Metal that computes as a device's does.
    static var thisSystem: FfiGpuRequest {
        var supported = false
        #if !targetEnvironment(simulator)
        if #available(iOS 18, macOS 15, *) { supported = true }
        #endif
        return FfiGpuRequest(
            systemSupported: supported,
            systemVersion: ProcessInfo.processInfo.operatingSystemVersionString
        )
    }
}

extension FfiSearchOptions {
    init(_ options: SearchOptions) {
        let mode: FfiSearchMode = switch options.mode {
        case .hybrid: .hybrid
        case .dense: .dense
        case .lexical: .lexical
        }
        self.init(limit: UInt32(clamping: options.limit), mode: mode, asOf: options.asOf, labels: options.labels)
    }
}

extension FfiAnswerOptions {
    init(_ options: AnswerOptions) {
        let format: FfiAnswerFormat = switch options.format {
        case .basis: .basis
        case .free: .free
        }
        self.init(
            search: FfiSearchOptions(options.search),
            format: format,
            maxTokens: UInt32(clamping: options.maxTokens),
            temperature: options.temperature,
            seed: options.seed,
            adapter: options.adapter,
            floor: options.floor,
            history: options.history.map { FfiExchange(question: $0.question, answer: $0.answer) }
        )
    }
}

extension FfiThermalState {
    init(_ state: ThermalState) {
        self = switch state {
        case .nominal: .nominal
        case .fair: .fair
        case .serious: .serious
        case .critical: .critical
        }
    }
}

extension FfiLogLevel {
    init(_ level: LogRecord.Level) {
        self = switch level {
        case .error: .error
        case .warn: .warn
        case .info: .info
        case .debug: .debug
        }
    }
}

// From the native side to the app.

extension LogRecord.Level {
    init(_ level: FfiLogLevel) {
        self = switch level {
        case .error: .error
        case .warn: .warn
        case .info: .info
        case .debug: .debug
        }
    }
}

extension PackInfo {
    init(_ info: FfiPackInfo) {
        self.init(
            id: info.id,
            version: info.version,
            title: info.title,
            languages: info.languages,
            documentCount: Int(clamping: info.documentCount),
            passageCount: Int(clamping: info.passageCount),
            licence: info.licence,
            state: info.state
        )
    }
}

extension ModelInfo {
    init(_ info: FfiModelInfo) {
        self.init(
            name: info.name,
            architecture: info.architecture,
            fileBytes: Int64(clamping: info.fileBytes),
            contextTokens: Int(clamping: info.contextTokens)
        )
    }
}

extension Passage {
    init(_ passage: FfiPassage) throws {
        self.init(
            id: passage.id,
            origin: Passage.Origin(passage.origin),
            text: passage.text,
            document: Document(
                id: passage.documentId,
                title: passage.documentTitle,
                path: passage.documentPath,
                version: passage.documentVersion,
                language: passage.language
            ),
            titlePath: passage.titlePath,
            article: passage.article,
            place: passage.place,
            source: try range(passage.sourceStart, passage.sourceEnd),
            page: passage.page.map { Int($0) },
            validFrom: passage.validFrom,
            validTo: passage.validTo,
            score: passage.score,
            dense: passage.dense,
            lexical: passage.lexical
        )
    }
}

extension Citation {
    init(_ citation: FfiCitation, in text: String, of passages: [Passage]) throws {
        guard let passage = Int(exactly: citation.passage), passages.indices.contains(passage) else {
            throw LoreKitError.internal(reason: "a citation points at no passage")
        }
        self.init(
            range: try text.range(of: citation.answer),
            passage: passage,
            origin: Passage.Origin(citation.origin),
            quoted: try passages[passage].text.range(of: citation.quoted),
            source: try LoreKit.range(citation.sourceStart, citation.sourceEnd)
        )
    }
}

extension Answer {
    init(_ answer: FfiAnswer) throws {
        let passages = try answer.passages.map(Passage.init)
        self.init(
            text: answer.text,
            citations: try answer.citations.map { try Citation($0, in: answer.text, of: passages) },
            passages: passages,
            outcome: Outcome(answer.outcome),
            usage: Usage(answer.usage)
        )
    }
}

extension Outcome {
    init(_ outcome: FfiOutcome) {
        self = switch outcome {
        case .answered: .answered
        case .declinedNothingFound: .declined(.nothingFound)
        case .declinedNotInPassages: .declined(.notInPassages)
        case .truncated: .truncated
        }
    }
}

extension Usage {
    init(_ usage: FfiUsage) {
        self.init(
            promptTokens: Int(clamping: usage.promptTokens),
            reusedTokens: Int(clamping: usage.reusedTokens),
            completionTokens: Int(clamping: usage.completionTokens),
            timeToPassages: .seconds(usage.timeToPassages),
            timeToFirstText: .seconds(usage.timeToFirstText),
            totalTime: .seconds(usage.totalTime),
            prefillTokensPerSecond: usage.prefillTokensPerSecond,
            decodeTokensPerSecond: usage.decodeTokensPerSecond
        )
    }
}
