import Foundation
import LoreKit
import Testing

/// The contract of the bridge, as `bindings/tests/scenarios.rs` states it, under the same names.
@Suite("scenarios", .serialized) struct Scenarios {
    @Test("open") func open() async throws {
        let engine = try await openEngine()
        let pack = engine.pack
        #expect([pack.id, pack.title, pack.licence] == ["fixture", "Fixture", "CC0-1.0"])
        #expect(pack.version == 3 && pack.documentCount == 2 && pack.passageCount == 4)
        #expect(pack.languages == ["zh", "en"] && pack.state.count == 64)
        let model = try #require(engine.model)
        #expect([model.name, model.architecture] == ["Tiny fixture", "qwen2"])
        #expect(model.contextTokens == 4_096)
        let bytes = try FileManager.default.attributesOfItem(atPath: file("model.gguf").path)[.size] as? NSNumber
        #expect(model.fileBytes == bytes?.int64Value)
        #expect(try await openEngine { $0.model = nil }.model == nil)
    }

    @Test("every_error_case") func everyErrorCase() async throws {
        func opening(_ change: (inout EngineConfiguration) throws -> Void) async -> LoreKitError? {
            await failure { try await openEngine(change) } as? LoreKitError
        }
        var seen: Set<String> = []
        func expect(_ error: LoreKitError?, _ code: String, sourceLocation: SourceLocation = #_sourceLocation) {
            #expect(error?.code == code, sourceLocation: sourceLocation)
            #expect(error?.localizedDescription.isEmpty == false, sourceLocation: sourceLocation)
            seen.insert(code)
        }
        let missing = try file("missing.lorepack")
        let notFound = await opening { $0.pack = missing }
        expect(notFound, "not_found")
        #expect(notFound == .notFound(path: missing.path))
        expect(await opening { $0.pack = try file("damaged.lorepack") }, "damaged")
        expect(await opening { $0.model = try file("unsupported-model.gguf") }, "unsupported")
        expect(await opening { $0.embedder = try file("other-embedder.gguf") }, "embedder_mismatch")
        expect(await opening { $0.adapters = ["foreign": try file("foreign-adapter.gguf")] }, "adapter_mismatch")
        // A file in a file: neither missing nor damaged, the system refuses the path.
        expect(await opening { $0.pack = try file("base.lorepack/inside") }, "storage")

        let engine = try await openEngine()
        func asking(_ question: String, _ options: AnswerOptions = options()) async -> LoreKitError? {
            await failure { try await engine.answer(to: question, options: options).finalAnswer() } as? LoreKitError
        }
        expect(await asking("  "), "empty_question")
        #expect(await failure { try await engine.search("") } as? LoreKitError == .emptyQuestion)
        let unknown = await asking(grace, options { $0.adapter = "unknown" })
        expect(unknown, "adapter_mismatch")
        guard case .adapterMismatch("unknown", _) = unknown else { Issue.record("\(String(describing: unknown))"); return }
        let long = await asking(grace + String(repeating: "长", count: 5_000))
        expect(long, "question_too_long")
        guard case .questionTooLong(let tokens, let limit) = long else { Issue.record("\(String(describing: long))"); return }
        #expect(tokens > limit && limit > 0)
        expect(await asking(grace, options { $0.temperature = -1 }), "internal")
        let cancelled = Task { try await engine.search(grace, options: byWords) }
        cancelled.cancel()
        // It may have been served before the cancel came; an error can only be the platform's own.
        if let error = await failure({ try await cancelled.value }) { #expect(error is CancellationError) }
        await engine.close()
        expect(await asking(grace), "closed")
        let mute = try await openEngine { $0.model = nil }
        expect(await failure { try await mute.answer(to: grace, options: options()).finalAnswer() } as? LoreKitError, "no_model")
        #expect(try await mute.search(grace, options: byWords).isEmpty == false)
        #expect(seen.count == 11, "every case was met: \(seen)")
    }

    @Test("search_by_words_and_by_meaning") func searchByWordsAndByMeaning() async throws {
        let engine = try await openEngine()
        let found = try await engine.search(grace, options: byWords)
        #expect(found.map(\.place) == ["rules#第一条"])
        #expect(found[0].document.title == "银行卡规则" && found[0].article == "第一条")
        #expect(found[0].lexical != nil && found[0].dense == nil)
        let hybrid = try await engine.search("card fees", options: SearchOptions(limit: 4))
        #expect(hybrid.count == 4)
        #expect(hybrid.map(\.score) == hybrid.map(\.score).sorted(by: >))
        #expect(hybrid.allSatisfy { $0.dense != nil })
    }

    @Test("streamed_answer_in_chinese_with_an_emoji") func streamedAnswerInChineseWithAnEmoji() async throws {
        let engine = try await openEngine()
        var (retrieved, text, cited, finished): ([Passage]?, String, [Citation], Answer?) = (nil, "", [], nil)
        for try await event in engine.answer(to: grace, options: options()) {
            #expect(finished == nil, "nothing follows the end")
            switch event {
            case .retrieved(let passages):
                #expect(retrieved == nil && text.isEmpty)
                retrieved = passages
            case .text(let delta): text += delta
            case .citation(let citation):
                let passage = try #require(retrieved)[citation.passage]
                #expect(text[citation.range] == passage.text[citation.quoted], "a range holds in the text streamed so far")
                cited.append(citation)
            case .finished(let answer): finished = answer
            }
        }
        let answer = try #require(finished)
        #expect(answer.text == text && answer.citations == cited && answer.passages == retrieved)
        #expect(answer.text.hasPrefix("【政策依据】《银行卡规则》第一条：“信用卡还款宽限期为三天😀"))
        let citation = try #require(answer.citations.first)
        #expect(answer.text[citation.range] == "信用卡还款宽限期为三天😀，逾期按日计息。")
        #expect(answer.passages[citation.passage].text[citation.quoted] == answer.text[citation.range])
        #expect(citation.source == 0..<answer.passages[0].text.utf8.count)
        #expect(answer.usage.completionTokens > 0 && answer.usage.timeToFirstText <= answer.usage.totalTime)
        let declined = options {
            $0.search = SearchOptions(limit: 1)
            $0.floor = 2
        }
        #expect(try await engine.answer(to: grace, options: declined).finalAnswer().outcome == .declined(.nothingFound))
    }

    @Test("break_out_of_the_loop") func breakOutOfTheLoop() async throws {
        let engine = try await openEngine()
        let stream = engine.answer(to: grace, options: talkative)
        for try await event in stream {
            if case .text = event { break }
        }
        // The stream itself is still held: leaving the loop is what stops the model.
        try await freeWithinTheBound(engine, "break out of the loop")
        #expect(await failure { for try await _ in stream { Issue.record("a stream is read once") } } is CancellationError)
        for try await _ in engine.answer(to: grace, options: talkative) { break }
        try await freeWithinTheBound(engine, "break before the prompt")
        _ = engine.answer(to: grace, options: talkative)
        try await freeWithinTheBound(engine, "stream that nobody reads")
    }

    @Test("cancel_during_prefill") func cancelDuringPrefill() async throws {
        let engine = try await openEngine { $0.contextTokens = 16_000 }
        let whole = try await engine.answer(to: grace, options: longPrompt("z")).finalAnswer()
        #expect(whole.usage.promptTokens > 12_000)
        // Another first turn, so that nothing of the prompt is in the cache.
        let later = whole.usage.timeToFirstText / 4
        let seen = try await cancelAfter(engine, longPrompt("x"), "during prefill", later: later) { event in
            if case .retrieved = event { true } else { false }
        }
        #expect(seen.count == 1, "no text had come")
        try await freeWithinTheBound(engine, "cancel during prefill (the whole request takes \(whole.usage.totalTime))")
    }

    @Test("cancel_during_decode") func cancelDuringDecode() async throws {
        let engine = try await openEngine()
        // The reader keeps reading, so that the model is decoding and not waiting for room when it is cancelled.
        let seen = try await cancelAfter(engine, talkative, "during decode", later: .milliseconds(60)) { event in
            if case .text = event { true } else { false }
        }
        #expect(!seen.contains { event in if case .finished = event { true } else { false } })
        try await freeWithinTheBound(engine, "cancel during decode")
        #expect(try await engine.answer(to: grace, options: options()).finalAnswer().text.contains("😀"))
    }

    /// Reads in a task of its own and cancels that some time after the first event that is `enough`.
    private func cancelAfter(
        _ engine: Engine,
        _ options: AnswerOptions,
        _ what: String,
        later: Duration,
        enough: @escaping @Sendable (AnswerEvent) -> Bool
    ) async throws -> [AnswerEvent] {
        let (seen, reached) = (Shared<[AnswerEvent]>([]), Gate())
        let reader = Task {
            // An answer that ends without such an event fails the test instead of holding it up.
            defer { reached.open() }
            for try await event in engine.answer(to: grace, options: options) {
                seen.change { $0.append(event) }
                if enough(event) { reached.open() }
            }
        }
        await reached.passed()
        try await Task.sleep(for: later)
        let clock = ContinuousClock()
        let asked = clock.now
        reader.cancel()
        let error = await failure { try await reader.value }
        print("     cancel \(what): reader woken after \(clock.now - asked)")
        #expect(clock.now - asked < bound)
        #expect(error is CancellationError)
        return seen.value
    }

    @Test("two_answers_queued") func twoAnswersQueued() async throws {
        let engine = try await openEngine()
        let first = engine.answer(to: grace, options: options())
        let second = engine.answer(to: "card transaction disputed", options: options())
        async let waiting = second.finalAnswer()
        async let running = first.finalAnswer()
        #expect(try await waiting.text.contains("60 days"))
        #expect(try await running.text.contains("信用卡"))
    }

    @Test("close_while_answering") func closeWhileAnswering() async throws {
        let engine = try await openEngine()
        let running = engine.answer(to: grace, options: talkative)
        let queued = engine.answer(to: grace, options: talkative)
        let started = Gate()
        let reader = Task { for try await _ in running { started.open() } }
        let waiting = Task { try await queued.finalAnswer() }
        await started.passed()
        let searching = Task { try await engine.search(grace, options: byWords) }
        let clock = ContinuousClock()
        let asked = clock.now
        await engine.close()
        print("     close while answering: closed after \(clock.now - asked)")
        #expect(clock.now - asked < bound)
        #expect(await failure { try await reader.value } as? LoreKitError == .closed)
        #expect(await failure { try await waiting.value } as? LoreKitError == .closed)
        // The search may have been served before the close, between the two answers.
        if let error = await failure({ try await searching.value }) { #expect(error as? LoreKitError == .closed) }
    }

    @Test("adapter_named_per_request") func adapterNamedPerRequest() async throws {
        let engine = try await openEngine {
            $0.adapters = ["calm": try file("adapter.gguf"), "brisk": try file("second-adapter.gguf")]
        }
        func say(_ adapter: String?) async throws -> String {
            let options = options {
                $0.adapter = adapter
                $0.maxTokens = 160
            }
            return try await engine.answer(to: grace, options: options).finalAnswer().text
        }
        let (plain, calm, brisk) = (try await say(nil), try await say("calm"), try await say("brisk"))
        #expect(Set([plain, calm, brisk]).count == 3, "an adapter changes how it is said")
        // What is copied from the passage is the same whoever says it.
        #expect(Set([plain, calm, brisk].map { $0.components(separatedBy: "【简明解释】")[0] }).count == 1)
        #expect(try await say("calm") == calm)
        #expect(try await say(nil) == plain)
    }

    @Test("a_thousand_open_and_close_cycles_with_flat_memory") func aThousandOpenAndCloseCycles() async throws {
        func cycle() async throws {
            let engine = try await openEngine {
                $0.threads = 1
                $0.contextTokens = 512
            }
            await engine.close()
        }
        for _ in 0..<100 { try await cycle() }
        let before = residentKilobytes()
        for _ in 0..<1_000 { try await cycle() }
        let after = residentKilobytes()
        print("     a thousand cycles: \(before.map(String.init) ?? "?") kB resident before, \(after.map(String.init) ?? "?") kB after")
        if let before, let after {
            // One engine of these takes some hundred kilobytes; a leak of one in ten would show.
            #expect(after < before + 32 * 1_024)
        }
    }

    @Test("use_after_close") func useAfterClose() async throws {
        let engine = try await openEngine()
        await engine.close()
        await engine.close()
        #expect(await failure { try await engine.search(grace, options: byWords) } as? LoreKitError == .closed)
        #expect(await failure { try await engine.answer(to: grace, options: options()).finalAnswer() } as? LoreKitError == .closed)
        #expect(engine.pack.id == "fixture")
    }

    @Test("lifecycle_calls") func lifecycleCalls() async throws {
        let cache = FileManager.default.temporaryDirectory.appendingPathComponent("lorekit-cache")
        try? FileManager.default.removeItem(at: cache)
        try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        let engine = try await openEngine { $0.cacheFolder = cache }
        func say() async throws -> Answer { try await engine.answer(to: grace, options: options()).finalAnswer() }
        let before = try await say().text
        engine.memoryWarning()
        #expect(try await say().text == before)
        engine.enterBackground()
        engine.enterForeground()
        #expect(try await say().text == before)
        engine.clearCaches()
        engine.setThermalState(.critical)
        let hot = try await say()
        #expect(hot.text.contains("😀") && hot.citations.count == 1 && hot.usage.completionTokens == 0)
        engine.setThermalState(.nominal)
        #expect(try await say().text == before)
        await engine.close()
        engine.memoryWarning()
        engine.enterBackground()
        try FileManager.default.removeItem(at: cache)
    }

    @Test("log_sink") func logSink() async throws {
        struct Full: Error {}
        struct Collect: LogSink {
            let records = Shared<[LogRecord]>([])
            func record(_ record: LogRecord) throws {
                records.change { $0.append(record) }
                throw Full() // a sink that fails disturbs nobody
            }
        }
        let sink = Collect()
        Log.setSink(sink, level: .debug)
        let engine = try await openEngine()
        _ = try await engine.answer(to: grace, options: options()).finalAnswer()
        await engine.close()
        Log.setSink(nil)
        let records = sink.records.value
        #expect(records.contains { $0.text.contains("fixture version 3") })
        for record in records {
            #expect(record.target.hasPrefix("lorekit"))
            #expect(!record.text.contains("信用卡") && !record.text.contains("宽限"))
        }
        await (try openEngine()).close()
        #expect(sink.records.value.count == records.count, "nothing comes after the sink was taken away")
    }
}

/// Resident memory in kB, where the system says it.
private func residentKilobytes() -> Int? {
    guard let status = try? String(contentsOfFile: "/proc/self/status", encoding: .utf8) else { return nil }
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmRSS:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }
}
