public import Foundation
import LoreKitBindings

/// Finds personal data in Chinese and English text and replaces it, for logs and for text that leaves the app.
///
/// Rules, no model: a name that nothing around it gives away is not found. Making one takes some tens of milliseconds;
/// redacting a message takes well under one.
///
/// ```swift
/// let redactor = try Redactor()
/// print(try redactor.redact("我叫李娜，手机13900138000").text) // 我叫<PERSON>，手机<PHONE>
/// ```
public final class Redactor: Sendable {
    /// What becomes of personal data that is found.
    public enum Action: Hashable, Sendable, CaseIterable {
        /// A `*` for each character.
        case mask
        /// The kind in angle brackets: `<PHONE>`.
        case label
        /// A false value of the same shape, the same for the same value.
        case surrogate
        /// Nothing: it is reported and stays.
        case keep
    }

    /// What a redactor looks for and what it does with it.
    public struct Options: Hashable, Sendable {
        /// For kinds without a rule of their own.
        public var action: Action
        /// Actions of single kinds.
        public var rules: [PersonalData: Action]
        /// The kinds that are looked for; an empty set stands for all.
        public var kinds: Set<PersonalData>
        /// The lowest score that counts, 0 to 1; lower finds more, and more that is none.
        public var threshold: Float
        /// 32 bytes under which surrogates are chosen, so that another redactor with the key chooses the same;
        /// `nil` draws a key that nobody sees.
        public var surrogateKey: Data?

        /// Options; the defaults label all kinds.
        public init(
            action: Action = .label,
            rules: [PersonalData: Action] = [:],
            kinds: Set<PersonalData> = Set(PersonalData.allCases),
            threshold: Float = 0.5,
            surrogateKey: Data? = nil
        ) {
            self.action = action
            self.rules = rules
            self.kinds = kinds
            self.threshold = threshold
            self.surrogateKey = surrogateKey
        }
    }

    private let ffi: FfiRedactor

    /// Compiles the rules.
    ///
    /// - Throws: ``LoreKitError/invalidKey(reason:)`` for a key of another length than 32,
    ///   ``LoreKitError/internal(reason:)`` for a threshold outside 0 to 1.
    public init(_ options: Options = Options()) throws {
        ffi = try translating { try FfiRedactor(options: FfiRedactorOptions(options)) }
    }

    /// A text without its personal data.
    public func redact(_ text: String) throws -> Redaction {
        try Redaction(try translating { try ffi.redact(text: text) }, of: text)
    }

    /// Texts that belong together, such as the turns of a dialogue: what one gives away is replaced in all.
    public func redactTogether(_ texts: [String]) throws -> [Redaction] {
        try zip(try translating { try ffi.redactTogether(texts: texts) }, texts).map(Redaction.init(_:of:))
    }

    /// Numbered placeholders for one exchange with a model.
    public func placeholders() -> Placeholders {
        Placeholders(FfiPlaceholders(redactor: ffi))
    }
}

extension Redactor.Options: CustomReflectable {
    /// Without the key, so that printing options shows none.
    public var customMirror: Mirror {
        let shown: KeyValuePairs<String, Any> = ["action": action, "rules": rules, "kinds": kinds, "threshold": threshold]
        return Mirror(self, children: shown, displayStyle: .struct)
    }
}

/// A text without its personal data.
public struct Redaction: Hashable, Sendable {
    /// One place that holds personal data.
    public struct Finding: Hashable, Sendable {
        /// What it is.
        public let kind: PersonalData
        /// Where in the text that was given.
        public let range: Range<String.Index>
        /// How sure the rule is, 0 to 1.
        public let score: Float
    }

    /// The new text.
    public let text: String
    /// What was found in the old one, in order, without overlaps.
    public let findings: [Finding]
}

/// Values behind numbered placeholders, around a call of a model elsewhere: it reads `<PHONE_1>`, the person reads the
/// number again in its answer. The values live in memory only, as long as this does.
public final class Placeholders: Sendable {
    private let ffi: FfiPlaceholders

    init(_ ffi: FfiPlaceholders) {
        self.ffi = ffi
    }

    /// The text with every finding as a placeholder; the same value has the same number each time.
    public func hide(_ text: String) throws -> String {
        try translating { try ffi.hide(text: text) }
    }

    /// The text with the values back in the place of their placeholders; unknown ones stay.
    public func restore(_ text: String) throws -> String {
        try translating { try ffi.restore(text: text) }
    }
}

/// A kind of personal data.
public enum PersonalData: Hashable, Sendable, CaseIterable {
    /// The name of a person.
    case person
    /// A postal address with a street, house or room number.
    case address
    /// An employer or other organisation, where the text ties it to a person.
    case organisation
    /// A resident identity number of mainland China.
    case idCard
    /// A mobile or fixed telephone number.
    case phone
    /// An e-mail address.
    case email
    /// A payment card number.
    case bankCard
    /// A passport number.
    case passport
    /// A permit or identity card of Hong Kong, Macau or Taiwan.
    case permit
    /// A unified social credit code.
    case creditCode
    /// A licence plate of mainland China.
    case plate
    /// An IP address tied to a person.
    case ipAddress
    /// A URL that carries a user name and password.
    case urlCredentials
    /// A password, API key or other secret.
    case secret
    /// An International Bank Account Number.
    case iban
    /// A US social security number.
    case usSsn
    /// A UK national insurance number.
    case ukNino
    /// A date of birth, recognised by what the text says of it.
    case dateOfBirth
    /// The number of an insurance policy.
    case policyNumber
    /// The number of an account.
    case accountNumber
}
