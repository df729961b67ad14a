import Foundation
import Testing

@testable import LoreKit
@testable import LoreKitFoundationModels

/// What a session gets for the events of an answer.
@Suite("session reply") struct SessionReplyTests {
    private let passage = Passage(
        id: "ab12", origin: .publisher, text: "宽限期为三天😀。",
        document: .init(id: "rules", title: "规则", path: "rules.md", version: "2", language: "zh"),
        titlePath: ["规则"], article: "第一条", place: "rules#第一条", source: 10..<35, page: nil, validFrom: nil, validTo: nil,
        score: 1, dense: nil, lexical: 2
    )

    private func usage() -> Usage {
        Usage(
            promptTokens: 90, reusedTokens: 40, completionTokens: 7, timeToPassages: .zero, timeToFirstText: .zero,
            totalTime: .zero, prefillTokensPerSecond: 0, decodeTokensPerSecond: 0
        )
    }

    private func citation(in text: String) throws -> Citation {
        let quote = "三天😀"
        return Citation(
            range: try #require(text.range(of: quote)),
            passage: 0,
            origin: .publisher,
            quoted: try #require(passage.text.range(of: quote)),
            source: 22..<32
        )
    }

    @Test("text becomes deltas, citations metadata that grows, and the end usage")
    func events() throws {
        var reply = SessionReply(ignored: [.instructions])
        let text = "😀 是三天😀。"
        let cited = try citation(in: text)
        let answer = Answer(text: text + "完", citations: [cited], passages: [passage], outcome: .answered, usage: usage())
        var found = Grounding(ignored: [.instructions])
        found.sources = [Grounding.Source(passage)]
        #expect(reply.steps(for: .retrieved([passage])) == [.grounding(found)])
        #expect(reply.steps(for: .text(text)) == [.text(text)])
        #expect(reply.steps(for: .text("")) == [])
        // Two UTF-16 units of the first emoji, a space, one Han; the quote is two Han and two units more.
        let quote = Grounding.Quote(text: "三天😀", start: 4, end: 8, source: 0, sourceStart: 22, sourceEnd: 32)
        found.quotes = [quote]
        #expect(reply.steps(for: .citation(cited)) == [.grounding(found)])
        #expect(reply.steps(for: .text("完")) == [.text("完")])
        found.outcome = .answered
        #expect(reply.steps(for: .finished(answer)) == [.grounding(found), .usage(prompt: 90, cached: 40, completion: 7)])
        #expect(quote.range(in: answer.text).map { answer.text[$0] } == "三天😀")
    }

    @Test("every outcome has a name, and none is an error", arguments: [
        (.answered, .answered), (.truncated, .truncated),
        (.declined(.nothingFound), .nothingFound), (.declined(.notInPassages), .notInPassages),
    ] as [(Outcome, Grounding.Outcome)])
    func outcomes(outcome: Outcome, name: Grounding.Outcome) {
        var reply = SessionReply(ignored: [])
        let answer = Answer(text: "", citations: [], passages: [passage], outcome: outcome, usage: usage())
        guard case .grounding(let grounding)? = reply.steps(for: .finished(answer)).first else {
            Issue.record("no grounding")
            return
        }
        #expect(grounding.outcome == name && grounding.sources.map(\.id) == ["ab12"])
    }

    @Test("a grounding survives its JSON, also where numbers come back with a point")
    func json() throws {
        var grounding = Grounding(ignored: [.instructions, .earlierContent, .sampling])
        grounding.outcome = .notInPassages
        grounding.sources = [Grounding.Source(passage)]
        grounding.quotes = [.init(text: "三天😀", start: 4, end: 8, source: 0, sourceStart: 22, sourceEnd: 32)]
        let json = try grounding.json
        #expect(try Grounding(json: json) == grounding)
        #expect(try Grounding(json: json.replacingOccurrences(of: "\"start\":4", with: "\"start\":4.0")) == grounding)
        #expect(!json.contains(passage.text), "a transcript is no copy of the pack")
        #expect(throws: DecodingError.self) { try Grounding(json: "{}") }
    }

    @Test("a quote that the text does not hold has no range", arguments: [(4, 8), (0, 99), (8, 4), (-1, 3), (Int.max, Int.max)])
    func foreignQuote(start: Int, end: Int) {
        let quote = Grounding.Quote(text: "三天😀", start: start, end: end, source: 0, sourceStart: 0, sourceEnd: 0)
        #expect(quote.range(in: "别的文字，没有这句") == nil)
    }
}
