import Foundation
import LoreKit
import Testing

@testable import LoreKitFoundationModels

/// The engine of the scenarios, on its tiny models.
func openFixtures() async throws -> Engine {
    let folder = try #require(ProcessInfo.processInfo.environment["LOREKIT_FIXTURES"], "run `cargo xtask test-swift`")
    func file(_ name: String) -> URL { URL(fileURLWithPath: folder).appendingPathComponent(name) }
    return try await Engine.open(
        EngineConfiguration(pack: file("base.lorepack"), embedder: file("embedder.gguf"), model: file("model.gguf"), threads: 2)
    )
}

let grace = "信用卡还款宽限期几天？"

private var byWords: AnswerOptions {
    var options = AnswerOptions()
    options.search = SearchOptions(limit: 1, mode: .lexical)
    return options
}

/// A request against the real engine and the tiny models of the scenarios.
@Suite("session on an engine", .serialized) struct EngineSessionTests {
    private let request = SessionRequest(turns: [.prompt([.text(grace)])])

    @Test("the steps of a request say what the engine answers")
    func sameAnswer() async throws {
        let engine = try await openFixtures()
        let expected = try await engine.answer(to: grace, options: byWords).finalAnswer()
        var (text, groundings, usages): (String, [Grounding], Int) = ("", [], 0)
        try await answer(request, with: engine, options: byWords) { step in
            switch step {
            case .text(let delta): text += delta
            case .grounding(let grounding): groundings.append(grounding)
            case .usage(let prompt, let cached, let completion):
                usages += 1
                #expect(prompt == expected.usage.promptTokens && cached <= prompt)
                #expect(completion == expected.usage.completionTokens)
            }
        }
        #expect(text == expected.text && usages == 1)
        #expect(groundings.first?.outcome == nil && groundings.first?.sources.map(\.place) == ["rules#第一条"])
        let last = try #require(groundings.last)
        #expect(last.outcome == Grounding.Outcome(expected.outcome))
        #expect(last.quotes.count == expected.citations.count && !last.quotes.isEmpty)
        for quote in last.quotes {
            #expect(quote.range(in: text).map { String(text[$0]) } == quote.text)
        }
        await engine.close()
    }

    @Test("cancelling the task ends the request with CancellationError, and the engine goes on")
    func cancelling() async throws {
        let engine = try await openFixtures()
        var talkative = byWords
        talkative.format = .free
        talkative.maxTokens = 3_000
        let (stream, continuation) = AsyncStream<Void>.makeStream()
        let asking = Task { [request, talkative] in
            try await answer(request, with: engine, options: talkative) { step in
                if case .text = step { continuation.yield() }
            }
        }
        for await _ in stream { break }
        asking.cancel()
        await #expect(throws: CancellationError.self) { try await asking.value }
        #expect(try await engine.search(grace, options: byWords.search).count == 1)
        await engine.close()
    }

    @Test("a session that stops taking stops the model with its own error")
    func sendFails() async throws {
        struct Full: Error {}
        let engine = try await openFixtures()
        await #expect(throws: Full.self) {
            try await answer(request, with: engine, options: byWords) { _ in throw Full() }
        }
        #expect(try await engine.search(grace, options: byWords.search).count == 1)
        await engine.close()
    }

    @Test("an engine's error comes through as it is")
    func engineError() async throws {
        let engine = try await openFixtures()
        await engine.close()
        await #expect(throws: LoreKitError.closed) {
            try await answer(request, with: engine, options: byWords) { _ in }
        }
    }
}

#if canImport(FoundationModels) && (compiler(>=6.4) || LOREKIT_DECLARED_FOUNDATION_MODELS)
import FoundationModels

/// The adapter in a session; on Linux the session is declared in Tests/DeclaredFoundationModels.
@Suite("language model", .serialized) struct LanguageModelTests {
    @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
    @Test("a session answers with the engine's text, usage and grounding")
    func session() async throws {
        let engine = try await openFixtures()
        let expected = try await engine.answer(to: grace, options: byWords).finalAnswer()
        let session = LanguageModelSession(model: LoreKitLanguageModel(engine: engine, options: byWords), instructions: "Be brief.")
        let response = try await session.respond(to: grace)
        #expect(response.content == expected.text)
        #expect(response.usage.input.totalTokenCount == expected.usage.promptTokens)
        #expect(response.usage.output.totalTokenCount == expected.usage.completionTokens)
        guard case .response(let entry)? = response.transcriptEntries.last else { Issue.record("no response"); return }
        let grounding = try #require(try Grounding(entry))
        #expect(grounding.outcome == Grounding.Outcome(expected.outcome) && grounding.ignored == [.instructions])
        #expect(grounding.quotes.allSatisfy { $0.range(in: response.content) != nil } && !grounding.quotes.isEmpty)
        await engine.close()
    }

    @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
    @Test("a declined question is a response that says so, and the next one knows the turn before it")
    func declined() async throws {
        let engine = try await openFixtures()
        var model = LoreKitLanguageModel(engine: engine)
        model.options.search = SearchOptions(limit: 1)
        model.options.floor = 2
        let session = LanguageModelSession(model: model)
        let declined = try await session.respond(to: grace)
        #expect(!declined.content.isEmpty)
        guard case .response(let entry)? = declined.transcriptEntries.last else { Issue.record("no response"); return }
        #expect(try Grounding(entry)?.outcome == .nothingFound)

        let later = LanguageModelSession(model: LoreKitLanguageModel(engine: engine, options: byWords), transcript: session.transcript)
        let alone = LanguageModelSession(model: LoreKitLanguageModel(engine: engine, options: byWords))
        let (longer, shorter) = (try await later.respond(to: grace), try await alone.respond(to: grace))
        #expect(longer.usage.input.totalTokenCount > shorter.usage.input.totalTokenCount)
        await engine.close()
    }

    @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
    @Test("no capability is declared, and an empty prompt is LoreKit's own error")
    func refusals() async throws {
        let engine = try await openFixtures()
        let model = LoreKitLanguageModel(engine: engine)
        for capability in [LanguageModelCapabilities.Capability.toolCalling, .guidedGeneration, .reasoning, .vision] {
            #expect(!model.capabilities.contains(capability))
        }
        await #expect(throws: LoreKitError.emptyQuestion) { try await LanguageModelSession(model: model).respond(to: " ") }
        await engine.close()
    }

    @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
    @Test("a response of another model has no grounding")
    func foreign() throws {
        #expect(try Grounding(Transcript.Response(metadata: [:], segments: [.text(.init(content: "…"))])) == nil)
    }
}
#endif
