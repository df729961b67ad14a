//! A bounds-checked walk over a serialized usearch graph, before usearch itself may look at it.
//!
//! usearch trusts what it maps: a neighbour's slot or a node's level that runs off the file is a crash, or worse.
//! This walk follows everything usearch 2 follows in a view, with checked arithmetic, and accepts nothing else.
//!
//! Behind the matrix of vectors stand (all numbers little-endian, nothing aligned):
//!
//! ```text
//! 64 bytes   head: "usearch", version 3 x u16, metric u8, scalar u8, key kind u8, slot kind u8,
//!            present u64, deleted u64, dims u64, multi u8, zeros
//! 40 bytes   graph: nodes u64, connectivity u64, connectivity of level 0 u64, max level u64, entry slot u64
//! 2 · n      level of each node, i16
//! then       nodes: key u64, level i16, and for each level from 0 on: count u32, slots u32 x connectivity
//! ```
//!
//! (Layout after `index_dense.hpp` and `index.hpp` of usearch 2.26.)

use std::path::Path;

use crate::error::{Error, Result};

const HEAD_BYTES: usize = 64;
const NODE_HEAD_BYTES: u64 = 10;
/// Codes of the metric cosine, the scalar f16, the key u64 and the slot u32.
const KINDS: [u8; 4] = [b'c', 12, 14, 15];
const MAX_CONNECTIVITY: u64 = 512;

/// Proof that a section's graph can be followed without leaving the section.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CheckedGraph {
    pub rows: usize,
    pub dims: usize,
    pub connectivity: usize,
}

/// Reads numbers off the front of a slice.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.0.split_first_chunk::<N>()?;
        self.0 = tail;
        Some(*head)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i16(&mut self) -> Option<i16> {
        self.take().map(i16::from_le_bytes)
    }

    fn skip(&mut self, length: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.0.split_at_checked(length)?;
        self.0 = tail;
        Some(head)
    }
}

/// Walks the graph that follows a matrix of `rows` vectors of `dims` numbers. Costs one read of the graph.
pub(crate) fn check_graph(
    path: &Path,
    bytes: &[u8],
    rows: usize,
    dims: usize,
    connectivity: u32,
) -> Result<CheckedGraph> {
    let damaged = |what, expected: &dyn ToString, found: &dyn ToString| Error::DamagedIndex {
        path: path.into(),
        what,
        expected: expected.to_string(),
        found: found.to_string(),
    };
    let short = || damaged("the length of the graph", &"more", &bytes.len());
    let equal = |what, expected: u64, found: u64| {
        if expected == found { Ok(()) } else { Err(damaged(what, &expected, &found)) }
    };

    let mut cursor = Cursor(bytes);
    let mut head = Cursor(cursor.skip(HEAD_BYTES).ok_or_else(short)?);
    if head.take::<7>() != Some(*b"usearch") {
        return Err(damaged("the graph's magic", &"usearch", &"other bytes"));
    }
    let version = head.take::<6>().ok_or_else(short)?;
    let (major, minor) = (u16::from_le_bytes([version[0], version[1]]), u16::from_le_bytes([version[2], version[3]]));
    // Headers before 2.10 had other codes for the kinds, which usearch would translate.
    if major != 2 || minor < 10 {
        return Err(damaged("the graph's version", &"2.10 or a later 2.x", &format!("{major}.{minor}")));
    }
    let kinds = head.take::<4>().ok_or_else(short)?;
    if kinds != KINDS {
        return Err(damaged("the graph's kinds", &format!("{KINDS:?}"), &format!("{kinds:?}")));
    }
    let n_nodes = rows as u64;
    equal("the number of present vectors", n_nodes, head.u64().ok_or_else(short)?)?;
    equal("the number of deleted vectors", 0, head.u64().ok_or_else(short)?)?;
    equal("the graph's dimensions", dims as u64, head.u64().ok_or_else(short)?)?;
    if head.0.iter().any(|&byte| byte != 0) {
        return Err(damaged("the rest of the head", &"zeros", &"other bytes"));
    }

    equal("the number of nodes", n_nodes, cursor.u64().ok_or_else(short)?)?;
    let upper = cursor.u64().ok_or_else(short)?;
    equal("the connectivity", u64::from(connectivity), upper)?;
    let base = cursor.u64().ok_or_else(short)?;
    if upper < 2 || base < upper || base > 2 * MAX_CONNECTIVITY || upper > MAX_CONNECTIVITY {
        return Err(damaged("the connectivity of level 0", &"at least that of the others, at most 1024", &base));
    }
    let max_level = cursor.u64().ok_or_else(short)?;
    let entry = cursor.u64().ok_or_else(short)?;
    if rows == 0 {
        return Err(damaged("the number of nodes", &"at least one", &rows));
    }

    let level_bytes = cursor.skip(rows.checked_mul(2).ok_or_else(short)?).ok_or_else(short)?;
    let level_of = |slot: u64| {
        let at = usize::try_from(slot).ok()?.checked_mul(2)?;
        let pair = level_bytes.get(at..at + 2)?;
        Some(i16::from_le_bytes([pair[0], pair[1]]))
    };
    match level_of(entry) {
        None => return Err(damaged("the entry slot", &format!("below {rows}"), &entry)),
        Some(level) if i64::from(level) != i64::try_from(max_level).unwrap_or(i64::MAX) => {
            return Err(damaged("the level of the entry node", &max_level, &level));
        }
        Some(_) => {}
    }

    let nodes = cursor.0;
    let mut cursor = Cursor(nodes);
    for slot in 0..n_nodes {
        let level = level_of(slot).ok_or_else(short)?;
        let levels = match u64::try_from(level) {
            Ok(levels) if levels <= max_level => levels,
            _ => return Err(damaged("the level of a node", &format!("0 to {max_level}"), &level)),
        };
        // With connectivity at most 1024 and level at most 2^15 this stays far below 2^64.
        let node_bytes = NODE_HEAD_BYTES + 4 + 4 * base + levels * (4 + 4 * upper);
        let length = usize::try_from(node_bytes).map_err(|_| short())?;
        let mut node = Cursor(cursor.skip(length).ok_or_else(short)?);
        equal("the key of a node", slot, node.u64().ok_or_else(short)?)?;
        let own_level = node.i16().ok_or_else(short)?;
        if own_level != level {
            return Err(damaged("the level of a node", &level, &own_level));
        }
        for at_level in 0..=levels {
            let room = if at_level == 0 { base } else { upper };
            let count = node.u32().ok_or_else(short)?;
            if u64::from(count) > room {
                return Err(damaged("a number of neighbours", &format!("at most {room}"), &count));
            }
            let mut slots = Cursor(node.skip(room as usize * 4).ok_or_else(short)?);
            for _ in 0..count {
                let neighbour = u64::from(slots.u32().ok_or_else(short)?);
                // A search goes on from the neighbour on the same level, so it must have that level.
                match level_of(neighbour) {
                    None => return Err(damaged("a neighbour", &format!("below {rows}"), &neighbour)),
                    Some(its) if i64::from(its) < at_level as i64 => {
                        return Err(damaged("the level of a neighbour", &format!("at least {at_level}"), &its));
                    }
                    Some(_) => {}
                }
            }
        }
    }
    if !cursor.0.is_empty() {
        return Err(damaged("the length of the graph", &(bytes.len() - cursor.0.len()), &bytes.len()));
    }
    Ok(CheckedGraph { rows, dims, connectivity: connectivity as usize })
}
