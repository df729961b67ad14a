//! What a passage is called, and what a state is: hashes over content, independent of how it is stored.
//!
//! All hashes are BLAKE3 with a domain string first; each variable-length field is preceded by its length as a
//! little-endian `u64`, so that no two different inputs feed the same bytes.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::error::Error;

/// A 16-byte, content-defined name of a passage: the same words at the same place of the same document have the same
/// id in each rebuild, and no other passage has it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassageId(pub [u8; 16]);

/// A 32-byte hash of what a library knows: every live document and passage, whatever packs they came in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StateHash(pub [u8; 32]);

/// The BLAKE3 hash of a section's or a file's bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 32]);

/// A hash of one passage's content as it enters the state; made by [`PassageDigest::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PassageDigest(pub [u8; 32]);

/// A hash of one document's description as it enters the state; made by [`DocumentDigest::of`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DocumentDigest(pub [u8; 32]);

impl PassageId {
    /// The id of a passage: BLAKE3 over document id, title path, article label, text and the number of equal passages
    /// before it in the document (0 for the first), cut to 16 bytes.
    ///
    /// The place in the source file is left out, so that an amended article does not rename its neighbours.
    pub fn derive(document: &str, title_path: &[String], article: Option<&str>, text: &str, occurrence: u32) -> Self {
        let mut fields = Fields::new("lorekit passage id v1");
        fields.text(document);
        fields.list(title_path);
        fields.optional(article);
        fields.text(text);
        fields.number(u64::from(occurrence));
        let hash = fields.finish();
        let mut id = [0; 16];
        id.copy_from_slice(&hash[..16]);
        Self(id)
    }
}

impl PassageDigest {
    /// The hash of one passage: text, document id, title path, article, place, access labels by group, stored vector.
    ///
    /// `vector` is the row as the pack stores it (little-endian scalars). Byte range, page and token count are left
    /// out: the first two are a place in a file, the last follows from the text.
    #[allow(clippy::too_many_arguments, reason = "each argument is one field of the digest, in its order")]
    pub fn of(
        document: &str,
        title_path: &[String],
        article: Option<&str>,
        place: &str,
        text: &str,
        label_groups: &[Vec<String>],
        vector: &[u8],
    ) -> Self {
        let mut fields = Fields::new("lorekit passage digest v1");
        fields.text(document);
        fields.list(title_path);
        fields.optional(article);
        fields.text(place);
        fields.text(text);
        fields.groups(label_groups);
        fields.bytes(vector);
        Self(fields.finish())
    }
}

impl DocumentDigest {
    /// The hash of one document's description; the hash of its source file is left out, as a place is for passages.
    #[allow(clippy::too_many_arguments, reason = "each argument is one field of the digest, in its order")]
    pub fn of(
        id: &str,
        path: &str,
        title: &str,
        version: Option<&str>,
        language: &str,
        valid_from: Option<&str>,
        valid_to: Option<&str>,
        label_groups: &[Vec<String>],
        format: &str,
    ) -> Self {
        let mut fields = Fields::new("lorekit document digest v1");
        fields.text(id);
        fields.text(path);
        fields.text(title);
        fields.optional(version);
        fields.text(language);
        fields.optional(valid_from);
        fields.optional(valid_to);
        fields.groups(label_groups);
        fields.text(format);
        Self(fields.finish())
    }
}

/// Collects what is live and hashes it in one order, so that a chain of packs and its compaction have the same state.
#[derive(Debug, Default)]
pub struct StateBuilder {
    documents: Vec<DocumentDigest>,
    passages: Vec<(PassageId, PassageDigest)>,
}

impl StateBuilder {
    /// An empty state.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a live document, in any order.
    pub fn document(&mut self, digest: DocumentDigest) {
        self.documents.push(digest);
    }

    /// Adds a live passage, in any order.
    pub fn passage(&mut self, id: PassageId, digest: PassageDigest) {
        self.passages.push((id, digest));
    }

    /// The state: BLAKE3 over the sorted document digests and the passages sorted by id, each list preceded by its
    /// length. Costs one sort; 48 bytes of memory per passage.
    pub fn finish(mut self) -> StateHash {
        self.documents.sort_unstable();
        self.passages.sort_unstable();
        let mut fields = Fields::new("lorekit state v1");
        fields.number(self.documents.len() as u64);
        for digest in &self.documents {
            fields.raw(&digest.0);
        }
        fields.number(self.passages.len() as u64);
        for (id, digest) in &self.passages {
            fields.raw(&id.0);
            fields.raw(&digest.0);
        }
        StateHash(fields.finish())
    }
}

/// A hash that is fed fields instead of bytes.
struct Fields(blake3::Hasher);

