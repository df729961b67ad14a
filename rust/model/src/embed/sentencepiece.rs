//! Reading a SentencePiece model (`tokenizer.model`): a protobuf message of which three fields matter.
//!
//! Field numbers are those of `sentencepiece_model.proto` in the SentencePiece repository; the wire format is the
//! one of the protocol buffers encoding guide. Unknown fields are skipped.

use std::path::Path;

use crate::Result;

use super::source::damaged;

/// A piece of the vocabulary; its index is its id.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) score: f32,
    /// 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte: the numbers GGUF uses too.
    pub(super) kind: i32,
}

/// The training algorithm of the model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PieceModel {
    Unigram,
    Bpe,
}

/// A SentencePiece model.
#[derive(Clone, Debug)]
pub(super) struct SentencePieceModel {
    pub(super) pieces: Vec<Piece>,
    pub(super) model: PieceModel,
    pub(super) charsmap: Vec<u8>,
    pub(super) add_dummy_prefix: bool,
    pub(super) remove_extra_whitespaces: bool,
}

/// One field of a message.
enum Field<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Bytes(&'a [u8]),
    /// A fixed 64-bit value; no field that is read here has one.
    Fixed64,
}

/// Walks the fields of one message. A malformed message ends with `None` inside `Some`.
struct Message<'a> {
    rest: &'a [u8],
}

impl<'a> Message<'a> {
    fn varint(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Some(value);
            }
        }
        None
    }

    fn take(&mut self, len: u64) -> Option<&'a [u8]> {
        let (head, rest) = self.rest.split_at_checked(usize::try_from(len).ok()?)?;
        self.rest = rest;
        Some(head)
    }

    fn field(&mut self) -> Option<(u64, Field<'a>)> {
        let tag = self.varint()?;
        let field = match tag & 7 {
            0 => Field::Varint(self.varint()?),
            1 => {
                self.take(8)?;
                Field::Fixed64
            }
            2 => {
                let len = self.varint()?;
                Field::Bytes(self.take(len)?)
            }
            5 => Field::Fixed32(self.take(4)?.try_into().ok()?),
            _ => return None,
        };
        Some((tag >> 3, field))
    }
}

impl<'a> Iterator for Message<'a> {
    type Item = Option<(u64, Field<'a>)>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_none() {
            self.rest = &[];
        }
        Some(field)
    }
}

impl SentencePieceModel {
    /// Parses the bytes of a `tokenizer.model`; `path` is named in errors.
    ///
    /// # Errors
    /// [`crate::Error::Damaged`] for bytes that are no such message, [`crate::Error::Unsupported`] for word and
    /// character models.
    pub(super) fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let wrong = || damaged(path, "not a SentencePiece model");
        let mut parsed = Self {
            pieces: Vec::new(),
            model: PieceModel::Unigram,
            charsmap: Vec::new(),
            add_dummy_prefix: true,
            remove_extra_whitespaces: true,
        };
        for field in (Message { rest: bytes }) {
            match field.ok_or_else(wrong)? {
                (1, Field::Bytes(piece)) => parsed.pieces.push(parse_piece(piece).ok_or_else(wrong)?),
                (2, Field::Bytes(trainer)) => {
                    for field in (Message { rest: trainer }) {
                        if let (3, Field::Varint(model)) = field.ok_or_else(wrong)? {
                            parsed.model = match model {
                                1 => PieceModel::Unigram,
                                2 => PieceModel::Bpe,
                                other => {
                                    return Err(super::source::unsupported(
                                        path,
                                        "SentencePiece model type",
                                        other.to_string(),
                                    ));
                                }
                            };
                        }
                    }
                }
                (3, Field::Bytes(normalizer)) => {
                    for field in (Message { rest: normalizer }) {
                        match field.ok_or_else(wrong)? {
                            (2, Field::Bytes(map)) => parsed.charsmap = map.to_vec(),
                            (3, Field::Varint(flag)) => parsed.add_dummy_prefix = flag != 0,
                            (4, Field::Varint(flag)) => parsed.remove_extra_whitespaces = flag != 0,
                            _ => {}
                        }
                    }
                }
                _ => {}
            }
        }
        if parsed.pieces.is_empty() { Err(wrong()) } else { Ok(parsed) }
    }
}

fn parse_piece(bytes: &[u8]) -> Option<Piece> {
    let mut piece = Piece { text: String::new(), score: 0.0, kind: 1 };
    for field in (Message { rest: bytes }) {
        match field? {
            (1, Field::Bytes(text)) => piece.text = std::str::from_utf8(text).ok()?.to_owned(),
            (2, Field::Fixed32(score)) => piece.score = f32::from_le_bytes(score),
            (3, Field::Varint(kind)) => piece.kind = i32::try_from(kind).ok().filter(|kind| (1..=6).contains(kind))?,
            _ => {}
        }
    }
    piece.score.is_finite().then_some(piece)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes_field(number: u8, content: &[u8]) -> Vec<u8> {
        let mut out = vec![number << 3 | 2, content.len() as u8];
        out.extend_from_slice(content);
        out
    }

    fn small_model() -> Vec<u8> {
        let mut piece = bytes_field(1, "▁a".as_bytes());
        piece.push(2 << 3 | 5);
        piece.extend_from_slice(&(-1.5f32).to_le_bytes());
        let mut unknown = bytes_field(1, b"<unk>");
        unknown.extend_from_slice(&[3 << 3, 2]);
        let mut model = bytes_field(1, &unknown);
        model.extend(bytes_field(1, &piece));
        model.extend(bytes_field(2, &[3 << 3, 2]));
        model.extend(bytes_field(3, &[3 << 3, 0, 4 << 3, 0]));
        model
    }

    #[test]
    fn pieces_scores_kinds_and_flags_are_read() {
        let model = SentencePieceModel::parse(Path::new("m"), &small_model()).unwrap();
        assert_eq!(model.model, PieceModel::Bpe);
        assert!(!model.add_dummy_prefix && !model.remove_extra_whitespaces);
        assert_eq!(model.pieces[0], Piece { text: "<unk>".into(), score: 0.0, kind: 2 });
        assert_eq!(model.pieces[1], Piece { text: "▁a".into(), score: -1.5, kind: 1 });
    }

    #[test]
    fn every_cut_of_a_model_is_an_error_or_a_shorter_model_but_never_a_panic() {
        let whole = small_model();
        for end in 0..whole.len() {
            if let Ok(model) = SentencePieceModel::parse(Path::new("m"), &whole[..end]) {
                assert!(!model.pieces.is_empty());
            }
        }
        let endless = [0xffu8; 64];
        assert!(SentencePieceModel::parse(Path::new("m"), &endless).is_err());
    }
}
