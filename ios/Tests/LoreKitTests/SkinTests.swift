import Foundation
import LoreKitBindings
import Testing

@testable import LoreKit

/// What the skin itself adds, and what the scenarios do not reach.
@Suite("skin") struct SkinTests {
    @Test("spans in bytes become ranges of characters, for Han, emoji and joined emoji")
    func spans() throws {
        let text = "付款😀期限👩‍👩‍👧e\u{301}。"
        for part in ["付款", "😀", "期限", "👩‍👩‍👧", "e\u{301}", "。", "款😀期", ""] {
            let range = text.range(of: part) ?? text.endIndex..<text.endIndex
            let start = text.utf8.distance(from: text.startIndex, to: range.lowerBound)
            let span = FfiSpan(utf8Start: UInt64(start), utf8End: UInt64(start + part.utf8.count), utf16Start: 0, utf16End: 0)
            #expect(text[try text.range(of: span)] == part)
        }
    }

    @Test("a span between two scalars of one character still cuts there")
    func spanInsideACharacter() throws {
        let text = "e\u{301}x"
        let range = try text.range(of: FfiSpan(utf8Start: 0, utf8End: 1, utf16Start: 0, utf16End: 1))
        #expect(String(text.unicodeScalars[range]) == "e")
    }

    @Test("a span that the text cannot hold is an error, never a trap", arguments: [(0, 99), (9, 3), (UInt64.max, UInt64.max), (0, UInt64.max)] as [(UInt64, UInt64)])
    func foreignSpan(span: (UInt64, UInt64)) {
        let span = FfiSpan(utf8Start: span.0, utf8End: span.1, utf16Start: 0, utf16End: 0)
        #expect(throws: LoreKitError.self) { try "付款".range(of: span) }
    }

    private static let everyError: [LoreKitError] = [
        .notFound(path: "/a/b.lorepack"), .damaged(path: "/a/b.gguf", reason: "r"), .unsupported(path: "/a/b.gguf", reason: "r"),
        .embedderMismatch(pack: "p", device: "d"), .adapterMismatch(adapter: "calm", reason: "r"), .emptyQuestion,
        .keyNeeded(path: "/a/b"), .wrongKey(path: "/a/b"), .invalidKey(reason: "r"), .untrusted(path: "/a/b", reason: "r"),
        .expired(path: "/a/b", reason: "r"), .clockTurnedBack(path: "/a/b", reason: "r"), .replayed(path: "/a/b", reason: "r"),
        .fork(path: "/a/b", reason: "r"), .otherParent(path: "/a/b", reason: "r"), .otherPack(path: "/a/b", reason: "r"),
        .purged(path: "/a/b"), .locked(path: "/a/b"), .readOnly, .nothingToRollBackTo, .unusableDocument(reason: "r"),
        .questionTooLong(tokens: 9, limit: 5), .noModel, .storage(reason: "r"), .closed, .internal(reason: "r"),
    ]

