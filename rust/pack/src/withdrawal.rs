//! Withdrawals: the passages that a delta takes away, and in which of three ways.
//!
//! The section is a 16-byte head (version `u32` = 1, count `u32`, eight zero bytes) and 32 bytes an entry, sorted by id:
//! id (16), kind (`u8`), three zero bytes, last valid day as ten ASCII bytes or zeros, two zero bytes.

use std::path::Path;

use crate::error::{Error, Result};
use crate::id::PassageId;
use crate::manifest::is_date;

/// In which way a passage is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WithdrawalKind {
    /// Kept, and found only when a day up to `valid_to` (`YYYY-MM-DD`) is asked for.
    Superseded {
        /// The last day on which the passage held.
        valid_to: String,
    },
    /// Gone from this generation, back on a rollback.
    Removed,
    /// Gone from each generation; survives a rollback, and its bytes are destroyed by compaction or purge.
    Revoked,
}

/// One passage that is withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Withdrawal {
    /// Which passage.
    pub passage: PassageId,
    /// In which way.
    pub kind: WithdrawalKind,
}

const HEAD_BYTES: usize = 16;
const ENTRY_BYTES: usize = 32;
const VERSION: u32 = 1;

/// The bytes of a withdrawals section; entries are sorted here.
///
/// # Errors
/// [`Error::InvalidInput`] for a date that is none, or a passage named twice.
pub fn encode_withdrawals(path: &Path, withdrawals: &[Withdrawal]) -> Result<Vec<u8>> {
    let invalid = |reason: &str| Error::InvalidInput { path: path.into(), reason: reason.into() };
    let count = u32::try_from(withdrawals.len()).map_err(|_| invalid("more than 2^32 withdrawals"))?;
    let mut sorted: Vec<_> = withdrawals.iter().collect();
    sorted.sort_by_key(|withdrawal| withdrawal.passage);
    if sorted.windows(2).any(|pair| pair[0].passage == pair[1].passage) {
        return Err(invalid("a passage is withdrawn twice"));
    }
    let mut bytes = Vec::with_capacity(HEAD_BYTES + ENTRY_BYTES * sorted.len());
    bytes.extend(VERSION.to_le_bytes());
    bytes.extend(count.to_le_bytes());
    bytes.extend([0; 8]);
    for withdrawal in sorted {
        bytes.extend(withdrawal.passage.0);
        let (kind, day) = match &withdrawal.kind {
            WithdrawalKind::Superseded { valid_to } if !is_date(valid_to) => {
                return Err(invalid("the last valid day of a superseded passage is not YYYY-MM-DD"));
            }
            WithdrawalKind::Superseded { valid_to } => (1, valid_to.as_bytes()),
            WithdrawalKind::Removed => (2, &[0; 10][..]),
            WithdrawalKind::Revoked => (3, &[0; 10][..]),
        };
        bytes.extend([kind, 0, 0, 0]);
        bytes.extend(day);
        bytes.extend([0; 2]);
    }
    Ok(bytes)
}

/// Reads a withdrawals section. Memory is bounded by the section's length.
///
/// # Errors
/// [`Error::UnsupportedVersion`] for a newer section, [`Error::Damaged`] for anything the format does not allow.
pub fn decode_withdrawals(path: &Path, bytes: &[u8]) -> Result<Vec<Withdrawal>> {
    let damaged =
        |expected: &str, found: &dyn ToString| Error::damaged(path, "withdrawals", expected, found.to_string());
    let Some((head, body)) = bytes.split_first_chunk::<HEAD_BYTES>() else {
        return Err(damaged("a head of 16 bytes", &bytes.len()));
    };
    let number = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    if number(0) != VERSION {
        return Err(Error::UnsupportedVersion { path: path.into(), found: number(0), supported: VERSION });
    }
    if (body.len() / ENTRY_BYTES) as u64 != u64::from(number(4)) || body.len() % ENTRY_BYTES != 0 || head[8..] != [0; 8]
    {
        return Err(damaged("32 bytes an entry", &body.len()));
    }
    let mut withdrawals: Vec<Withdrawal> = Vec::with_capacity(body.len() / ENTRY_BYTES);
    for entry in body.chunks_exact(ENTRY_BYTES) {
        let (id, rest) = entry.split_first_chunk::<16>().expect("an entry is longer than an id");
        let passage = PassageId(*id);
        if withdrawals.last().is_some_and(|last| last.passage >= passage) {
            return Err(damaged("ascending ids", &passage));
        }
        let day = &rest[4..14];
        let kind = match rest[0] {
            1 => match std::str::from_utf8(day) {
                Ok(day) if is_date(day) => WithdrawalKind::Superseded { valid_to: day.into() },
                _ => return Err(damaged("a day as YYYY-MM-DD", &passage)),
            },
            2 if day == [0; 10] => WithdrawalKind::Removed,
            3 if day == [0; 10] => WithdrawalKind::Revoked,
            other => return Err(damaged("kind 1, 2 or 3 with its day", &other)),
        };
        if rest[1..4] != [0; 3] || rest[14..] != [0; 2] {
            return Err(damaged("zeros in the reserved bytes", &passage));
        }
        withdrawals.push(Withdrawal { passage, kind });
    }
    Ok(withdrawals)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<Withdrawal> {
        vec![
            Withdrawal { passage: PassageId([9; 16]), kind: WithdrawalKind::Revoked },
            Withdrawal {
                passage: PassageId([1; 16]),
                kind: WithdrawalKind::Superseded { valid_to: "2024-06-30".into() },
            },
            Withdrawal { passage: PassageId([5; 16]), kind: WithdrawalKind::Removed },
        ]
    }

    #[test]
    fn the_three_kinds_survive_a_round_trip_sorted_by_id() {
        let path = Path::new("x");
        let mut expected = sample();
        expected.sort_by_key(|w| w.passage);
        let bytes = encode_withdrawals(path, &sample()).unwrap();
        assert_eq!(decode_withdrawals(path, &bytes).unwrap(), expected);
    }

    #[test]
    fn each_cut_and_each_change_of_a_fixed_byte_is_refused() {
        let path = Path::new("x");
        let bytes = encode_withdrawals(path, &sample()).unwrap();
        for length in 0..bytes.len() {
            assert!(decode_withdrawals(path, &bytes[..length]).is_err(), "cut at {length}");
        }
        // All but the ids and the day of the superseded one are fixed.
        for at in (0..16).chain(32..36).chain(46..48).chain(64..80).chain(96..112) {
            let mut changed = bytes.clone();
            changed[at] ^= 0x80;
            assert!(decode_withdrawals(path, &changed).is_err(), "byte {at}");
        }
    }

    #[test]
    fn a_passage_is_withdrawn_only_once() {
        let twice = [sample(), sample()].concat();
        assert!(encode_withdrawals(Path::new("x"), &twice).is_err());
    }
}
