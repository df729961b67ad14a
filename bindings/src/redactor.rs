//! Personal data found and replaced on the device, for logs and for text that leaves the app.

use std::sync::{Arc, Mutex, PoisonError};

use lorekit_answer::Error;
use lorekit_redact::{
    Action, Detector, DetectorOptions, EntityType, Placeholders, Policy, Redaction, Redactor, Surrogates,
};

use crate::FfiSpan;
use crate::error::Result;

/// The kinds, in one place: the enum of this side and the ways to and from `EntityType`, both exhaustive.
macro_rules! kinds {
    ($($kind:ident),* $(,)?) => {
        /// A kind of personal data.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
        #[allow(missing_docs)] // the same as those of `lorekit_redact::EntityType`
        pub enum FfiPersonalData { $($kind),* }

        impl From<FfiPersonalData> for EntityType {
            fn from(kind: FfiPersonalData) -> Self {
                match kind { $(FfiPersonalData::$kind => Self::$kind),* }
            }
        }

        impl From<EntityType> for FfiPersonalData {
            fn from(kind: EntityType) -> Self {
                match kind { $(EntityType::$kind => Self::$kind),* }
            }
        }
    };
}

kinds!(
    Person,
    Address,
    Organisation,
    IdCard,
    Phone,
    Email,
    BankCard,
    Passport,
    Permit,
    CreditCode,
    Plate,
    IpAddress,
    UrlCredentials,
    Secret,
    Iban,
    UsSsn,
    UkNino,
    DateOfBirth,
    PolicyNumber,
    AccountNumber,
);

/// What becomes of what is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Enum)]
pub enum FfiRedactionAction {
    /// A `*` for each character.
    Mask,
    /// The kind in angle brackets.
    Label,
    /// A false value of the same shape, the same for the same value.
    Surrogate,
    /// Nothing: it is reported and stays.
    Keep,
}

impl From<FfiRedactionAction> for Action {
    fn from(action: FfiRedactionAction) -> Self {
        match action {
            FfiRedactionAction::Mask => Self::Mask,
            FfiRedactionAction::Label => Self::Label,
            FfiRedactionAction::Surrogate => Self::Surrogate,
            FfiRedactionAction::Keep => Self::Keep,
        }
    }
}

/// An action for one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, uniffi::Record)]
pub struct FfiRedactionRule {
    /// The kind.
    pub kind: FfiPersonalData,
    /// What becomes of it.
    pub action: FfiRedactionAction,
}

/// What a redactor looks for and what it does with it.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct FfiRedactorOptions {
    /// For kinds without a rule of their own.
    pub action: FfiRedactionAction,
    /// Rules for single kinds.
    pub rules: Vec<FfiRedactionRule>,
    /// The kinds that are looked for; an empty list stands for all.
    pub kinds: Vec<FfiPersonalData>,
    /// The lowest score that counts, 0 to 1.
    pub threshold: f32,
    /// 32 bytes under which surrogates are chosen; without them a key is drawn that nobody sees.
    pub surrogate_key: Option<Vec<u8>>,
}

/// One place in the text that was given.
#[derive(Clone, Copy, Debug, PartialEq, uniffi::Record)]
pub struct FfiFinding {
    /// What it is.
    pub kind: FfiPersonalData,
    /// Where.
    pub span: FfiSpan,
    /// How sure the rule is, 0 to 1.
    pub score: f32,
}

/// A text without its personal data.
#[derive(Clone, Debug, PartialEq, uniffi::Record)]
pub struct FfiRedaction {
    /// The new text.
    pub text: String,
    /// What was found in the old one, in order, without overlaps.
    pub findings: Vec<FfiFinding>,
}

/// Finds personal data and replaces it. Every method may be called from any thread.
#[derive(uniffi::Object)]
pub struct FfiRedactor {
    inner: Redactor,
}

#[uniffi::export]
impl FfiRedactor {
    /// Compiles the rules, which takes some tens of milliseconds.
    ///
    /// # Errors
    /// `InvalidKey` for a key of another length than 32; `Internal` for a threshold outside 0 to 1, or a system without
    /// random numbers.
    #[uniffi::constructor]
    pub fn new(options: FfiRedactorOptions) -> Result<Arc<Self>> {
        let wrong = |reason: &str| Error::Internal { reason: reason.into() };
        if !(0.0..=1.0).contains(&options.threshold) {
            return Err(wrong("the threshold of a redactor lies between 0 and 1").into());
        }
        let surrogates = match options.surrogate_key {
            Some(key) => Surrogates::new(<[u8; 32]>::try_from(key.as_slice()).map_err(|_| Error::InvalidKey {
                reason: format!("a surrogate key has 32 bytes, this one has {}", key.len()),
            })?),
            None => Surrogates::random().map_err(|error| wrong(&error.to_string()))?,
        };
        let mut detector = DetectorOptions { threshold: options.threshold, ..DetectorOptions::default() };
        if !options.kinds.is_empty() {
            detector.kinds = options.kinds.into_iter().map(Into::into).collect();
        }
        let by_kind = options.rules.into_iter().map(|rule| (rule.kind.into(), rule.action.into())).collect();
        let policy = Policy { action: options.action.into(), by_kind };
        Ok(Arc::new(Self { inner: Redactor::new(Detector::new(detector), policy, surrogates) }))
    }

    /// Redacts one text.
    ///
    /// # Errors
    /// None today; a caught panic would be one.
    pub fn redact(&self, text: String) -> Result<FfiRedaction> {
        redaction(&text, self.inner.redact(&text))
    }

    /// Redacts texts that belong together, such as the turns of a dialogue: what one gives away is replaced in all.
    ///
    /// # Errors
    /// As [`redact`](Self::redact).
    pub fn redact_together(&self, texts: Vec<String>) -> Result<Vec<FfiRedaction>> {
        let parts: Vec<(&str, &str)> = texts.iter().map(|text| ("", text.as_str())).collect();
        let redactions = self.inner.redact_together(&parts);
        texts.iter().zip(redactions).map(|(text, redacted)| redaction(text, redacted)).collect()
    }
}

fn redaction(text: &str, redacted: Redaction) -> Result<FfiRedaction> {
    let finding = |finding: &lorekit_redact::Finding| {
        Ok(FfiFinding { kind: finding.kind.into(), span: FfiSpan::of(text, &finding.range)?, score: finding.score })
    };
    Ok(FfiRedaction { findings: redacted.findings.iter().map(finding).collect::<Result<_>>()?, text: redacted.text })
}

/// Values behind numbered placeholders, around a call of a model. They live in memory only and end with this.
#[derive(uniffi::Object)]
pub struct FfiPlaceholders {
    redactor: Arc<FfiRedactor>,
    inner: Mutex<Placeholders>,
}

#[uniffi::export]
impl FfiPlaceholders {
    /// No values yet.
    #[uniffi::constructor]
    pub fn new(redactor: Arc<FfiRedactor>) -> Arc<Self> {
        Arc::new(Self { redactor, inner: Mutex::default() })
    }

    /// The text with every finding as a placeholder such as `<PHONE_1>`; the same value has the same number each time.
    ///
    /// # Errors
    /// None today; a caught panic would be one.
    pub fn hide(&self, text: String) -> Result<String> {
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(inner.hide(&self.redactor.inner, &text))
    }

    /// The text with the values back in the place of their placeholders.
    ///
    /// # Errors
    /// As [`hide`](Self::hide).
    pub fn restore(&self, text: String) -> Result<String> {
        Ok(self.inner.lock().unwrap_or_else(PoisonError::into_inner).restore(&text))
    }
}
