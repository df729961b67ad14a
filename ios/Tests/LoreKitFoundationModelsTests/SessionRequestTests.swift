import Foundation
import LoreKit
import Testing

@testable import LoreKitFoundationModels

/// What a session's request comes down to.
@Suite("session request") struct SessionRequestTests {
    private func question(_ turns: SessionRequest.Turn..., base: AnswerOptions = AnswerOptions()) throws -> SessionQuestion {
        try SessionQuestion(SessionRequest(turns: turns), options: base)
    }

    private func prompt(_ text: String) -> SessionRequest.Turn { .prompt([.text(text)]) }
    private func response(_ text: String) -> SessionRequest.Turn { .response([.text(text)]) }

    @Test("the last prompt is the question, and earlier turns are the conversation before it")
    func lastPrompt() throws {
        let question = try question(prompt("一？"), response("一。"), prompt("二？"), response("二。"), prompt("三？"))
        #expect(question.text == "三？")
        #expect(question.options.history == [Exchange(question: "一？", answer: "一。"), Exchange(question: "二？", answer: "二。")])
        #expect(question.ignored.isEmpty)
    }

    @Test("the app's own earlier turns come before the session's")
    func ownHistory() throws {
        let own = Exchange(question: "0?", answer: "0.")
        let question = try question(prompt("1?"), response("1."), prompt("2?"), base: AnswerOptions(adapter: "calm", history: [own]))
        #expect(question.options.history == [own, Exchange(question: "1?", answer: "1.")])
        #expect(question.options.adapter == "calm")
    }

    @Test("a prompt without a response, and a response without a prompt, are no exchange")
    func unpaired() throws {
        let question = try question(response("早"), prompt("一？"), prompt("二？"), response("二。"), response("再"), prompt("三？"))
        #expect(question.options.history == [Exchange(question: "二？", answer: "二。")])
    }

    @Test("segments of a prompt are its paragraphs")
    func segments() throws {
        #expect(try question(.prompt([.text("甲"), .text("乙？")])).text == "甲\n乙？")
    }

    @Test("a question that is empty or missing is LoreKit's own error", arguments: [[], [.prompt([])], [.prompt([.text(" \n")])]] as [[SessionRequest.Turn]])
    func empty(turns: [SessionRequest.Turn]) {
        #expect(throws: LoreKitError.emptyQuestion) {
            try SessionQuestion(SessionRequest(turns: turns), options: AnswerOptions())
        }
    }

    @Test("instructions are reported as ignored, unless they say nothing")
    func instructions() throws {
        #expect(try question(.instructions([.text("Be brief.")]), prompt("?")).ignored == [.instructions])
        #expect(try question(.instructions([.text(" ")]), prompt("?")).ignored.isEmpty)
        #expect(try question(.instructions([.text("Be brief.")]), prompt("?")).text == "?")
    }

    @Test("tools and schemas are refused")
    func toolsAndSchemas() {
        let turns = [prompt("?")]
        #expect(throws: UnsupportedRequest.tools) {
            try SessionQuestion(SessionRequest(turns: turns, hasTools: true), options: AnswerOptions())
        }
        #expect(throws: UnsupportedRequest.schema) {
            try SessionQuestion(SessionRequest(turns: turns, hasSchema: true), options: AnswerOptions())
        }
    }

    @Test("what is no text is refused in the question, and reported in earlier turns", arguments: [
        (.attachment, .attachment), (.structure, .structure), (.unknown, .unknown),
    ] as [(SessionRequest.Piece, UnsupportedRequest)])
    func noText(piece: SessionRequest.Piece, error: UnsupportedRequest) throws {
        #expect(throws: error) { try question(.prompt([.text("?"), piece])) }
        let earlier = try question(.prompt([.text("1?"), piece]), response("1."), prompt("2?"))
        #expect(earlier.ignored == [.earlierContent])
        #expect(earlier.options.history == [Exchange(question: "1?", answer: "1.")])
    }

    @Test("what a tool said is refused after the question, and reported before it")
    func toolOutput() throws {
        #expect(throws: UnsupportedRequest.tools) { try question(prompt("?"), .tool) }
        #expect(try question(prompt("1?"), .tool, response("1."), prompt("2?")).ignored == [.earlierContent])
    }

    @Test("the session's options replace the app's where the engine can follow them")
    func options() throws {
        var base = AnswerOptions()
        base.temperature = 0.25
        base.maxTokens = 77
        func options(_ change: (inout SessionRequest) -> Void) throws -> SessionQuestion {
            var request = SessionRequest(turns: [prompt("?")])
            change(&request)
            return try SessionQuestion(request, options: base)
        }
        #expect(try options { _ in }.options == base)
        #expect(try options { $0.temperature = 0.5 }.options.temperature == 0.5)
        #expect(try options { ($0.temperature, $0.sampling) = (0.5, .greedy) }.options.temperature == 0)
        #expect(try options { $0.sampling = .other }.options.temperature == 0.25)
        #expect(try options { $0.sampling = .other }.ignored == [.sampling])
        #expect(try options { $0.maximumTokens = 5 }.options.maxTokens == 5)
        #expect(try options { $0.maximumTokens = 0 }.options.maxTokens == 77)
    }

    @Test("every refusal is told in English and in Chinese, under a code of its own", arguments: UnsupportedRequest.allCases)
    func texts(error: UnsupportedRequest) {
        func isHan(_ text: String) -> Bool { text.unicodeScalars.contains { (0x4E00...0x9FFF).contains($0.value) } }
        let (english, chinese) = (error.text(in: .english), error.text(in: .simplifiedChinese))
        #expect(!isHan(english.description) && !isHan(english.suggestion) && !english.suggestion.isEmpty)
        #expect(isHan(chinese.description) && isHan(chinese.suggestion))
        #expect([english.description, chinese.description].contains(error.localizedDescription))
        #expect(UnsupportedRequest.allCases.filter { $0.code == error.code }.count == 1)
    }
}
