import Foundation
import LoreKit
import Testing

/// The contract of the library: updates, the app's own documents, labels, seals.
extension Scenarios {
    @Test("open_a_library") func openALibrary() async throws {
        let place = try Place()
        let engine = try await place.open()
        let pack = engine.pack
        #expect(pack.id == "library" && pack.version == 1 && pack.passageCount == 5)
        let state = try await engine.libraryState()
        #expect(state.packID == "library" && state.version == 1 && state.versionFloor == 1)
        #expect(state.state == pack.state && state.base.passages == 5 && state.passages == 5)
        let key = try #require(state.base.signer)
        #expect(key.count == 64)
        #expect(state.deltas.isEmpty && state.localDocuments.isEmpty && state.kept.isEmpty)
        #expect(!state.isBaseSealed && !state.isCompacted && !state.isExpired && !state.isClockTurnedBack)
        let verified = try await engine.verify()
        #expect(verified > 0)
        #expect(try await engine.verify() == verified)
        #expect(await refusal { try await place.open() } == "locked")
        await engine.close()
        await (try place.open { $0.trustedKeys = [key] }).close()
    }

    @Test("apply_a_delta_with_progress") func applyADeltaWithProgress() async throws {
        let place = try Place()
        let engine = try await place.open()
        #expect(try await engine.find(fee).hold("12 crowns"))
        let update = engine.apply(try file("update-2.lorepack"))
        var steps: [ChangeProgress] = []
        for try await progress in update { steps.append(progress) }
        let report = try await update.report()
        #expect(report.applied && !report.ownerRollback && report.version == 2 && report.generation == 2)
        let last = try #require(steps.last)
        let length = try FileManager.default.attributesOfItem(atPath: file("update-2.lorepack").path)[.size] as? NSNumber
        #expect(last.stage == .copy && last.total == length?.int64Value)
        #expect(steps.allSatisfy { $0.done <= $0.total })
        for try await _ in update { Issue.record("a change that is made has no more progress") }
        let found = try await engine.find(fee)
        #expect(found.hold("15 crowns") && !found.hold("12 crowns"))
        #expect(found.allSatisfy { $0.origin == .publisher })
        #expect(engine.pack.version == 2 && engine.pack.state == report.state)
        let state = try await engine.libraryState()
        #expect(state.version == 2 && state.state == report.state && state.deltas.count == 1)
        #expect(state.kept.map(\.version) == [1])
        let again = try await engine.update("update-2.lorepack")
        #expect(!again.applied && again.state == report.state)
        // It is all there after the app was ended.
        await engine.close()
        #expect(try await place.open().libraryState().version == 2)
    }

    @Test("apply_while_answering") func applyWhileAnswering() async throws {
        let place = try Place()
        let engine = try await place.open()
        let (started, applied) = (Gate(), Gate())
        // The reader holds the first event, so that the answer is under way and cannot end.
        let reader = Task {
            var text = ""
            for try await event in engine.answer(to: grace, options: talkative) {
                started.open()
                await applied.passed()
                if case .finished(let answer) = event { text = answer.text }
            }
            return text
        }
        await started.passed()
        #expect(try await engine.update("update-2.lorepack").version == 2)
        #expect(engine.pack.version == 2)
        applied.open()
        #expect(try await reader.value.isEmpty == false, "the running answer goes on to its end")
        #expect(try await engine.find(travel).hold("travel notice"), "and what is asked now sees the new version")
    }

    @Test("rollback") func rollback() async throws {
        let place = try Place()
        let engine = try await place.open()
        #expect(await refusal { try await engine.rollback() } == "nothing_to_roll_back_to")
        let before = try await engine.libraryState().state
        try await engine.update("update-2.lorepack")
        let report = try await engine.rollback()
        #expect(report.version == 1 && report.state == before)
        let found = try await engine.find(fee)
        #expect(found.hold("12 crowns") && !found.hold("15 crowns"))
        #expect(engine.pack.version == 1)
        #expect(try await engine.libraryState().versionFloor == 2)
        #expect(try await engine.update("update-2.lorepack").applied, "what was left can be applied again")
    }

