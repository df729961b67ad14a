//! The report that goes with redacted data, and the check a trainer makes before it reads any.

use std::collections::BTreeMap;
use std::io::Read;

use serde::{Deserialize, Serialize};

use crate::detector::{Detector, DetectorOptions};
use crate::entity::EntityType;
use crate::error::{Error, Result};
use crate::redactor::Policy;
use crate::surrogate::Issued;

const FORMAT: &str = "lorekit-redaction-report";
const VERSION: u32 = 1;

/// What one side of the work was: size and hash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Content {
    /// Bytes.
    pub bytes: u64,
    /// Lines.
    pub lines: u64,
    /// BLAKE3 of the bytes, 64 hexadecimal digits.
    pub blake3: String,
}

/// How much of the labelled development set these rules find, by kind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Measured {
    /// The set.
    pub set: String,
    /// The detector version that was measured.
    pub detector: String,
    /// Labelled spans by kind.
    pub spans: BTreeMap<String, u32>,
    /// The share of spans that a finding of their kind meets, by kind, 0 to 1.
    pub recall: BTreeMap<String, f64>,
}

/// What was done to a file. It holds counts and hashes, never a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    format: String,
    version: u32,
    /// The version of the rules, [`Detector::VERSION`].
    pub detector: String,
    /// The lowest score that counted.
    pub threshold: f32,
    /// What was done to each kind.
    pub policy: Policy,
    /// The kinds that were looked for.
    pub kinds: Vec<EntityType>,
    /// The data before.
    pub input: Content,
    /// The data after: what the check compares.
    pub output: Content,
    /// Lines in which something was replaced.
    pub changed_lines: u64,
    /// Findings by kind.
    pub counts: BTreeMap<EntityType, u64>,
    /// The surrogates in the output, known to those who have their key; absent where there are more than
    /// [`Issued::LIMIT`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued: Option<Issued>,
    /// What the rules are known to find and miss.
    pub measured: Vec<Measured>,
}

impl Report {
    pub(crate) fn new(options: &DetectorOptions, policy: &Policy) -> Self {
        Self {
            format: FORMAT.to_owned(),
            version: VERSION,
            detector: Detector::VERSION.to_owned(),
            threshold: options.threshold,
            policy: policy.clone(),
            kinds: options.kinds.iter().copied().collect(),
            input: Content::default(),
            output: Content::default(),
            changed_lines: 0,
            counts: BTreeMap::new(),
            issued: Some(Issued::default()),
            measured: serde_json::from_str(include_str!("../data/measured.json"))
                .expect("the file is part of the crate and a test reads it"),
        }
    }

    /// The report as JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("its keys are strings and its values plain")
    }

    /// Reads a report.
    ///
    /// # Errors
    /// [`Error::Report`] for what is no report of this format and version.
    pub fn from_json(json: &str) -> Result<Self> {
        let report: Self = serde_json::from_str(json).map_err(|_| Error::Report("it has not the form of one"))?;
        if report.format != FORMAT {
            return Err(Error::Report("it is a file of another format"));
        }
        if report.version != VERSION {
            return Err(Error::Report("it is of another version"));
        }
        Ok(report)
    }
}

/// What a trainer asks of data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// A report whose hash is that of the data.
    RequireReport,
    /// Nothing: someone said in so many words that unredacted data may be used.
    AllowUnredacted,
}

/// Whether data may be trained on. Reads all of `data` once where a report is required.
///
/// # Errors
/// [`Error::NoReport`] without a report, [`Error::HashDiffers`] where the data is not the report's output,
/// [`Error::Io`] where it cannot be read.
pub fn check(mut data: impl Read, report: Option<&Report>, gate: Gate) -> Result<()> {
    if gate == Gate::AllowUnredacted {
        return Ok(());
    }
    let report = report.ok_or(Error::NoReport)?;
    let mut hasher = blake3::Hasher::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match data.read(&mut buffer)? {
            0 => break,
            read => hasher.update(&buffer[..read]),
        };
    }
    if hasher.finalize().to_hex().as_str() == report.output.blake3 { Ok(()) } else { Err(Error::HashDiffers) }
}
