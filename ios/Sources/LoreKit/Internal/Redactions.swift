import Foundation
import LoreKitBindings

// Redaction, from the app to the native side and back.

/// Errors of the native side as the app knows them, for what has no engine.
func translating<Value>(_ call: () throws -> Value) throws -> Value {
    do { return try call() } catch { throw publicError(error, closed: false) }
}

extension FfiRedactorOptions {
    init(_ options: Redactor.Options) {
        self.init(
            action: FfiRedactionAction(options.action),
            rules: options.rules.map { FfiRedactionRule(kind: FfiPersonalData($0.key), action: FfiRedactionAction($0.value)) },
            kinds: options.kinds.map(FfiPersonalData.init),
            threshold: options.threshold,
            surrogateKey: options.surrogateKey
        )
    }
}

extension Redaction {
    init(_ redaction: FfiRedaction, of text: String) throws {
        self.text = redaction.text
        findings = try redaction.findings.map {
            Finding(kind: PersonalData($0.kind), range: try text.range(of: $0.span), score: $0.score)
        }
    }
}

extension FfiRedactionAction {
    init(_ action: Redactor.Action) {
        self = switch action {
        case .mask: .mask
        case .label: .label
        case .surrogate: .surrogate
        case .keep: .keep
        }
    }
}

extension FfiPersonalData {
    init(_ kind: PersonalData) {
        self = switch kind {
        case .person: .person
        case .address: .address
        case .organisation: .organisation
        case .idCard: .idCard
        case .phone: .phone
        case .email: .email
        case .bankCard: .bankCard
        case .passport: .passport
        case .permit: .permit
        case .creditCode: .creditCode
        case .plate: .plate
        case .ipAddress: .ipAddress
        case .urlCredentials: .urlCredentials
        case .secret: .secret
        case .iban: .iban
        case .usSsn: .usSsn
        case .ukNino: .ukNino
        case .dateOfBirth: .dateOfBirth
        case .policyNumber: .policyNumber
        case .accountNumber: .accountNumber
        }
    }
}

extension PersonalData {
    init(_ kind: FfiPersonalData) {
        self = switch kind {
        case .person: .person
        case .address: .address
        case .organisation: .organisation
        case .idCard: .idCard
        case .phone: .phone
        case .email: .email
        case .bankCard: .bankCard
        case .passport: .passport
        case .permit: .permit
        case .creditCode: .creditCode
        case .plate: .plate
        case .ipAddress: .ipAddress
        case .urlCredentials: .urlCredentials
        case .secret: .secret
        case .iban: .iban
        case .usSsn: .usSsn
        case .ukNino: .ukNino
        case .dateOfBirth: .dateOfBirth
        case .policyNumber: .policyNumber
        case .accountNumber: .accountNumber
        }
    }
}
