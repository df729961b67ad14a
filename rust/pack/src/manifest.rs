//! The manifest: what a pack is, what it needs, and the hash of each of its sections.
//!
//! It is JSON with a fixed order of fields, so that equal manifests have equal bytes; the signature is over those bytes.
//! A reader ignores fields it does not know, except through `requires`: a name in there that it does not know makes
//! it refuse the pack.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::id::{ContentHash, StateHash};
use crate::layout::{FORMAT_VERSION, MAX_MANIFEST_BYTES, MAX_SECTIONS, SectionKind};

/// What role a pack plays in a library.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PackKind {
    /// Stands alone.
    Base,
    /// Builds on the state that `parent` names.
    Delta,
    /// Made on the device from the user's own documents.
    Local,
}

/// How token vectors become one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pooling {
    /// The mean over the tokens that are no padding.
    Mean,
    /// The first token's vector.
    Cls,
    /// The last token's vector.
    Last,
}

/// How two vectors are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Cosine similarity.
    Cosine,
}

/// How one number of a stored vector is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scalar {
    /// IEEE 754 binary16, little-endian.
    F16,
}

/// Which embedder made the vectors: a device with another one must refuse the pack, because answers would be wrong
/// without a sign of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmbedderInfo {
    /// Fingerprint of the weights, as the embedder reports it.
    pub weights: String,
    /// Name of the architecture, such as `bert` or `gemma-embedding`.
    pub architecture: String,
    /// Length of a vector.
    pub dims: u32,
    /// How token vectors become one vector.
    pub pooling: Pooling,
    /// Whether the embedder scales vectors to length one.
    pub normalized: bool,
    /// Put before each question.
    pub query_prefix: String,
    /// Put before each passage.
    pub document_prefix: String,
    /// Longest input in tokens.
    pub max_tokens: u32,
    /// How vectors are compared.
    pub metric: Metric,
    /// How vectors are stored.
    pub scalar: Scalar,
}

/// How documents were cut into passages; a device that adds its own documents cuts them the same way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitterInfo {
    /// Longest passage in tokens of the embedder.
    pub max_tokens: u32,
    /// Tokens that neighbouring passages of one section share.
    pub overlap_tokens: u32,
    /// Version of the splitting rules.
    pub version: u32,
}

/// How text was turned into lexical terms.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LexicalInfo {
    /// Version of the function that makes terms; questions must be cut by the same one.
    pub version: u32,
}

/// How many there are of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    /// Documents.
    pub documents: u64,
    /// Passages, which is also the number of vectors.
    pub passages: u64,
    /// Tokens of all passages.
    pub tokens: u64,
}

/// How the vectors are searched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum IndexKind {
    /// A hierarchical navigable small world graph (Malkov and Yashunin, 2016) stands behind the matrix.
    Hnsw,
    /// The matrix alone, scanned whole.
    Exact,
}

/// The vector index and what was measured about it at build.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct IndexInfo {
    /// How the vectors are searched.
    pub kind: IndexKind,
    /// Links per node above the lowest level; 0 when exact.
    pub connectivity: u32,
    /// Candidates kept while building; 0 when exact.
    pub expansion_add: u32,
    /// Candidates kept while searching; 0 when exact.
    pub expansion_search: u32,
    /// Share of the true ten nearest that a search found, in 0..=1; none for an exact index. Measured on held-out questions
    /// where the builder had some, else on passages moved away by noise of half their length, which is easier.
    pub recall_at_10: Option<f64>,
    /// Number of queries behind `recall_at_10`.
    pub recall_sample: u32,
}

/// How the two searches are weighed, unless the caller says otherwise.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct RetrievalInfo {
    /// Weight of the dense ranking, 0..=1.
    pub dense_weight: f64,
    /// Weight of the lexical ranking, 0..=1.
    pub lexical_weight: f64,
    /// Cosine below which a passage is not shown at all, when one was fitted.
    pub floor: Option<f64>,
}

/// The gate that decides between answering and declining, as fitted on this pack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Name and version of the model of the gate.
    pub method: String,
    /// Its parameters by name.
    pub parameters: BTreeMap<String, f64>,
    /// Score from which on an answer is given.
    pub threshold: f64,
    /// The share of wrong answers it promises, in 0..=1.
    pub error_rate: f64,
    /// Questions it was fitted on.
    pub sample: u32,
}