    @Test("what_does_not_belong_is_refused") func whatDoesNotBelongIsRefused() async throws {
        let place = try Place()
        let engine = try await place.open()
        func refused(_ name: String) async -> String? { await refusal { try await engine.update(name) } }
        #expect(await refused("unsigned-2.lorepack") == "untrusted")
        #expect(await refused("untrusted-2.lorepack") == "untrusted")
        #expect(await refused("other-pack-2.lorepack") == "other_pack")
        #expect(await refused("update-3.lorepack") == "other_parent")
        #expect(await refused("other-parent-3.lorepack") == "other_parent")
        #expect(await refused("missing.lorepack") == "not_found")
        #expect(try await engine.libraryState().generation == 1, "nothing of it left a trace")
        try await engine.update("update-2.lorepack")
        #expect(await refused("library.lorepack") == "unsupported", "a base is not applied")
        #expect(await refused("fork-2.lorepack") == "fork")
        #expect(await refused("other-parent-3.lorepack") == "other_parent")
        try await engine.update("update-3.lorepack")
        let replayed = await failure { try await engine.update("update-2.lorepack") } as? LoreKitError
        guard case .replayed(let path, _) = replayed else { Issue.record("\(String(describing: replayed))"); return }
        #expect(try path == file("update-2.lorepack").path)
        #expect(replayed?.localizedDescription.contains("update-2.lorepack") == true)
        await engine.close()
        #expect(await refusal { try await place.open { $0.trustedKeys = [] } } == "untrusted")
        #expect(await refusal { try await place.open { $0.trustedKeys = ["no key"] } } == "invalid_key")
    }

    @Test("an_expired_delta_and_a_clock_turned_back") func anExpiredDeltaAndAClockTurnedBack() async throws {
        let place = try Place()
        var engine = try await place.open { $0.today = "2030-01-01" }
        #expect(await refusal { [engine] in try await engine.update("expiring-2.lorepack") } == "expired")
        await engine.close()
        engine = try await place.open { $0.today = "2026-01-01" }
        #expect(try await engine.libraryState().isClockTurnedBack)
        #expect(await refusal { [engine] in try await engine.update("expiring-2.lorepack") } == "clock_turned_back")
        let other = try Place()
        #expect(try await other.open().libraryState().isClockTurnedBack == false)
    }

    @Test("a_local_document_is_found_cited_and_removed") func aLocalDocumentIsFoundCitedAndRemoved() async throws {
        let place = try Place()
        let engine = try await place.open()
        let adding = engine.add(note)
        var steps = 0
        for try await _ in adding { steps += 1 }
        #expect(steps > 0)
        #expect(try await adding.report().passages == 1)
        let found = try #require(try await engine.find(locker).first)
        #expect(found.origin == .local && found.document.id == "note")
        #expect(found.document.title == "Notes" && found.document.path == "notes.md")
        let answer = try await engine.answer(to: locker, options: options()).finalAnswer()
        #expect(!answer.citations.isEmpty && answer.citations.allSatisfy { $0.origin == .local }, "\(answer)")
        // The publisher's updates leave it alone, and so does the way back.
        try await engine.update("update-2.lorepack")
        try await engine.rollback()
        #expect(try await engine.find(locker).hold("gymnasium"))
        let listed = try await engine.libraryState().localDocuments
        #expect(listed.map(\.id) == ["note"] && listed.map(\.title) == ["Notes"])
        #expect(try await engine.remove(documentID: "note"))
        #expect(try await engine.find(locker).hold("gymnasium") == false)
        #expect(try await engine.remove(documentID: "note") == false)
        var (empty, unknown) = (note, note)
        empty.content = ""
        unknown.path = "notes.xyz"
        for unusable in [empty, unknown] {
            #expect(await refusal { try await engine.add(unusable).report() } == "unusable_document")
        }
    }

