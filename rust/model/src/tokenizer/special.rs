//! Finding the tokens that are recognised before anything else: control tokens in text that may have them, and
//! user-defined tokens everywhere.

use super::vocabulary::{Kind, Vocabulary, looks_like_control};

/// The texts of control and user-defined tokens, sorted, so that a match narrows a range byte by byte.
pub(super) struct Specials {
    entries: Vec<Entry>,
    /// The entries that begin with a byte.
    first: Vec<(u32, u32)>,
    /// Whether plain text has anything to look for.
    pub(super) any_user_defined: bool,
}

struct Entry {
    text: Box<[u8]>,
    id: u32,
    control: bool,
}

impl Specials {
    pub(super) fn new(vocabulary: &Vocabulary) -> Self {
        let is_control = |id: u32| vocabulary.kind(id) != Kind::UserDefined || looks_like_control(vocabulary.bytes(id));
        let mut entries: Vec<Entry> = (0..vocabulary.len() as u32)
            .filter(|&id| matches!(vocabulary.kind(id), Kind::Control | Kind::Unknown | Kind::UserDefined))
            .filter(|&id| !vocabulary.bytes(id).is_empty())
            .map(|id| Entry { text: vocabulary.bytes(id).into(), id, control: is_control(id) })
            .collect();
        entries.sort_by(|a, b| a.text.cmp(&b.text).then(a.id.cmp(&b.id)));
        entries.dedup_by(|b, a| a.text == b.text);
        let first = (0..=255u8)
            .map(|byte| {
                let start = entries.partition_point(|e| e.text[0] < byte);
                let end = entries.partition_point(|e| e.text[0] <= byte);
                (start as u32, end as u32)
            })
            .collect();
        let any_user_defined = entries.iter().any(|e| !e.control);
        Specials { entries, first, any_user_defined }
    }

    /// The longest token at `bytes[at]`: its length and id. A control token must end at or before `control_until`.
    pub(super) fn find(&self, bytes: &[u8], at: usize, control_until: usize) -> Option<(usize, u32)> {
        let (start, end) = self.first[usize::from(bytes[at])];
        let mut range = &self.entries[start as usize..end as usize];
        let mut found = None;
        let mut depth = 1;
        while let Some(shortest) = range.first() {
            if shortest.text.len() == depth {
                if !shortest.control || at + depth <= control_until {
                    found = Some((depth, shortest.id));
                }
                range = &range[1..];
            }
            let Some(&byte) = bytes.get(at + depth) else {
                break;
            };
            // All entries left are longer than `depth`, and equal in the bytes before it.
            range = &range[range.partition_point(|e| e.text[depth] < byte)..];
            range = &range[..range.partition_point(|e| e.text[depth] == byte)];
            depth += 1;
        }
        found
    }

    /// The id of the token with this text.
    pub(super) fn id(&self, text: &str) -> Option<u32> {
        let at = self.entries.binary_search_by(|e| e.text.as_ref().cmp(text.as_bytes())).ok()?;
        Some(self.entries[at].id)
    }
}