/// How the publisher encrypted the sections: each one's bytes are a sealed container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sealing {
    /// Name of the chunked authenticated encryption.
    pub algorithm: String,
    /// Which key opens it.
    pub key_id: String,
    /// Plain bytes per chunk.
    pub chunk_bytes: u32,
}

/// Where a section is and what its bytes hash to. Equal to the entry of the binary table at the same position.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SectionEntry {
    /// Number of the kind.
    pub kind: u32,
    /// Name of the kind, for people.
    pub name: String,
    /// Whether a reader that does not know the kind must refuse the pack.
    pub required: bool,
    /// First byte, from the start of the pack.
    pub offset: u64,
    /// Length in bytes as stored.
    pub length: u64,
    /// BLAKE3 of the bytes as stored.
    pub blake3: ContentHash,
}

/// What a pack says about itself.
///
/// [`format_version`](Self::format_version) and [`sections`](Self::sections) are filled in by
/// [`PackWriter::finish`](crate::PackWriter::finish).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the format.
    pub format_version: u32,
    /// Features that a reader must know, by name. Empty in format version 1.
    #[serde(default)]
    pub requires: Vec<String>,
    /// Name of the pack: the same for each version and delta of one body of knowledge.
    pub pack_id: String,
    /// Grows with each release of the pack.
    pub version: u64,
    /// The pack's role.
    pub kind: PackKind,
    /// The state a delta builds on; none for a base.
    pub parent: Option<StateHash>,
    /// The state that a library has with this pack applied.
    pub state: StateHash,
    /// What people call the pack.
    pub title: String,
    /// Languages of the passages, BCP 47.
    pub languages: Vec<String>,
    /// Licence of the content, an SPDX expression where there is one.
    pub licence: String,
    /// How many there are of what.
    pub counts: Counts,
    /// Documents of the source that could not be read and are not in the pack.
    pub skipped_documents: u64,
    /// Name and version of the tool that built the pack.
    pub build_tool: String,
    /// Who made the vectors.
    pub embedder: EmbedderInfo,
    /// How documents were cut.
    pub splitter: SplitterInfo,
    /// How terms were made.
    pub lexical: LexicalInfo,
    /// How vectors are searched.
    pub index: IndexInfo,
    /// How rankings are weighed.
    pub retrieval: RetrievalInfo,
    /// The gate between answering and declining, when one was fitted.
    pub calibration: Option<Calibration>,
    /// Last day on which the pack should be used, `YYYY-MM-DD`.
    pub expires: Option<String>,
    /// How the sections are encrypted; none when they are clear.
    pub sealing: Option<Sealing>,
    /// The sections, by offset.
    pub sections: Vec<SectionEntry>,
}

/// The greatest dimension of a vector.
const MAX_DIMS: u32 = 16_384;
/// The most passages: keys are 32 bits in the graph.
const MAX_PASSAGES: u64 = u32::MAX as u64 - 1;
const MAX_CONNECTIVITY: u32 = 512;
const MAX_EXPANSION: u32 = 8192;

