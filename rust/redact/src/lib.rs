//! Personal data in Chinese and English text: found, masked, shown to be gone.
//!
//! A [`Detector`] reads a text and returns its [`Finding`]s: numbers by their form and check characters, codes by
//! expression, names and addresses by rules (surname lists, labels, titles, the grammar of addresses). It needs no
//! model, opens nothing, and gives the same answer everywhere; it finds no name that nothing around it gives away.
//! Offsets are always bytes of the original text, whatever was folded to read it (full-width digits, invisible
//! characters, look-alikes of digits).
//!
//! ```
//! use lorekit_redact::{Detector, DetectorOptions, EntityType};
//!
//! let detector = Detector::new(DetectorOptions::default());
//! let text = "我叫李娜，手机号１３９－００１３－８０００，订单号20230815001234已发货。";
//! let found = detector.find(text);
//! let kinds: Vec<EntityType> = found.iter().map(|finding| finding.kind).collect();
//! assert_eq!(kinds, [EntityType::Person, EntityType::Phone]);
//! assert_eq!(&text[found[1].range.clone()], "１３９－００１３－８０００");
//! ```

#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod address_en;
mod address_zh;
mod checks;
mod context;
mod detector;
mod digits;
mod entity;
mod error;
mod fold;
mod json_line;
mod patterns;
mod person_en;
mod person_zh;
mod placeholder;
mod places;
mod redactor;
mod report;
mod stream;
mod surrogate;

pub use detector::{Detector, DetectorOptions};
pub use entity::{EntityType, Finding};
pub use error::{Error, Result};
pub use placeholder::Placeholders;
pub use redactor::{Action, Edit, Policy, Redaction, Redactor};
pub use report::{Content, Gate, Measured, Report, check};
pub use stream::{StreamOptions, redact_jsonl};
pub use surrogate::{Issued, Surrogates};
