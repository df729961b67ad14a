import LoreKit
import Testing

/// The READMEs' samples, line for line: `cargo xtask test-swift` fails when one of them stands here no more.
@Suite("README") struct ReadmeSamples {
    @Test("the samples run") func samples() async throws {
        let (pack, embedder, model) = try (file("base.lorepack"), file("embedder.gguf"), file("model.gguf"))
        let question = grace
        var transcript = ""
        func show(_ passages: [Passage]) { #expect(!passages.isEmpty) }
        func mark(_ quote: Substring) { #expect(!quote.isEmpty) }

        let engine = try await Engine.open(EngineConfiguration(pack: pack, embedder: embedder, model: model))
        for try await event in engine.answer(to: question) {
            switch event {
            case .retrieved(let passages): show(passages)
            case .text(let delta): transcript += delta
            case .citation(let citation): mark(transcript[citation.range])
            case .finished(let answer): print(answer.outcome)
            }
        }

        #expect(!transcript.isEmpty)
        try await short(engine)
    }

    private func short(_ engine: Engine) async throws {
        let question = grace
        let passages = try await engine.search(question, options: SearchOptions(limit: 5))
        let answer = try await engine.answer(to: question).finalAnswer()

        #expect(!passages.isEmpty && !answer.text.isEmpty)
    }
}
