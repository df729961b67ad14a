import Foundation
import LoreKit

/// Asks one question of a pack: `swift-console PACK EMBEDDER MODEL QUESTION…`.
@main struct SwiftConsole {
    static func main() async {
        let arguments = CommandLine.arguments.dropFirst()
        guard arguments.count >= 4 else { end("usage: swift-console PACK EMBEDDER MODEL QUESTION…", status: 2) }
        let files = arguments.prefix(3).map { URL(fileURLWithPath: $0) }
        let question = arguments.dropFirst(3).joined(separator: " ")
        do {
            try await ask(EngineConfiguration(pack: files[0], embedder: files[1], model: files[2]), question)
        } catch let error as LoreKitError {
            end("\(error.code): \(error.localizedDescription) \(error.failureReason ?? "")", status: 1)
        } catch {
            end("\(error)", status: 1)
        }
    }

    static func ask(_ configuration: EngineConfiguration, _ question: String) async throws {
        let engine = try await Engine.open(configuration)
        print("\(engine.pack.title), version \(engine.pack.version), \(engine.pack.passageCount) passages")
        print("\(engine.model?.name ?? "no model"), \(engine.model?.contextTokens ?? 0) tokens\n\n\(question)\n")
        for try await event in engine.answer(to: question) {
            switch event {
            case .retrieved(let passages):
                for passage in passages { print("   found \(passage.place) (\(String(format: "%.2f", passage.score)))") }
            case .text(let delta):
                print(delta, terminator: "")
                // A line is printed when it ends; a piece of text must be seen at once.
                fflush(nil)
            case .citation:
                break
            case .finished(let answer):
                show(answer)
            }
        }
        let words = try await engine.search(question, options: SearchOptions(limit: 1, mode: .lexical))
        print("   by words alone: \(words.first?.place ?? "nothing")")
        await engine.close()
    }

    static func show(_ answer: Answer) {
        print()
        for citation in answer.citations {
            let passage = answer.passages[citation.passage]
            print("   “\(passage.text[citation.quoted])”: \(passage.place), bytes \(citation.source)")
        }
        let outcome =
            switch answer.outcome {
            case .answered: "answered"
            case .truncated: "truncated"
            case .declined(let reason): "declined: \(reason)"
            }
        let usage = answer.usage
        print("   \(outcome), \(usage.promptTokens) + \(usage.completionTokens) tokens, \(usage.totalTime)")
    }

    static func end(_ message: String, status: Int32) -> Never {
        FileHandle.standardError.write(Data((message + "\n").utf8))
        exit(status)
    }
}
