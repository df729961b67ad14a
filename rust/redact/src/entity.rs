//! What can be found: the kinds of personal data and one finding.

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

/// A kind of personal data.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum EntityType {
    /// The name of a person. A surname with a title alone ("高先生") is not one.
    Person,
    /// A postal address with a street, house or room number.
    Address,
    /// An employer or other organisation, where the text ties it to a person.
    Organisation,
    /// A resident identity number of mainland China: 18 characters (GB 11643-1999) or the 15 digits before it.
    IdCard,
    /// A mobile or fixed telephone number.
    Phone,
    /// An e-mail address.
    Email,
    /// A payment card number (ISO/IEC 7812).
    BankCard,
    /// A passport number.
    Passport,
    /// A permit or identity card of Hong Kong, Macau or Taiwan.
    Permit,
    /// A unified social credit code (GB 32100-2015).
    CreditCode,
    /// A licence plate of mainland China (GA 36).
    Plate,
    /// An IPv4 or IPv6 address tied to a person.
    IpAddress,
    /// A URL that carries a user name and password.
    UrlCredentials,
    /// A password, API key or other secret.
    Secret,
    /// An International Bank Account Number (ISO 13616).
    Iban,
    /// A US social security number.
    UsSsn,
    /// A UK national insurance number.
    UkNino,
    /// A date of birth, recognised by what the text says of it.
    DateOfBirth,
    /// The number of an insurance policy, recognised by context.
    PolicyNumber,
    /// The number of an account, recognised by context.
    AccountNumber,
}

impl EntityType {
    /// Every kind, in the order of the enum.
    pub const ALL: [EntityType; 20] = [
        Self::Person,
        Self::Address,
        Self::Organisation,
        Self::IdCard,
        Self::Phone,
        Self::Email,
        Self::BankCard,
        Self::Passport,
        Self::Permit,
        Self::CreditCode,
        Self::Plate,
        Self::IpAddress,
        Self::UrlCredentials,
        Self::Secret,
        Self::Iban,
        Self::UsSsn,
        Self::UkNino,
        Self::DateOfBirth,
        Self::PolicyNumber,
        Self::AccountNumber,
    ];

    /// The name as it stands in labels and reports: `ID_CARD`, `PHONE` and so on.
    pub fn name(self) -> &'static str {
        match self {
            Self::Person => "PERSON",
            Self::Address => "ADDRESS",
            Self::Organisation => "ORGANISATION",
            Self::IdCard => "ID_CARD",
            Self::Phone => "PHONE",
            Self::Email => "EMAIL",
            Self::BankCard => "BANK_CARD",
            Self::Passport => "PASSPORT",
            Self::Permit => "PERMIT",
            Self::CreditCode => "CREDIT_CODE",
            Self::Plate => "PLATE",
            Self::IpAddress => "IP_ADDRESS",
            Self::UrlCredentials => "URL_CREDENTIALS",
            Self::Secret => "SECRET",
            Self::Iban => "IBAN",
            Self::UsSsn => "US_SSN",
            Self::UkNino => "UK_NINO",
            Self::DateOfBirth => "DATE_OF_BIRTH",
            Self::PolicyNumber => "POLICY_NUMBER",
            Self::AccountNumber => "ACCOUNT_NUMBER",
        }
    }
}

impl fmt::Display for EntityType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One place in a text that holds personal data.
#[derive(Clone, Debug, PartialEq)]
pub struct Finding {
    /// What it is.
    pub kind: EntityType,
    /// Where: bytes of the original text, on character boundaries.
    pub range: Range<usize>,
    /// How sure the recognizer is, 0 to 1.
    pub score: f32,
}

impl Finding {
    pub(crate) fn new(kind: EntityType, range: Range<usize>, score: f32) -> Self {
        Self { kind, range, score: score.clamp(0.0, 1.0) }
    }

    pub(crate) fn overlaps(&self, other: &Range<usize>) -> bool {
        self.range.start < other.end && other.start < self.range.end
    }
}