    @Test("every error is told in English and in Chinese, and names no folder", arguments: everyError)
    func texts(error: LoreKitError) {
        func isHan(_ text: String) -> Bool { text.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) } }
        let (english, chinese) = (error.text(in: .english), error.text(in: .simplifiedChinese))
        #expect(!english.description.isEmpty && !isHan(english.description))
        #expect(isHan(chinese.description))
        #expect((english.suggestion == nil) == (chinese.suggestion == nil))
        #expect(!english.description.contains("/a/") && !chinese.description.contains("/a/"))
        #expect([english.description, chinese.description].contains(error.localizedDescription))
        #expect(error.errorDescription == error.localizedDescription)
    }

    @Test("the first of a person's languages that there is decides")
    func language() {
        #expect(TextLanguage(preferring: ["fr-FR", "zh-Hans-CN", "en"]) == .simplifiedChinese)
        #expect(TextLanguage(preferring: ["zh"]) == .simplifiedChinese)
        #expect(TextLanguage(preferring: ["en-GB", "zh-Hans"]) == .english)
        #expect(TextLanguage(preferring: ["fr"]) == .english)
        #expect(TextLanguage(preferring: []) == .english)
    }

    @Test("codes are distinct")
    func codes() {
        #expect(Set(Self.everyError.map(\.code)).count == Self.everyError.count)
    }

    @Test("a cancel of the native side is the platform's own, unless the engine was closed")
    func cancellation() {
        let cancelled = FfiError.Cancelled(code: "cancelled", text: "cancelled")
        #expect(publicError(cancelled, closed: false) is CancellationError)
        #expect(publicError(cancelled, closed: true) as? LoreKitError == .closed)
    }

    @Test("numbers out of range are taken as the nearest that fits")
    func clamping() {
        var options = AnswerOptions()
        options.maxTokens = -1
        options.search.limit = .max
        options.search.labels = ["staff"]
        let ffi = FfiAnswerOptions(options)
        #expect(ffi.search.labels == ["staff"])
        #expect(ffi.maxTokens == 0 && ffi.search.limit == .max)
    }

    @Test("dropping the last reference to an engine ends its answers")
    func dropping() async throws {
        var engine: Engine? = try await Engine.open(try configuration())
        let stream = try #require(engine?.answer(to: grace, options: talkative))
        engine = nil
        let error = await failure { try await stream.finalAnswer() }
        #expect(error as? LoreKitError == .closed || error is CancellationError, "\(String(describing: error))")
    }

    @Test("dropping the last reference to an engine ends its changes, and the folder is free again")
    func droppingAChange() async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lorekit-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        var opened = try configuration()
        opened.pack = try file("library.lorepack")
        let publisher = try String(contentsOf: file("publisher.pub"), encoding: .utf8)
        opened.library = LibraryConfiguration(folder: folder, trustedKeys: [publisher])
        var engine: Engine? = try await Engine.open(opened)
        let stream = try #require(engine?.answer(to: grace, options: talkative))
        let change = try #require(engine?.add(OwnDocument(id: "a", path: "a.txt", content: "nine")))
        engine = nil
        #expect(await failure { try await change.report() } as? LoreKitError == .closed)
        #expect(await failure { try await stream.finalAnswer() } as? LoreKitError == .closed)
        // The old engine's end is on its way, on a thread of its own.
        var again: Engine?
        for _ in 0..<200 where again == nil {
            try await Task.sleep(for: .milliseconds(10))
            again = try? await Engine.open(opened)
        }
        #expect(again != nil)
        await again?.close()
    }

    @Test("a change is waited for by many, and all are told the same end")
    func manyWait() async throws {
        let engine = try await Engine.open(try configuration())
        let change = engine.compact()
        async let one = failure { try await change.report() } as? LoreKitError
        async let other = failure { try await change.report() } as? LoreKitError
        let looped = await failure { for try await _ in change {} } as? LoreKitError
        #expect(await [one, other, looped] == [.readOnly, .readOnly, .readOnly])
        change.cancel()
        #expect(await failure { try await change.report() } as? LoreKitError == .readOnly, "the first end holds")
    }

    @Test("printing a configuration shows no key")
    func noKeyIsPrinted() throws {
        let key = Data(repeating: 7, count: 32)
        var opened = try configuration()
        opened.library = LibraryConfiguration(folder: opened.pack, trustedKeys: ["public"], key: key, contentKey: key)
        var dumped = ""
        dump(opened, to: &dumped)
        #expect(dumped.contains("public") && !dumped.contains("- 7") && !dumped.contains("32 bytes"))
        #expect(!String(describing: opened).contains("32 bytes"))
    }

    @Test("a cancelled search returns at once, also behind a long answer, and the engine goes on")
    func cancelledSearch() async throws {
        let engine = try await Engine.open(try configuration())
        let running = engine.answer(to: grace, options: talkative)
        let search = Task { try await engine.search(grace, options: byWords) }
        try await Task.sleep(for: .milliseconds(20))
        let clock = ContinuousClock()
        let asked = clock.now
        search.cancel()
        #expect(await failure { try await search.value } is CancellationError)
        #expect(clock.now - asked < bound)
        running.cancel()
        #expect(await failure { try await running.finalAnswer() } is CancellationError)
        try await freeWithinTheBound(engine, "search behind a cancelled answer")
    }

    @Test("opening in a cancelled task is a CancellationError")
    func cancelledOpen() async throws {
        let configuration = try configuration()
        let opening = Task {
            withUnsafeCurrentTask { $0?.cancel() }
            return try await Engine.open(configuration)
        }
        #expect(await failure { try await opening.value } is CancellationError)
    }
}