impl Fields {
    fn new(domain: &str) -> Self {
        let mut fields = Self(blake3::Hasher::new());
        fields.text(domain);
        fields
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn number(&mut self, value: u64) {
        self.raw(&value.to_le_bytes());
    }

    fn bytes(&mut self, bytes: &[u8]) {
        self.number(bytes.len() as u64);
        self.raw(bytes);
    }

    fn text(&mut self, text: &str) {
        self.bytes(text.as_bytes());
    }

    fn optional(&mut self, text: Option<&str>) {
        match text {
            None => self.number(0),
            Some(text) => {
                self.number(1);
                self.text(text);
            }
        }
    }

    fn list(&mut self, items: &[String]) {
        self.number(items.len() as u64);
        for item in items {
            self.text(item);
        }
    }

    fn groups(&mut self, groups: &[Vec<String>]) {
        self.number(groups.len() as u64);
        for group in groups {
            self.list(group);
        }
    }

    fn finish(self) -> [u8; 32] {
        *self.0.finalize().as_bytes()
    }
}

impl ContentHash {
    /// The BLAKE3 hash of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

pub(crate) fn parse_hex<const N: usize>(text: &str) -> Result<[u8; N], Error> {
    let error = Error::BadIdentifier { expected: 2 * N };
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return Err(error);
    }
    let value = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'a'..=b'f' => Some(digit - b'a' + 10),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let (Some(high), Some(low)) = (value(pair[0]), value(pair[1])) else { return Err(error) };
        *byte = high << 4 | low;
    }
    Ok(bytes)
}

macro_rules! hexadecimal {
    ($name:ident, $bytes:literal) => {
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }

        impl FromStr for $name {
            type Err = Error;

            fn from_str(text: &str) -> Result<Self, Error> {
                parse_hex::<$bytes>(text).map(Self)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(de::Error::custom)
            }
        }
    };
}

pub(crate) use hexadecimal;

hexadecimal!(PassageId, 16);
hexadecimal!(StateHash, 32);
hexadecimal!(ContentHash, 32);

#[cfg(test)]
mod tests {
    use super::*;

    fn path(items: &[&str]) -> Vec<String> {
        items.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn each_field_of_a_passage_changes_its_id() {
        let base = PassageId::derive("law", &path(&["a", "b"]), Some("第一条"), "text", 0);
        let others = [
            PassageId::derive("law2", &path(&["a", "b"]), Some("第一条"), "text", 0),
            PassageId::derive("law", &path(&["ab"]), Some("第一条"), "text", 0),
            PassageId::derive("law", &path(&["a", "b"]), None, "text", 0),
            PassageId::derive("law", &path(&["a", "b"]), Some("第一条"), "text ", 0),
            PassageId::derive("law", &path(&["a", "b"]), Some("第一条"), "text", 1),
        ];
        for (index, other) in others.iter().enumerate() {
            assert_ne!(base, *other, "case {index}");
        }
        assert_eq!(base, PassageId::derive("law", &path(&["a", "b"]), Some("第一条"), "text", 0));
    }

    #[test]
    fn bytes_moved_between_neighbouring_fields_give_another_id() {
        let one = PassageId::derive("ab", &path(&["c"]), None, "d", 0);
        let other = PassageId::derive("a", &path(&["bc"]), None, "d", 0);
        assert_ne!(one, other);
    }

    #[test]
    fn the_id_of_a_known_passage_never_changes() {
        let id = PassageId::derive("法/商业银行法", &path(&["商业银行法", "第二章"]), Some("第八十五条"), "正文", 2);
        assert_eq!(id.to_string(), "a795ed84aeb91bd5c08dad7c558f02fb");
        assert_eq!(id.to_string().parse::<PassageId>().unwrap(), id);
    }

    #[test]
    fn a_state_does_not_depend_on_the_order_of_its_parts() {
        let one = (PassageId([1; 16]), PassageDigest([7; 32]));
        let two = (PassageId([2; 16]), PassageDigest([6; 32]));
        let state = |order: &[(PassageId, PassageDigest)]| {
            let mut builder = StateBuilder::new();
            order.iter().for_each(|(id, digest)| builder.passage(*id, *digest));
            builder.finish()
        };
        assert_eq!(state(&[one, two]), state(&[two, one]));
        assert_ne!(state(&[one, two]), state(&[one]));
        assert_ne!(state(&[]), state(&[one]));
    }

    #[test]
    fn identifiers_that_are_not_hexadecimal_are_refused() {
        for text in ["", "00", "zz000000000000000000000000000000", "０0000000000000000000000000000000"] {
            assert!(text.parse::<PassageId>().is_err(), "{text:?}");
        }
    }
}
