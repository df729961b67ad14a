//! One layer's keys and values, stored as f16 or in 8 bits.

use crate::ThreadPool;
use crate::convert::{self, narrow_f16, widen_f16};
use crate::dispatch::Isa;
use crate::error::{ShapeError, check_length};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

/// Positions in one tile of keys.
pub(crate) const TILE: usize = 16;
/// Dimensions that share a scale in 8 bits.
pub(crate) const GROUP: usize = 32;
/// Tiles that one task writes.
const TILES_PER_TASK: usize = 4;

/// How keys and values are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KvType {
    /// f16; values beyond its range become its largest.
    #[default]
    F16,
    /// 8-bit integers, for each 32 dimensions of a position and head an f16 scale: the largest magnitude over 127, as
    /// in GGUF's Q8_0. A little more than half of the memory; an error of up to 1/254 of that magnitude.
    Q8,
}

/// The keys and values of one layer for a fixed number of positions.
///
/// The memory is asked for zeroed and touched only as positions are written, so capacity costs address space, not RAM.
///
/// Keys lie in tiles of 16 positions, within a tile one dimension after the other with its 16 positions side by side:
/// scores of 16 positions are then summed in the 16 lanes of a register. Values lie position after position. What is
/// read back is what was stored, exactly: an 8-bit integer times an f16 scale is an f32 without rounding.
#[derive(Clone, Debug)]
pub struct KvLayer {
    n_kv_heads: usize,
    head_dim: usize,
    capacity: usize,
    /// `capacity` rounded up to whole tiles.
    padded: usize,
    data: Data,
}

/// Keys are `(n_kv_heads, tiles, head_dim, TILE)`, values `(n_kv_heads, padded, head_dim)`. In 8 bits the scales of
/// keys are `(n_kv_heads, tiles, groups, TILE)`, those of values `(n_kv_heads, padded, groups)`. u16 are f16 bits.
#[derive(Clone, Debug)]
enum Data {
    F16 { k: Vec<u16>, v: Vec<u16> },
    Q8 { k: Vec<i8>, v: Vec<i8>, k_scales: Vec<u16>, v_scales: Vec<u16> },
}

