import Foundation
import LoreKit
import Testing

/// The folder that `lorekit-fixtures` wrote; `cargo xtask test-swift` makes it and says where it is.
func file(_ name: String) throws -> URL {
    let folder = try #require(
        ProcessInfo.processInfo.environment["LOREKIT_FIXTURES"],
        "LOREKIT_FIXTURES names no folder: run `cargo xtask test-swift`"
    )
    return URL(fileURLWithPath: folder).appendingPathComponent(name)
}

func configuration() throws -> EngineConfiguration {
    EngineConfiguration(
        pack: try file("base.lorepack"),
        embedder: try file("embedder.gguf"),
        model: try file("model.gguf"),
        threads: 2
    )
}

func openEngine(_ change: (inout EngineConfiguration) throws -> Void = { _ in }) async throws -> Engine {
    var configuration = try configuration()
    try change(&configuration)
    return try await Engine.open(configuration)
}

/// A question whose words stand in the passage with the emoji, and in no other.
let grace = "信用卡还款宽限期几天？"
/// See the same constant in `bindings/tests/scenarios.rs`.
let bound = Duration.seconds(2)
/// Searches by words for one passage, so that the tiny embedder's noise decides nothing.
let byWords = SearchOptions(limit: 1, mode: .lexical)

func options(_ change: (inout AnswerOptions) -> Void = { _ in }) -> AnswerOptions {
    var options = AnswerOptions()
    options.search = byWords
    change(&options)
    return options
}

/// Options with which the model would talk for long.
let talkative = options {
    $0.format = .free
    $0.maxTokens = 3_000
}

/// Options with a prompt of about twelve thousand tokens, so that the prefill takes long.
func longPrompt(_ letter: Character) -> AnswerOptions {
    options {
        $0.history = [Exchange(question: String(repeating: letter, count: 6_000), answer: String(repeating: "y", count: 6_000))]
        $0.maxTokens = 64
    }
}

/// The next request is served, so the engine has left the cancelled one.
func freeWithinTheBound(_ engine: Engine, _ what: String) async throws {
    let clock = ContinuousClock()
    let asked = clock.now
    #expect(try await engine.search(grace, options: byWords).count == 1)
    let elapsed = clock.now - asked
    print("     \(what): engine free after \(elapsed)")
    #expect(elapsed < bound, "\(what)")
}

/// The error an expression throws.
func failure<T>(_ body: () async throws -> T) async -> (any Error)? {
    do {
        _ = try await body()
        return nil
    } catch {
        return error
    }
}

/// A value that a test's tasks share.
final class Shared<Value: Sendable>: @unchecked Sendable {
    private let lock = NSLock()
    private var stored: Value

    init(_ value: Value) {
        stored = value
    }

    var value: Value { change { $0 } }

    @discardableResult
    func change<T>(_ body: (inout Value) -> T) -> T {
        lock.lock()
        defer { lock.unlock() }
        return body(&stored)
    }
}

/// Opens once, and lets everybody pass from then on.
struct Gate: Sendable {
    private let stream: AsyncStream<Void>
    private let continuation: AsyncStream<Void>.Continuation

    init() {
        (stream, continuation) = AsyncStream.makeStream()
    }

    func open() {
        continuation.finish()
    }

    func passed() async {
        for await _ in stream {}
    }
}
