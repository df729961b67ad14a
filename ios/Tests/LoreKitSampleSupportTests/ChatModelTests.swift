import Foundation
import LoreKit
import LoreKitSampleSupport
import Testing

/// The chat screen's logic against the real engine and the tiny models of the scenarios.
@Suite("chat model", .serialized) @MainActor struct ChatModelTests {
    private let grace = "信用卡还款宽限期几天？"

    private func engine() async throws -> Engine {
        let folder = try #require(ProcessInfo.processInfo.environment["LOREKIT_FIXTURES"], "run `cargo xtask test-swift`")
        func file(_ name: String) -> URL { URL(fileURLWithPath: folder).appendingPathComponent(name) }
        return try await Engine.open(
            EngineConfiguration(
                pack: file("base.lorepack"),
                embedder: file("embedder.gguf"),
                model: file("model.gguf"),
                adapters: ["calm": file("adapter.gguf")],
                threads: 2
            )
        )
    }

    private func options(_ change: (inout AnswerOptions) -> Void = { _ in }) -> AnswerOptions {
        var options = AnswerOptions()
        options.search = SearchOptions(limit: 1, mode: .lexical)
        change(&options)
        return options
    }

    @Test("a question is answered, its citations cut the text, and one opens its passage with the span marked")
    func answered() async throws {
        let chat = ChatModel(try await engine(), options: options())
        chat.ask("  \(grace)\n")
        #expect(chat.isBusy && chat.turns.map(\.question) == [grace])
        chat.ask("another one meanwhile")
        #expect(chat.turns.count == 1)
        await chat.settled()
        let turn = try #require(chat.turns.last)
        #expect(!chat.isBusy && [.answered, .truncated].contains(turn.status))
        #expect(turn.segments.map(\.text).joined() == turn.text)
        let cited = try #require(turn.segments.first { $0.citation != nil })
        #expect(cited.text == "信用卡还款宽限期为三天😀，逾期按日计息。")
        chat.open(citation: try #require(cited.citation), of: turn)
        let opened = try #require(chat.opened)
        #expect(opened.title == "银行卡规则 第一条" && opened.marked == cited.text)
        #expect(opened.before + opened.marked + opened.after == opened.passage.text)
        chat.ask("and the next question closes the sheet")
        #expect(chat.opened == nil)
        #expect(turn.opened(citation: 99) == nil)
    }

    @Test("stopping keeps what has come, and the next question is asked")
    func stopped() async throws {
        /// Says a word and then nothing more, without ending.
        struct Thinking: Answering {
            func answer(to question: String, options: AnswerOptions) -> AsyncThrowingStream<AnswerEvent, any Error> {
                AsyncThrowingStream { $0.yield(.text("三天😀")) }
            }
        }
        let chat = ChatModel(Thinking())
        for turn in 0..<2 {
            chat.ask(grace)
            while chat.turns[turn].text.isEmpty { await Task.yield() }
            #expect(chat.isBusy)
            chat.stop()
            await chat.settled()
            #expect(chat.turns[turn].status == .stopped && chat.turns[turn].text == "三天😀")
        }
    }

    @Test("an answer that is stopped before its first word says so")
    func engineStopped() async throws {
        let chat = ChatModel(try await engine(), options: options { $0.format = .free; $0.maxTokens = 3_000; $0.temperature = 2 })
        chat.ask(grace)
        chat.stop()
        await chat.settled()
        #expect(chat.turns[0].status == .stopped && chat.turns[0].text.isEmpty)
    }

    @Test("a declined question shows the nearest passages")
    func declined() async throws {
        let strict = options {
            $0.search = SearchOptions(limit: 2)
            $0.floor = 2
        }
        let chat = ChatModel(try await engine(), options: strict)
        chat.ask(grace)
        await chat.settled()
        #expect(chat.turns[0].status == .declined(.nothingFound))
        #expect(chat.turns[0].passages.count == 2 && chat.turns[0].citations.isEmpty)
    }

    @Test("the adapter of the next question is the chosen one, and an unknown one is told, not thrown")
    func adapters() async throws {
        let chat = ChatModel(try await engine(), options: options { $0.maxTokens = 160 })
        for adapter in [nil, "calm", "unknown"] {
            chat.adapter = adapter
            chat.ask(grace)
            await chat.settled()
        }
        #expect(chat.turns[0].text != chat.turns[1].text)
        guard case .failed("adapter_mismatch", let text) = chat.turns[2].status else {
            Issue.record("\(chat.turns[2].status)")
            return
        }
        #expect(!text.isEmpty)
    }

    @Test("leaving the screen stops the model")
    func left() async throws {
        let engine = try await engine()
        var chat: ChatModel? = ChatModel(engine, options: options { $0.format = .free; $0.maxTokens = 3_000; $0.temperature = 2 })
        chat?.ask(grace)
        while chat?.turns[0].text.isEmpty == true, chat?.isBusy == true { try await Task.sleep(for: .milliseconds(1)) }
        weak var gone = chat
        chat = nil
        let clock = ContinuousClock()
        let asked = clock.now
        #expect(try await engine.search(grace, options: SearchOptions(limit: 1, mode: .lexical)).count == 1)
        #expect(clock.now - asked < .seconds(2))
        while gone != nil { try await Task.sleep(for: .milliseconds(1)) }
    }
}