/// Some keys or values as attention reads them, in the order of [`KvLayer`].
#[derive(Clone, Copy)]
pub(crate) enum Stored<'a> {
    /// As they are.
    F32(&'a [f32]),
    /// f16 bits.
    F16(&'a [u16]),
    /// Integers and widened scales.
    Q8(&'a [i8], &'a [f32]),
}

impl KvLayer {
    /// A cache for `capacity` positions.
    pub fn new(n_kv_heads: usize, head_dim: usize, capacity: usize, kv_type: KvType) -> Self {
        let padded = capacity.next_multiple_of(TILE);
        let len = n_kv_heads * head_dim * padded;
        // `vec![0; len]` of a primitive is one zeroed allocation, which the system backs with memory when touched.
        let data = match kv_type {
            KvType::F16 => Data::F16 { k: vec![0; len], v: vec![0; len] },
            KvType::Q8 => {
                let scales = n_kv_heads * head_dim.div_ceil(GROUP) * padded;
                Data::Q8 { k: vec![0; len], v: vec![0; len], k_scales: vec![0; scales], v_scales: vec![0; scales] }
            }
        };
        Self { n_kv_heads, head_dim, capacity, padded, data }
    }

    /// How keys and values are stored.
    pub fn kv_type(&self) -> KvType {
        match self.data {
            Data::F16 { .. } => KvType::F16,
            Data::Q8 { .. } => KvType::Q8,
        }
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
        self.padded * self.bytes_per_position()
    }

    /// Bytes [`export`](Self::export) gives for one position.
    pub fn bytes_per_position(&self) -> usize {
        let one = match self.data {
            Data::F16 { .. } => self.head_dim * size_of::<u16>(),
            Data::Q8 { .. } => self.head_dim + self.groups() * size_of::<u16>(),
        };
        self.n_kv_heads * 2 * one
    }

    /// Scales of one key or value.
    fn groups(&self) -> usize {
        self.head_dim.div_ceil(GROUP)
    }

    /// The keys of some positions of a head, in whole tiles, and their values. The scales of 8-bit ones are widened
    /// into `k_scales` and `v_scales`. `positions` start at a tile.
    pub(crate) fn stored<'a>(
        &'a self,
        isa: Isa,
        head: usize,
        positions: Range<usize>,
        k_scales: &'a mut Vec<f32>,
        v_scales: &'a mut Vec<f32>,
    ) -> (Stored<'a>, Stored<'a>) {
        let tiles = positions.start / TILE..positions.end.div_ceil(TILE);
        let keys = |per_position: usize| {
            let from = head * self.padded + tiles.start * TILE;
            from * per_position..(from + tiles.len() * TILE) * per_position
        };
        let values = |per_position: usize| {
            let from = head * self.padded + positions.start;
            from * per_position..(from + positions.len()) * per_position
        };
        match &self.data {
            Data::F16 { k, v } => (Stored::F16(&k[keys(self.head_dim)]), Stored::F16(&v[values(self.head_dim)])),
            Data::Q8 { k, v, k_scales: k_stored, v_scales: v_stored } => {
                let widened = |from: &[u16], to: &'a mut Vec<f32>| -> &'a [f32] {
                    to.resize(from.len(), 0.0);
                    widen_f16(isa, from, to);
                    to
                };
                let k_scales = widened(&k_stored[keys(self.groups())], k_scales);
                let v_scales = widened(&v_stored[values(self.groups())], v_scales);
                (Stored::Q8(&k[keys(self.head_dim)], k_scales), Stored::Q8(&v[values(self.head_dim)], v_scales))
            }
        }
    }

    /// Stores keys and values, `(rows, n_kv_heads * head_dim)` each; row `i` at `position + i`.
    ///
    /// # Panics
    /// If the sizes differ, are no whole rows, or pass the capacity.
    pub fn write(&mut self, pool: &ThreadPool, position: usize, k: &[f32], v: &[f32]) {
        let width = self.n_kv_heads * self.head_dim;
        assert!(width > 0 && k.len().is_multiple_of(width), "{} values in rows of {width}", k.len());
        assert_eq!(k.len(), v.len(), "keys and values of one size");
        let rows = k.len() / width;
        assert!(position + rows <= self.capacity, "position {} of {}", position + rows, self.capacity);
        let (head_dim, groups) = (self.head_dim, self.groups());
        let source = Source { k, v, width, head_dim, first: position, rows };
        let span = TILES_PER_TASK * TILE;
        // One span of one head is a task's; those without a row are left out.
        let tiles = self.padded / TILE;
        let spans = tiles.div_ceil(TILES_PER_TASK);
        let touched = position / span..(position + rows).div_ceil(span);
        let heads = 0..self.n_kv_heads;
        let parts: Vec<Mutex<Part<'_>>> = match &mut self.data {
            Data::F16 { k, v } => heads
                .zip(k.chunks_mut(self.padded * head_dim).zip(v.chunks_mut(self.padded * head_dim)))
                .flat_map(|(head, (k, v))| {
                    let parts = k.chunks_mut(span * head_dim).zip(v.chunks_mut(span * head_dim));
                    (0..spans)
                        .zip(parts)
                        .filter(|(i, _)| touched.contains(i))
                        .map(move |(i, (k, v))| Mutex::new(Part { head, start: i * span, to: To::F16 { k, v } }))
                        .collect::<Vec<_>>()
                })
                .collect(),
            Data::Q8 { k, v, k_scales, v_scales } => heads
                .zip(k.chunks_mut(self.padded * head_dim).zip(v.chunks_mut(self.padded * head_dim)))
                .zip(k_scales.chunks_mut(self.padded * groups).zip(v_scales.chunks_mut(self.padded * groups)))
                .flat_map(|((head, (k, v)), (k_scales, v_scales))| {
                    let parts = k.chunks_mut(span * head_dim).zip(v.chunks_mut(span * head_dim));
                    let scales = k_scales.chunks_mut(span * groups).zip(v_scales.chunks_mut(span * groups));
                    (0..spans)
                        .zip(parts.zip(scales))
                        .filter(|(i, _)| touched.contains(i))
                        .map(move |(i, ((k, v), (k_scales, v_scales)))| {
                            Mutex::new(Part { head, start: i * span, to: To::Q8 { k, v, k_scales, v_scales } })
                        })
                        .collect::<Vec<_>>()
                })
                .collect(),
        };
        let isa = Isa::detected();
        let one = |i: usize| parts[i].lock().unwrap_or_else(PoisonError::into_inner).write(isa, &source);
        if rows <= TILE {
            (0..parts.len()).for_each(one);
        } else {
            pool.run(parts.len(), &one);
        }
    }

    /// The stored bits of a range of positions, for a snapshot: for each head, for each position its key and its
    /// value, each `head_dim` little-endian f16, or `head_dim` integers and their f16 scales. The bytes do not depend
    /// on the capacity.
    ///
    /// # Panics
    /// If the range passes the capacity.
    pub fn export(&self, range: Range<usize>) -> Vec<u8> {
        assert!(range.start <= range.end && range.end <= self.capacity, "positions {range:?} of {}", self.capacity);
        let mut bytes = Vec::with_capacity(range.len() * self.bytes_per_position());
        let (head_dim, groups) = (self.head_dim, self.groups());
        for at in (0..self.n_kv_heads).flat_map(|head| range.clone().map(move |p| head * self.padded + p)) {
            match &self.data {
                Data::F16 { k, v } => {
                    let k = strided(k, at, head_dim).flat_map(|bits| bits.to_le_bytes());
                    bytes.extend(k);
                    bytes.extend(v[at * head_dim..][..head_dim].iter().flat_map(|bits| bits.to_le_bytes()));
                }
                Data::Q8 { k, v, k_scales, v_scales } => {
                    bytes.extend(strided(k, at, head_dim).map(|q| q.cast_unsigned()));
                    bytes.extend(strided(k_scales, at, groups).flat_map(|bits| bits.to_le_bytes()));
                    bytes.extend(v[at * head_dim..][..head_dim].iter().map(|q| q.cast_unsigned()));
                    bytes.extend(v_scales[at * groups..][..groups].iter().flat_map(|bits| bits.to_le_bytes()));
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
        let (head_dim, groups, padded) = (self.head_dim, self.groups(), self.padded);
        let mut rest = bytes;
        let mut take = |n: usize| {
            let (front, back) = rest.split_at(n);
            rest = back;
            front
        };
        for at in (0..self.n_kv_heads).flat_map(|head| range.clone().map(move |p| head * padded + p)) {
            match &mut self.data {
                Data::F16 { k, v } => {
                    copy(strided_mut(k, at, head_dim), halves(take(2 * head_dim)));
                    copy(v[at * head_dim..][..head_dim].iter_mut(), halves(take(2 * head_dim)));
                }
                Data::Q8 { k, v, k_scales, v_scales } => {
                    copy(strided_mut(k, at, head_dim), take(head_dim).iter().map(|q| q.cast_signed()));
                    copy(strided_mut(k_scales, at, groups), halves(take(2 * groups)));
                    copy(v[at * head_dim..][..head_dim].iter_mut(), take(head_dim).iter().map(|q| q.cast_signed()));
                    copy(v_scales[at * groups..][..groups].iter_mut(), halves(take(2 * groups)));
                }
            }
        }
        Ok(())
    }
}

/// What belongs to one position in an array of tiles, `per_position` values; `at` counts positions over all heads.
fn strided<T: Copy>(tiles: &[T], at: usize, per_position: usize) -> impl Iterator<Item = T> {
    tiles[at / TILE * TILE * per_position + at % TILE..].iter().step_by(TILE).take(per_position).copied()
}

fn strided_mut<T>(tiles: &mut [T], at: usize, per_position: usize) -> impl Iterator<Item = &mut T> {
    tiles[at / TILE * TILE * per_position + at % TILE..].iter_mut().step_by(TILE).take(per_position)
}

fn halves(bytes: &[u8]) -> impl Iterator<Item = u16> {
    bytes.as_chunks::<2>().0.iter().map(|raw| u16::from_le_bytes(*raw))
}

fn copy<'a, T: 'a>(to: impl Iterator<Item = &'a mut T>, from: impl Iterator<Item = T>) {
    for (to, from) in to.zip(from) {
        *to = from;
    }
}

/// The rows that are written.
struct Source<'a> {
    k: &'a [f32],
    v: &'a [f32],
    width: usize,
    head_dim: usize,
    first: usize,
    rows: usize,
}

/// A span of one head: `start` is its first position.
struct Part<'a> {
    head: usize,
    start: usize,
    to: To<'a>,
}

