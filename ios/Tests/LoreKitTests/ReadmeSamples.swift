import Foundation
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

    @Test("the sample of redaction runs") func redaction() throws {
        let question = "我叫李娜，宽限期几天？"

        let redactor = try Redactor()
        print(try redactor.redact(question).text)

        #expect(try !redactor.redact(question).text.contains("李娜"))
    }

    @Test("the sample of updates runs") func updates() async throws {
        let (pack, embedder, model) = try (file("library.lorepack"), file("embedder.gguf"), file("model.gguf"))
        let delta = try file("update-2.lorepack")
        let publicKey = try String(contentsOf: file("publisher.pub"), encoding: .utf8)
        let sealingKey = try Data(contentsOf: file("seal.key"))
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lorekit-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let question = "When does the branch open?"
        func show(_ passages: [Passage]) { #expect(passages.contains { $0.text.contains("opens at nine") }) }

        let library = LibraryConfiguration(folder: folder, trustedKeys: [publicKey], key: sealingKey)
        let engine = try await Engine.open(EngineConfiguration(pack: pack, embedder: embedder, model: model, library: library))

        let update = engine.apply(delta)
        for try await progress in update { print("\(progress.done) of \(progress.total)") }
        print("version \(try await update.report().version)")

        _ = try await engine.add(OwnDocument(id: "note-1", path: "note.md", content: "The branch opens at nine.")).report()
        let passages = try await engine.search(question, options: SearchOptions(labels: ["staff"]))
        show(passages.filter { $0.origin == .local })
        if try await !engine.libraryState().kept.isEmpty { try await engine.rollback() }

        #expect(engine.pack.version == 1)
    }
}