    @Test("labels_hide_passages") func labelsHidePassages() async throws {
        let place = try Place()
        let engine = try await place.open()
        #expect(try await engine.find(waiver).hold("waive") == false)
        #expect(try await engine.find(waiver, labels: ["public"]).hold("waive") == false)
        #expect(try await engine.find(waiver, labels: ["public", "staff"]).hold("waive"))
        let asStaff = options { $0.search.labels = ["staff"] }
        #expect(try await engine.answer(to: waiver, options: asStaff).finalAnswer().passages.hold("waive"))
        let answer = try await engine.answer(to: waiver, options: options()).finalAnswer()
        #expect(!answer.passages.hold("waive") && !answer.text.contains("waive"))
        var secret = note
        secret.labels = ["staff"]
        _ = try await engine.add(secret).report()
        #expect(try await engine.find(locker).isEmpty)
        #expect(try await engine.find(locker, labels: ["staff"]).hold("gymnasium"))
    }

    @Test("a_wrong_key") func aWrongKey() async throws {
        let place = try Place()
        let (key, other) = (try Data(contentsOf: file("seal.key")), try Data(contentsOf: file("other-seal.key")))
        let engine = try await place.open { $0.key = key }
        try await engine.update("update-2.lorepack")
        await engine.close()
        #expect(await refusal { try await place.open { $0.key = other } } == "wrong_key")
        #expect(await refusal { try await place.open() } == "key_needed")
        #expect(await refusal { try await place.open { $0.key = Data(repeating: 1, count: 31) } } == "invalid_key")
        #expect(try await place.open { $0.key = key }.libraryState().version == 2)
    }

    @Test("another_key_for_the_library") func anotherKeyForTheLibrary() async throws {
        let place = try Place()
        let (old, new) = (try Data(contentsOf: file("seal.key")), try Data(contentsOf: file("other-seal.key")))
        var engine = try await place.open { $0.key = old }
        try await engine.update("update-2.lorepack")
        _ = try await engine.add(note).report()
        #expect(await refusal { [engine] in try await engine.rotateKey(Data(repeating: 1, count: 33)) } == "invalid_key")
        #expect(try await engine.rotateKey(new) == 2)
        #expect(try await engine.find(locker).hold("gymnasium"), "whoever asks goes on")
        try await engine.update("update-3.lorepack")
        await engine.close()
        #expect(await refusal { try await place.open { $0.key = old } } == "wrong_key")
        engine = try await place.open { $0.key = new }
        let state = try await engine.libraryState()
        #expect(state.isSealed && state.version == 3)
        #expect(try await engine.find(locker).hold("gymnasium"))
    }

    @Test("a_base_that_its_publisher_sealed") func aBaseThatItsPublisherSealed() async throws {
        let place = try Place()
        let pack = try file("content-sealed.lorepack")
        func open(_ key: String?) async throws -> Engine {
            var configuration = try place.configuration()
            configuration.pack = pack
            configuration.library?.contentKey = try key.map { try Data(contentsOf: file($0)) }
            return try await Engine.open(configuration)
        }
        #expect(await refusal { try await open(nil) } == "key_needed")
        #expect(await refusal { try await open("other-seal.key") } == "wrong_key")
        let engine = try await open("content.key")
        #expect(try await engine.libraryState().isBaseSealed)
        #expect(try await engine.find(fee).hold("12 crowns"))
        try await engine.update("update-2.lorepack")
        #expect(try await engine.find(fee).hold("15 crowns"))
        #expect(try Data(contentsOf: pack).holds("crowns") == false)
    }

    @Test("a_sealed_folder_holds_no_plain_text", arguments: [false, true])
    func aSealedFolderHoldsNoPlainText(sealed: Bool) async throws {
        let place = try Place()
        let cache = place.folder.appendingPathComponent("cache")
        try FileManager.default.createDirectory(at: cache, withIntermediateDirectories: true)
        var configuration = try place.configuration()
        configuration.cacheFolder = cache
        configuration.library?.key = sealed ? try Data(contentsOf: file("seal.key")) : nil
        let engine = try await Engine.open(configuration)
        try await engine.update("update-2.lorepack")
        _ = try await engine.add(note).report()
        #expect(try await engine.libraryState().isSealed == sealed)
        // Asked twice, a passage is worth keeping, and going to the background writes it.
        for _ in 0..<2 { _ = try await engine.answer(to: locker, options: options()).finalAnswer() }
        engine.enterBackground()
        await engine.close()
        let prefixes = cache.appendingPathComponent("prefixes")
        #expect(try FileManager.default.contentsOfDirectory(atPath: prefixes.path).isEmpty == false, "something is cached")
        let bytes = plain(place.library) + plain(prefixes)
        let shown = ["travel notice", "15 crowns", "locker combination", "gymnasium", "Card Terms"].filter(bytes.holds)
        #expect(shown.isEmpty == sealed, "\(shown)")
    }

