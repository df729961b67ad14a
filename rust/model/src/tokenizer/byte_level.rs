//! The printable form that byte-level BPE vocabularies have in files.
//!
//! GPT-2's `bytes_to_unicode`: the bytes that Latin-1 prints stand for themselves, the others are numbered from
//! U+0100 in their order; so a space is `Ġ` (U+0120).

/// Maps the characters of the printable form back to bytes.
pub(super) struct ByteLevel {
    /// By code point; 324 is one past the last (256 + 68 unprinted bytes).
    byte_of: [Option<u8>; 324],
}

impl ByteLevel {
    pub(super) fn new() -> Self {
        let mut byte_of = [None; 324];
        let mut next = 256;
        for byte in 0..=255u8 {
            if matches!(byte, b'!'..=b'~' | 0xa1..=0xac | 0xae..=0xff) {
                byte_of[usize::from(byte)] = Some(byte);
            } else {
                byte_of[next] = Some(byte);
                next += 1;
            }
        }
        ByteLevel { byte_of }
    }

    /// Appends the bytes that `text` stands for; false if some character stands for none.
    pub(super) fn decode(&self, text: &str, out: &mut Vec<u8>) -> bool {
        text.chars().all(|c| match self.byte_of.get(c as usize).copied().flatten() {
            Some(byte) => {
                out.push(byte);
                true
            }
            None => false,
        })
    }
}