impl Manifest {
    /// The manifest's bytes: JSON without spaces, fields in the order of the struct. Equal manifests, equal bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("no map in the manifest has keys other than text")
    }

    /// Reads and checks a manifest.
    pub(crate) fn decode(path: &Path, bytes: &[u8]) -> Result<Self> {
        let version = |found| Error::UnsupportedVersion { path: path.into(), found, supported: FORMAT_VERSION };
        let syntax =
            |e: serde_json::Error| Error::ManifestSyntax { path: path.into(), line: e.line(), column: e.column() };
        /// What can be read of a manifest of any version.
        #[derive(Deserialize)]
        struct AnyVersion {
            format_version: u32,
            #[serde(default)]
            requires: Vec<String>,
        }
        let any: AnyVersion = serde_json::from_slice(bytes).map_err(syntax)?;
        if any.format_version != FORMAT_VERSION {
            return Err(version(any.format_version));
        }
        if let Some(feature) = any.requires.into_iter().next() {
            return Err(Error::UnsupportedFeature { path: path.into(), feature });
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(syntax)?;
        manifest.check(path)?;
        Ok(manifest)
    }

    /// Whether all values are within their limits.
    pub(crate) fn check(&self, path: &Path) -> Result<()> {
        let limit = |field: &'static str, ok: bool, expected: &str, found: &dyn ToString| {
            if ok {
                Ok(())
            } else {
                let found = found.to_string();
                Err(Error::ManifestValue { path: path.into(), field, expected: expected.into(), found })
            }
        };
        let name_length = self.pack_id.len();
        limit("pack_id", (1..=256).contains(&name_length), "1 to 256 bytes", &name_length)?;
        let has_parent = self.parent.is_some();
        let wants_parent = self.kind == PackKind::Delta;
        limit("parent", has_parent == wants_parent, "present in a delta and only there", &has_parent)?;
        let dims = self.embedder.dims;
        limit("embedder.dims", (1..=MAX_DIMS).contains(&dims), "1 to 16384", &dims)?;
        let Counts { documents, passages, .. } = self.counts;
        limit("counts.passages", passages <= MAX_PASSAGES, "below 2^32 - 1", &passages)?;
        limit("counts.documents", documents <= MAX_PASSAGES, "below 2^32 - 1", &documents)?;
        let overlap = self.splitter.overlap_tokens;
        let room = self.splitter.max_tokens;
        limit("splitter.overlap_tokens", overlap == 0 || overlap < room, "less than max_tokens", &overlap)?;
        let index = &self.index;
        let hnsw = index.kind == IndexKind::Hnsw;
        let connectivity_ok = if hnsw { (2..=MAX_CONNECTIVITY).contains(&index.connectivity) } else { true };
        limit("index.connectivity", connectivity_ok, "2 to 512", &index.connectivity)?;
        limit("index.expansion_add", index.expansion_add <= MAX_EXPANSION, "at most 8192", &index.expansion_add)?;
        let search = index.expansion_search;
        limit("index.expansion_search", search <= MAX_EXPANSION, "at most 8192", &search)?;
        let share = |value: f64| (0.0..=1.0).contains(&value);
        if let Some(recall) = index.recall_at_10 {
            limit("index.recall_at_10", share(recall), "0 to 1", &recall)?;
        }
        let RetrievalInfo { dense_weight, lexical_weight, floor } = self.retrieval;
        limit("retrieval.dense_weight", share(dense_weight), "0 to 1", &dense_weight)?;
        limit("retrieval.lexical_weight", share(lexical_weight), "0 to 1", &lexical_weight)?;
        if let Some(floor) = floor {
            limit("retrieval.floor", (-1.0..=1.0).contains(&floor), "-1 to 1", &floor)?;
        }
        if let Some(calibration) = &self.calibration {
            let rate = calibration.error_rate;
            limit("calibration.error_rate", share(rate), "0 to 1", &rate)?;
            let finite = calibration.threshold.is_finite() && calibration.parameters.values().all(|v| v.is_finite());
            limit("calibration", finite, "finite numbers", &"another")?;
        }
        if let Some(expires) = &self.expires {
            limit("expires", is_date(expires), "YYYY-MM-DD", &expires.len())?;
        }
        let sections = self.sections.len();
        limit("sections", sections <= MAX_SECTIONS, "at most 64", &sections)
    }

    /// The entry of a section, if the pack has it.
    pub fn section(&self, kind: SectionKind) -> Option<&SectionEntry> {
        self.sections.iter().find(|entry| entry.kind == kind.number())
    }

    /// Whether the encoded manifest is short enough to be read again.
    pub(crate) fn fits(bytes: &[u8]) -> bool {
        bytes.len() as u64 <= MAX_MANIFEST_BYTES
    }
}