    @Test("compact_and_purge") func compactAndPurge() async throws {
        let place = try Place()
        let engine = try await place.open()
        for name in ["update-2.lorepack", "update-3.lorepack"] { try await engine.update(name) }
        _ = try await engine.add(note).report()
        let before = try await engine.libraryState()
        #expect(before.version == 3 && before.revoked == 1 && before.deltas.count == 2)
        #expect(try await engine.compact().report().publisherPacks == 3)
        let state = try await engine.libraryState()
        #expect(state.isCompacted && state.deltas.isEmpty && state.state == before.state)
        #expect(try await engine.find(locker).hold("gymnasium"))
        let revoked = try await engine.purge(.revoked).report()
        #expect(revoked.baseStillHolds && !revoked.refusalRecorded)
        #expect(try await engine.find(locker).hold("gymnasium"), "a purge of what is revoked leaves the rest")
        let running = engine.answer(to: grace, options: talkative)
        let all = try await engine.purge(.everything).report()
        #expect(all.refusalRecorded && all.filesRemoved > 0)
        let bytes = plain(place.library)
        #expect(!bytes.holds("gymnasium") && !bytes.holds("crowns"))
        #expect(await refusal { try await running.finalAnswer() } == "closed", "the purge took the answer away, not its reader")
        #expect(await refusal { try await engine.answer(to: locker, options: options()).finalAnswer() } == "closed")
        #expect(await refusal { try await engine.libraryState() } == "closed")
        await engine.close()
        #expect(await refusal { try await place.open() } == "purged")
    }

    @Test("cancel_an_apply") func cancelAnApply() async throws {
        let place = try Place()
        let engine = try await place.open()
        let delta = try file("update-2.lorepack")
        var cancelled = 0
        func cancelledOrMade(_ change: Change<ApplyReport>) async {
            let error = await failure { try await change.report() }
            #expect(error == nil || error is CancellationError, "\(String(describing: error))")
            if error != nil { cancelled += 1 }
        }
        // Leaving the loop, cancelling the task, cancelling the change, dropping it: the library is as it was, or has it.
        for _ in 0..<10 {
            let left = engine.apply(delta)
            for try await _ in left { break }
            await cancelledOrMade(left)
            let given = engine.apply(delta)
            let task = Task {
                withUnsafeCurrentTask { $0?.cancel() }
                return try await given.report()
            }
            _ = await failure { try await task.value }
            await cancelledOrMade(given)
            let stopped = engine.apply(delta)
            stopped.cancel()
            await cancelledOrMade(stopped)
            _ = engine.apply(delta)
            let state = try await engine.libraryState()
            #expect(state.version == 1 + UInt64(state.deltas.count))
            if state.version == 2 { try await engine.rollback() }
        }
        // A machine may be so slow that a cancel comes too late; not thirty times.
        #expect(cancelled > 0)
        #expect(try await engine.update("update-2.lorepack").version == 2, "the library stays usable")
        // Closing waits for what was left, so that nothing is being written any more.
        await engine.close()
        let names = try FileManager.default.contentsOfDirectory(atPath: place.library.path)
        #expect(!names.contains { $0.hasSuffix(".tmp") })
    }

