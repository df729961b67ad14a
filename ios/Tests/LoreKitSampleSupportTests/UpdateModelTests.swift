import Foundation
import LoreKit
import LoreKitSampleSupport
import Testing

/// The update buttons' logic against the real engine and the packs of the scenarios.
@Suite("update model", .serialized) @MainActor struct UpdateModelTests {
    private func file(_ name: String) throws -> URL {
        let folder = try #require(ProcessInfo.processInfo.environment["LOREKIT_FIXTURES"], "run `cargo xtask test-swift`")
        return URL(fileURLWithPath: folder).appendingPathComponent(name)
    }

    private func configuration(_ folder: URL?) throws -> EngineConfiguration {
        let publisher = try String(contentsOf: file("publisher.pub"), encoding: .utf8)
        return EngineConfiguration(
            pack: try file("library.lorepack"),
            embedder: try file("embedder.gguf"),
            model: try file("model.gguf"),
            threads: 2,
            library: folder.map { LibraryConfiguration(folder: $0, trustedKeys: [publisher], today: "2026-01-01") }
        )
    }

    private func withEngine(_ body: (Engine) async throws -> Void) async throws {
        let folder = FileManager.default.temporaryDirectory.appendingPathComponent("lorekit-\(UUID().uuidString)")
        defer { try? FileManager.default.removeItem(at: folder) }
        let engine = try await Engine.open(configuration(folder))
        try await body(engine)
        await engine.close()
    }

    @Test("an update is taken, told when it was taken before, and gone back from")
    func updated() async throws {
        try await withEngine { engine in
            let updates = UpdateModel(engine)
            await updates.look()
            #expect(updates.version == 1 && !updates.canGoBack && updates.status == .idle)
            updates.apply(try file("update-2.lorepack"))
            #expect(updates.isBusy && updates.status == .applying(nil))
            updates.goBack()
            #expect(updates.status == .applying(nil), "one change at a time")
            await updates.settled()
            #expect(updates.status == .updated && updates.version == 2 && updates.canGoBack)
            updates.apply(try file("update-2.lorepack"))
            await updates.settled()
            #expect(updates.status == .upToDate && updates.version == 2)
            updates.goBack()
            #expect(updates.isBusy)
            await updates.settled()
            #expect(updates.status == .wentBack && updates.version == 1 && !updates.canGoBack)
        }
    }

    @Test("what does not belong is told, not thrown, and changes nothing")
    func refused() async throws {
        try await withEngine { engine in
            let updates = UpdateModel(engine)
            updates.apply(try file("untrusted-2.lorepack"))
            await updates.settled()
            guard case .failed("untrusted", let text) = updates.status else { Issue.record("\(updates.status)"); return }
            #expect(!text.isEmpty && updates.version == 1)
            updates.goBack()
            await updates.settled()
            guard case .failed("nothing_to_roll_back_to", _) = updates.status else { Issue.record("\(updates.status)"); return }
        }
        let alone = UpdateModel(try await Engine.open(configuration(nil)))
        await alone.look()
        alone.apply(try file("update-2.lorepack"))
        await alone.settled()
        guard case .failed("read_only", _) = alone.status else { Issue.record("\(alone.status)"); return }
        #expect(!alone.canGoBack)
    }

    @Test("stopping at once leaves the knowledge as it was, and the next press works")
    func stopped() async throws {
        try await withEngine { engine in
            let updates = UpdateModel(engine)
            // A machine may be so slow that it comes too late; not twenty times.
            for _ in 0..<20 where updates.status != .stopped {
                updates.goBack()
                await updates.settled()
                updates.apply(try file("update-2.lorepack"))
                updates.stop()
                await updates.settled()
            }
            #expect(updates.status == .stopped)
            updates.apply(try file("update-2.lorepack"))
            await updates.settled()
            #expect(updates.version == 2)
        }
    }

    @Test("a tapped citation opens a document of the app as such")
    func origin() async throws {
        try await withEngine { engine in
            let text = "The locker combination of the gymnasium is kept in the drawer."
            _ = try await engine.add(OwnDocument(id: "note", path: "notes.md", content: "# Notes\n\n\(text)\n")).report()
            var options = AnswerOptions()
            options.search = SearchOptions(limit: 1, mode: .lexical)
            let chat = ChatModel(engine, options: options)
            for (question, origin) in [("locker combination gymnasium", Passage.Origin.local), ("信用卡还款宽限期几天？", .publisher)] {
                chat.ask(question)
                await chat.settled()
                let turn = try #require(chat.turns.last)
                chat.open(citation: try #require(turn.segments.compactMap(\.citation).first), of: turn)
                #expect(chat.opened?.origin == origin)
            }
        }
    }
}