/// Whether `text` is `YYYY-MM-DD` with a month and day that exist in some year.
pub fn is_date(text: &str) -> bool {
    let bytes = text.as_bytes();
    let digits = |range: std::ops::Range<usize>| {
        bytes[range].iter().try_fold(0u32, |sum, b| b.is_ascii_digit().then(|| sum * 10 + u32::from(b - b'0')))
    };
    bytes.len() == 10
        && bytes[4] == b'-'
        && bytes[7] == b'-'
        && digits(0..4).is_some()
        && digits(5..7).is_some_and(|month| (1..=12).contains(&month))
        && digits(8..10).is_some_and(|day| (1..=31).contains(&day))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn sample() -> Manifest {
        Manifest {
            format_version: FORMAT_VERSION,
            requires: Vec::new(),
            pack_id: "example.pack".into(),
            version: 1,
            kind: PackKind::Base,
            parent: None,
            state: StateHash([3; 32]),
            title: "例".into(),
            languages: vec!["zh".into()],
            licence: "CC0-1.0".into(),
            counts: Counts { documents: 1, passages: 2, tokens: 30 },
            skipped_documents: 0,
            build_tool: "test".into(),
            embedder: EmbedderInfo {
                weights: "00".into(),
                architecture: "bert".into(),
                dims: 4,
                pooling: Pooling::Mean,
                normalized: true,
                query_prefix: String::new(),
                document_prefix: String::new(),
                max_tokens: 256,
                metric: Metric::Cosine,
                scalar: Scalar::F16,
            },
            splitter: SplitterInfo { max_tokens: 256, overlap_tokens: 32, version: 1 },
            lexical: LexicalInfo { version: 1 },
            index: IndexInfo {
                kind: IndexKind::Exact,
                connectivity: 0,
                expansion_add: 0,
                expansion_search: 0,
                recall_at_10: None,
                recall_sample: 0,
            },
            retrieval: RetrievalInfo { dense_weight: 0.5, lexical_weight: 0.5, floor: None },
            calibration: None,
            expires: None,
            sealing: None,
            sections: Vec::new(),
        }
    }

    #[test]
    fn a_manifest_survives_a_round_trip_with_equal_bytes() {
        let bytes = sample().encode();
        let read = Manifest::decode(Path::new("x"), &bytes).unwrap();
        assert_eq!(read, sample());
        assert_eq!(read.encode(), bytes);
    }

    #[test]
    fn values_outside_their_limits_are_refused_by_name() {
        type Case = (&'static str, fn(&mut Manifest));
        let cases: [Case; 9] = [
            ("pack_id", |m| m.pack_id.clear()),
            ("parent", |m| m.parent = Some(StateHash([0; 32]))),
            ("parent", |m| m.kind = PackKind::Delta),
            ("embedder.dims", |m| m.embedder.dims = 0),
            ("embedder.dims", |m| m.embedder.dims = u32::MAX),
            ("counts.passages", |m| m.counts.passages = u64::MAX),
            ("index.connectivity", |m| m.index = IndexInfo { kind: IndexKind::Hnsw, ..m.index.clone() }),
            ("index.recall_at_10", |m| m.index.recall_at_10 = Some(1.5)),
            ("expires", |m| m.expires = Some("2024-13-01".into())),
        ];
        for (field, change) in cases {
            let mut manifest = sample();
            change(&mut manifest);
            match manifest.check(Path::new("x")) {
                Err(Error::ManifestValue { field: found, .. }) => assert_eq!(found, field),
                other => panic!("{field}: {other:?}"),
            }
        }
    }

    #[test]
    fn unknown_fields_are_ignored_and_unknown_requirements_are_not() {
        let path = Path::new("x");
        let text = String::from_utf8(sample().encode()).unwrap();
        let extended = text.replacen('{', "{\"invented\":[1,{}],", 1);
        assert_eq!(Manifest::decode(path, extended.as_bytes()).unwrap(), sample());
        let demanding = text.replacen("\"requires\":[]", "\"requires\":[\"magic\"]", 1);
        let error = Manifest::decode(path, demanding.as_bytes()).unwrap_err();
        assert!(matches!(error, Error::UnsupportedFeature { feature, .. } if feature == "magic"));
    }

    #[test]
    fn dates_are_checked() {
        for good in ["2024-01-31", "0000-12-01"] {
            assert!(is_date(good), "{good}");
        }
        for bad in ["", "2024-1-31", "2024-00-10", "2024-01-32", "2024/01/01", "２024-01-01", "2024-01-011"] {
            assert!(!is_date(bad), "{bad}");
        }
    }
}
