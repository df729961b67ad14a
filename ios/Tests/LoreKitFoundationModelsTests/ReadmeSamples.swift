import Foundation
import LoreKit
import Testing

#if canImport(FoundationModels) && (compiler(>=6.4) || LOREKIT_DECLARED_FOUNDATION_MODELS)
import FoundationModels
import LoreKitFoundationModels

/// The README's sample, line for line: `cargo xtask test-swift` fails when it stands here no more.
@Suite("README of the language model") struct LanguageModelReadmeSamples {
    @available(iOS 27.0, macOS 27.0, visionOS 27.0, *)
    @Test("the sample runs") func sample() async throws {
        let engine = try await openFixtures()
        let question = grace

        let session = LanguageModelSession(model: LoreKitLanguageModel(engine: engine))
        let response = try await session.respond(to: question)
        print(response.content)
        if case .response(let entry)? = response.transcriptEntries.last, let grounding = try Grounding(entry) {
            for quote in grounding.quotes { print(grounding.sources[quote.source].place, quote.text) }
        }

        #expect(!response.content.isEmpty)
        await engine.close()
    }
}
#endif
