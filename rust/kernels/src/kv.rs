//! One layer's keys and values, stored as f16.

use crate::convert::narrow_f16;
use crate::dispatch::Isa;
use crate::error::{ShapeError, check_length};
use std::ops::Range;

/// Positions in one tile of keys.
pub(crate) const TILE: usize = 16;

/// The keys and values of one layer for a fixed number of positions.
///
/// The memory is asked for zeroed and touched only as positions are written, so capacity costs address space, not RAM.
///
/// Keys lie in tiles of 16 positions, within a tile one dimension after the other with its 16 positions side by side:
/// scores of 16 positions are then summed in the 16 lanes of a register. Values lie position after position.
/// Values beyond f16's range are stored as its largest.
#[derive(Clone, Debug)]
pub struct KvLayer {
    n_kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    /// `capacity` rounded up to whole tiles.
    padded: usize,
    /// `(n_kv_heads, tiles, head_dim, TILE)` as f16 bits.
    k: Vec<u16>,
    /// `(n_kv_heads, padded, head_dim)` as f16 bits.
    v: Vec<u16>,
}

impl KvLayer {
    /// A cache for `capacity` positions.
    pub fn new(n_kv_heads: usize, head_dim: usize, capacity: usize) -> Self {
        let padded = capacity.next_multiple_of(TILE);
        let len = n_kv_heads * head_dim * padded;
        // `vec![0; len]` of a primitive is one zeroed allocation, which the system backs with memory when touched.
        Self { n_kv_heads, head_dim, capacity, padded, k: vec![0; len], v: vec![0; len] }
    }

    /// Heads of keys and values.
    pub fn n_kv_heads(&self) -> usize {
        self.n_kv_heads
    }

    /// Values in one head.
    pub fn head_dim(&self) -> usize {
        self.head_dim
    }

    /// Positions it can hold.
    pub fn capacity(&self) -> usize {
        self.capacity
    }

    /// Bytes of address space it takes.
    pub fn bytes(&self) -> usize {
        (self.k.len() + self.v.len()) * size_of::<u16>()
    }

    /// Bytes [`export`](Self::export) gives for one position.
    pub fn bytes_per_position(&self) -> usize {
        self.n_kv_heads * self.head_dim * 2 * size_of::<u16>()
    }

    fn k_at(&self, head: usize, position: usize, dim: usize) -> usize {
        ((head * (self.padded / TILE) + position / TILE) * self.head_dim + dim) * TILE + position % TILE
    }

    fn v_at(&self, head: usize, position: usize) -> usize {
        (head * self.padded + position) * self.head_dim
    }

    /// The key tile that holds positions `TILE * tile ..`: `(head_dim, TILE)`.
    pub(crate) fn k_tile(&self, head: usize, tile: usize) -> &[u16] {
        let start = self.k_at(head, tile * TILE, 0);
        &self.k[start..start + self.head_dim * TILE]
    }

    /// The values of some positions, `(positions, head_dim)`.
    pub(crate) fn v_rows(&self, head: usize, positions: Range<usize>) -> &[u16] {
        &self.v[self.v_at(head, positions.start)..self.v_at(head, positions.end)]
    }

    /// Stores keys and values, `(rows, n_kv_heads * head_dim)` each; row `i` at `position + i`.
    ///
    /// # Panics
    /// If the sizes differ, are no whole rows, or pass the capacity.
    pub fn write(&mut self, position: usize, k: &[f32], v: &[f32]) {
        let width = self.n_kv_heads * self.head_dim;
        assert!(width > 0 && k.len().is_multiple_of(width), "{} values in rows of {width}", k.len());
        assert_eq!(k.len(), v.len(), "keys and values of one size");
        let rows = k.len() / width;
        assert!(position + rows <= self.capacity, "position {} of {}", position + rows, self.capacity);
        let isa = Isa::detected();
        let mut key = vec![0u16; self.head_dim];
        for row in 0..rows {
            for head in 0..self.n_kv_heads {
                let from = row * width + head * self.head_dim..row * width + (head + 1) * self.head_dim;
                let at = self.v_at(head, position + row);
                narrow_f16(isa, &v[from.clone()], &mut self.v[at..at + self.head_dim]);
                narrow_f16(isa, &k[from], &mut key);
                let at = self.k_at(head, position + row, 0);
                for (to, from) in self.k[at..].iter_mut().step_by(TILE).zip(&key) {
                    *to = *from;
                }
            }
        }
    }

    /// The stored bits of a range of positions, for a snapshot: for each head, for each position its key and its
    /// value, `head_dim` little-endian f16 each. The bytes do not depend on the capacity.
    ///
    /// # Panics
    /// If the range passes the capacity.
    pub fn export(&self, range: Range<usize>) -> Vec<u8> {
        assert!(range.start <= range.end && range.end <= self.capacity, "positions {range:?} of {}", self.capacity);
        let mut bytes = Vec::with_capacity(range.len() * self.bytes_per_position());
        for head in 0..self.n_kv_heads {
            for position in range.clone() {
                for dim in 0..self.head_dim {
                    bytes.extend_from_slice(&self.k[self.k_at(head, position, dim)].to_le_bytes());
                }
                let at = self.v_at(head, position);
                for v in &self.v[at..at + self.head_dim] {
                    bytes.extend_from_slice(&v.to_le_bytes());
                }
            }
        }
        bytes
    }

    /// Restores what [`export`](Self::export) gave, into the positions of `range`, bit by bit.
    ///
    /// # Errors
    /// [`ShapeError`] if the range passes the capacity or the bytes are not of its size; nothing is changed then.
    pub fn import(&mut self, range: Range<usize>, bytes: &[u8]) -> Result<(), ShapeError> {
        if range.start > range.end || range.end > self.capacity {
            return Err(ShapeError::Length { expected: self.capacity, found: range.end });
        }
        check_length(range.len() * self.bytes_per_position(), bytes.len())?;
        let mut bits = bytes.as_chunks::<2>().0.iter().map(|raw| u16::from_le_bytes(*raw));
        for head in 0..self.n_kv_heads {
            for position in range.clone() {
                let at = self.k_at(head, position, 0);
                for (to, from) in self.k[at..].iter_mut().step_by(TILE).zip(bits.by_ref().take(self.head_dim)) {
                    *to = from;
                }
                let at = self.v_at(head, position);
                for (to, from) in self.v[at..at + self.head_dim].iter_mut().zip(&mut bits) {
                    *to = from;
                }
            }
        }
        Ok(())
    }
}
