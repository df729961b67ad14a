//! Changes of a large section, written in few bytes, so that inputs stay small and most of a section stays sound.

/// Applies changes to `bytes`: records of an offset (three bytes, little-endian, modulo the length), a count, and what it
/// announces. A count below 240 is that many bytes to write; above it stands an operation without bytes of its own.
pub fn apply(bytes: &mut Vec<u8>, mut patch: &[u8]) {
    while let [a, b, c, count, rest @ ..] = patch {
        patch = rest;
        if bytes.is_empty() {
            return;
        }
        let at = u32::from_le_bytes([*a, *b, *c, 0]) as usize;
        let piece = 64.min(bytes.len());
        let from = |at: usize| at % (bytes.len() - piece + 1);
        match count {
            0..240 => {
                let (written, rest) = patch.split_at(usize::from(*count).min(patch.len()));
                patch = rest;
                let at = at % bytes.len();
                let length = written.len().min(bytes.len() - at);
                bytes[at..at + length].copy_from_slice(&written[..length]);
            }
            240 => bytes.truncate(at % bytes.len()),
            241 => bytes.resize(bytes.len() + at % (64 << 10), 0),
            242 => {
                let at = from(at);
                bytes[at..at + piece].fill(0);
            }
            243 => {
                let at = from(at);
                bytes[at..at + piece].fill(0xff);
            }
            _ => {
                // From one place to another: pages, rows and nodes that stand twice.
                let [d, e, f, rest @ ..] = patch else { return };
                patch = rest;
                let (source, target) = (from(at), from(u32::from_le_bytes([*d, *e, *f, 0]) as usize));
                bytes.copy_within(source..source + piece, target);
            }
        }
    }
}