enum To<'a> {
    F16 { k: &'a mut [u16], v: &'a mut [u16] },
    Q8 { k: &'a mut [i8], v: &'a mut [i8], k_scales: &'a mut [u16], v_scales: &'a mut [u16] },
}

impl Part<'_> {
    fn write(&mut self, isa: Isa, from: &Source<'_>) {
        let Source { head_dim, width, first, rows, .. } = *from;
        let groups = head_dim.div_ceil(GROUP);
        let span = TILES_PER_TASK * TILE;
        let positions = self.start.max(first)..(self.start + span).min(first + rows);
        let (mut bits, mut q, mut scales) = (vec![0u16; head_dim], vec![0i8; head_dim], vec![0u16; groups]);
        for position in positions {
            let row = (position - first) * width + self.head * head_dim;
            let (key, value) = (&from.k[row..row + head_dim], &from.v[row..row + head_dim]);
            let at = position - self.start;
            match &mut self.to {
                To::F16 { k, v } => {
                    narrow_f16(isa, value, &mut v[at * head_dim..][..head_dim]);
                    narrow_f16(isa, key, &mut bits);
                    copy(strided_mut(k, at, head_dim), bits.iter().copied());
                }
                To::Q8 { k, v, k_scales, v_scales } => {
                    let v_scales = &mut v_scales[at * groups..][..groups];
                    convert::quantize_groups(isa, value, GROUP, &mut v[at * head_dim..][..head_dim], v_scales);
                    convert::quantize_groups(isa, key, GROUP, &mut q, &mut scales);
                    copy(strided_mut(k, at, head_dim), q.iter().copied());
                    copy(strided_mut(k_scales, at, groups), scales.iter().copied());
                }
            }
        }
    }
}