    @Test("cancel_an_add") func cancelAnAdd() async throws {
        let place = try Place()
        let engine = try await place.open()
        let before = try await engine.libraryState()
        let (started, cancelled) = (Gate(), Gate())
        // The answer is held at its first event, so embedding waits behind it.
        let reader = Task {
            for try await _ in engine.answer(to: grace, options: talkative) {
                started.open()
                await cancelled.passed()
            }
        }
        await started.passed()
        let adding = Task { try await engine.add(note).report() }
        try await Task.sleep(for: .milliseconds(20))
        adding.cancel()
        // The reader is still holding the answer: who waits for the change is woken all the same.
        #expect(await failure { try await adding.value } is CancellationError)
        reader.cancel()
        cancelled.open()
        _ = await failure { try await reader.value }
        #expect(try await engine.libraryState() == before)
        #expect(try await engine.add(note).report().passages == 1)
    }

    @Test("a_pack_alone_does_not_change") func aPackAloneDoesNotChange() async throws {
        let engine = try await openEngine()
        #expect(await refusal { try await engine.libraryState() } == "read_only")
        #expect(await refusal { try await engine.update("update-2.lorepack") } == "read_only")
        #expect(await refusal { try await engine.add(note).report() } == "read_only")
        #expect(await refusal { try await engine.remove(documentID: "note") } == "read_only")
        #expect(await refusal { try await engine.rollback() } == "read_only")
        #expect(await refusal { try await engine.compact().report() } == "read_only")
        #expect(await refusal { try await engine.purge(.everything).report() } == "read_only")
        #expect(await refusal { try await engine.verify() } == "read_only")
        #expect(try await engine.search(grace, options: byWords).count == 1)
        // A purge that was refused ended nothing: a cancel is still the reader's own.
        let stream = engine.answer(to: grace, options: talkative)
        stream.cancel()
        #expect(await failure { try await stream.finalAnswer() } is CancellationError)
    }
}

private let fee = "replacement card costs crowns"
private let travel = "travel notice foreign countries"
private let waiver = "staff waive replacement fee twice"
private let locker = "locker combination gymnasium"
private let note = OwnDocument(
    id: "note",
    path: "notes.md",
    content: "# Notes\n\nThe locker combination of the gymnasium is kept in the drawer.\n"
)

/// A library on the fixture base, in a folder of its own that goes with it.
private final class Place: Sendable {
    let folder: URL
    var library: URL { folder.appendingPathComponent("library") }

    init() throws {
        folder = FileManager.default.temporaryDirectory.appendingPathComponent("lorekit-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(at: folder)
    }

    func configuration(_ change: (inout LibraryConfiguration) throws -> Void = { _ in }) throws -> EngineConfiguration {
        let publisher = try String(contentsOf: file("publisher.pub"), encoding: .utf8)
        var library = LibraryConfiguration(folder: library, trustedKeys: [publisher], today: "2026-01-01")
        try change(&library)
        var configuration = try LoreKitTests.configuration()
        configuration.pack = try file("library.lorepack")
        configuration.library = library
        return configuration
    }

    func open(_ change: (inout LibraryConfiguration) throws -> Void = { _ in }) async throws -> Engine {
        try await Engine.open(configuration(change))
    }
}

extension Engine {
    @discardableResult
    fileprivate func update(_ name: String) async throws -> ApplyReport {
        try await apply(file(name)).report()
    }

    fileprivate func find(_ question: String, labels: [String] = []) async throws -> [Passage] {
        try await search(question, options: SearchOptions(limit: 5, mode: .lexical, labels: labels))
    }
}

extension [Passage] {
    fileprivate func hold(_ text: String) -> Bool { contains { $0.text.contains(text) } }
}

extension Data {
    fileprivate func holds(_ text: String) -> Bool { range(of: Data(text.utf8)) != nil }
}

/// The code of the error an expression throws.
private func refusal<T>(_ body: () async throws -> T) async -> String? {
    (await failure(body) as? LoreKitError)?.code
}

/// Every byte of all files below a folder.
private func plain(_ folder: URL) -> Data {
    let names = FileManager.default.enumerator(atPath: folder.path)?.compactMap { $0 as? String } ?? []
    return names.sorted().reduce(into: Data()) { bytes, name in
        bytes += (try? Data(contentsOf: folder.appendingPathComponent(name))) ?? Data()
    }
}
