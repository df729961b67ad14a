//! SentencePiece's precompiled normalisation: a double-array trie from text to its replacement.
//!
//! The layout is that of `normalizer.cc` in SentencePiece and of the darts-clone library: the trie's length in bytes
//! (u32), its units (u32 each), then the replacements, each ended by a zero byte. A unit has a label in bits 0-7 and
//! 31, a leaf flag in bit 8, and an offset in bits 10-30 (times 256 if bit 9 is set); a leaf's value is in bits 0-30.

/// The map; empty for models that have none.
pub(super) struct Charsmap {
    units: Vec<u32>,
    replacements: String,
}

impl Charsmap {
    pub(super) fn none() -> Self {
        Charsmap { units: Vec::new(), replacements: String::new() }
    }

    /// Reads the map; none if its lengths or its text are wrong. Offsets are checked as they are followed.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        if bytes.is_empty() {
            return Some(Self::none());
        }
        let (len, rest) = bytes.split_first_chunk::<4>()?;
        let (trie, replacements) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
        let units = trie.chunks_exact(4).map(|unit| u32::from_le_bytes([unit[0], unit[1], unit[2], unit[3]])).collect();
        Some(Charsmap { units, replacements: String::from_utf8(replacements.to_vec()).ok()? })
    }

    /// Replaces, from left to right, the longest text that the map has.
    pub(super) fn normalize(&self, text: &str) -> String {
        if self.units.is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let (taken, replacement) = match self.longest(rest) {
                Some((taken, replacement)) => (taken, replacement),
                None => (c.len_utf8(), &rest[..c.len_utf8()]),
            };
            out.push_str(replacement);
            rest = &rest[taken..];
        }
        out
    }

    /// The longest prefix in the trie that ends at a character, and its replacement.
    fn longest(&self, text: &str) -> Option<(usize, &str)> {
        let offset = |unit: u32| ((unit >> 10) << ((unit & 0x200) >> 6)) as usize;
        let mut node = offset(*self.units.first()?);
        let mut found = None;
        for (i, &byte) in text.as_bytes().iter().enumerate() {
            node ^= usize::from(byte);
            let Some(&unit) = self.units.get(node) else {
                break;
            };
            if unit & 0x8000_00ff != u32::from(byte) {
                break;
            }
            node ^= offset(unit);
            if unit & 0x100 != 0 && text.is_char_boundary(i + 1) {
                let value = self.units.get(node).map(|leaf| (leaf & 0x7fff_ffff) as usize);
                let replacement = value.and_then(|at| self.replacements.get(at..)).and_then(|r| r.split('\0').next());
                found = replacement.map(|r| (i + 1, r)).or(found);
            }
        }
        found
    }
}
