//! What makes an answer worth its proof: quotes that cannot be invented, formats declared once,
//! claims held against their sources, refusals with a promise.
//!
//! Pure logic over texts, bytes and numbers: no model, no store, no file, no clock. Whoever decodes asks a [`CopyIndex`]
//! which tokens may come next inside a quote or a label:
//!
//! ```
//! use lorekit_grounding::{CopyIndex, QuoteRules, TokenSet, Vocabulary};
//!
//! // The tokenizer's table of ids and bytes; here the 256 bytes and one longer token.
//! let bytes = (0u32..256).map(|id| (id, vec![id as u8]));
//! let vocabulary = Vocabulary::new(bytes.chain([(256, "银行".into())]));
//! let passage = "银行应当在十五日内答复申请人，不得收取任何费用。逾期未答复的，视为同意。";
//! let index = CopyIndex::quotes(&[passage], &QuoteRules::default(), &vocabulary);
//!
//! let mut allowed = TokenSet::with_capacity(257);
//! index.allowed(index.start(), &vocabulary, &mut allowed);
//! assert!(allowed.contains(256) && !allowed.contains(u32::from(b'a')));
//!
//! let state = index.accept(index.start(), "不得收取任何费用。".as_bytes()).unwrap();
//! assert!(index.may_close(state));
//! assert_eq!(&passage[index.occurrences(state)[0].bytes.clone()], "不得收取任何费用。");
//! ```
//!
//! A [`Contract`] declares the format of an answer, and says of an answer what it breaks.
//! [`Evidence`] says which numbers, dates, articles and names of an explanation stand in no source:
//!
//! ```
//! use lorekit_grounding::Evidence;
//!
//! let evidence = Evidence::new(["《银行规则》第五条", "银行应当在十五日内答复，收费不超过百分之五。"]);
//! assert!(evidence.unsupported("According to Article 5, within 15 days, at most 5 %.").is_empty());
//! let text = "银行应当在30日内答复。";
//! assert_eq!(&text[evidence.unsupported(text)[0].range.clone()], "30日");
//! ```
//!
//! A [`Calibration`] declines questions and promises how few answerable ones are among them.

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod calibrate;
mod claims;
mod contract;
mod error;
mod quote;
mod sentence;
mod text;

pub use calibrate::{
    CALIBRATION_VERSION, Calibration, CalibrationOptions, Curve, CurvePoint, Example, Feature, Gate, Guarantee, Judged,
    Measured, Rate, Score, auc, promised_threshold,
};
pub use claims::{ClaimKind, Evidence, Unsupported};
pub use contract::{
    Checked, Contract, Field, FieldKind, FieldValue, ForbiddenWord, Language, Piece, Property, Schema, Source, Values,
    Violation,
};
pub use error::{Error, Result};
pub use quote::{Boundary, CopyIndex, CopyState, Occurrence, QuoteFault, QuoteRules, TokenSet, Vocabulary};
pub use sentence::sentences;
pub use text::is_han;
