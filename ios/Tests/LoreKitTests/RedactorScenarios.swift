import Foundation
import LoreKit
import Testing

/// The contract of redaction, which needs no engine.
extension Scenarios {
    @Test("redact_and_restore") func redactAndRestore() async throws {
        let text = "😀我叫李娜，手机13900138000。"
        func redacted(_ options: Redactor.Options) throws -> String { try Redactor(options).redact(text).text }

        let label = try Redactor()
        let redaction = try label.redact(text)
        #expect(redaction.text == "😀我叫<PERSON>，手机<PHONE>。")
        #expect(redaction.findings.map(\.kind) == [.person, .phone])
        #expect(redaction.findings.map { text[$0.range] } == ["李娜", "13900138000"])
        #expect(redaction.findings.allSatisfy { $0.score >= 0.5 })
        #expect(try redacted(Redactor.Options(action: .mask)) == "😀我叫**，手机***********。")
        #expect(try redacted(Redactor.Options(rules: [.person: .keep])) == "😀我叫李娜，手机<PHONE>。")
        #expect(try redacted(Redactor.Options(kinds: [.email])) == text)

        func surrogate(_ byte: UInt8?) throws -> String {
            let key = byte.map { Data(repeating: $0, count: 32) }
            return try redacted(Redactor.Options(action: .surrogate, surrogateKey: key))
        }
        let (one, again, other) = (try surrogate(1), try surrogate(1), try surrogate(2))
        #expect(one == again, "a key chooses the same for the same value")
        #expect(one != other)
        #expect(!one.contains("李娜"))
        #expect(try surrogate(nil).contains("13900138000") == false)

        let turns = try label.redactTogether(["我叫李娜。", "您好，李娜！"]).map(\.text)
        #expect(turns == ["我叫<PERSON>。", "您好，<PERSON>！"], "what one turn gives away is replaced in all")

        let placeholders = label.placeholders()
        #expect(try placeholders.hide(text) == "😀我叫<PERSON_1>，手机<PHONE_1>。")
        #expect(try placeholders.hide("手机13900138000") == "手机<PHONE_1>", "the same value, the same number")
        let answer = try placeholders.restore("<PERSON_1>，我们打<PHONE_1>，不打<PHONE_2>")
        #expect(answer == "李娜，我们打13900138000，不打<PHONE_2>")

        let short = Redactor.Options(action: .surrogate, surrogateKey: Data(repeating: 1, count: 31))
        #expect((await failure { try Redactor(short) } as? LoreKitError)?.code == "invalid_key")
    }
}
