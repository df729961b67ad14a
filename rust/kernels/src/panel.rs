//! Weight rows unpacked for the matrix shape: bytes and f32 scales, in the order the register tiles read them.

/// Rows of one panel.
pub(crate) const ROWS: usize = 32;
/// Bytes of 32 columns of a panel.
const CHUNK_BYTES: usize = ROWS * 32;

/// A buffer whose start lies on a cache line.
#[repr(C, align(64))]
#[derive(Clone, Copy)]
pub(crate) struct Line(pub(crate) [u8; 64]);

/// 32 rows of a weight in the order of the tiles.
///
/// For each 32 columns and each tile of `L` rows: `q` has 8 vectors, vector `i` holding columns `4 i ..` of row after
/// row, 4 bytes each; `scale`, `min` and `bias` have a vector of `L` values for each group of 16 or 32 columns.
#[derive(Default)]
pub(crate) struct Panel {
    pub(crate) q: Vec<Line>,
    pub(crate) scale: Vec<Line>,
    pub(crate) min: Vec<Line>,
    /// What the unsigned form of the activations adds to each dot product, negated: `-128 * sum(q)`.
    pub(crate) bias: Vec<Line>,
}

impl Panel {
    /// Makes room for `chunks` times 32 columns with `groups` scales each.
    pub(crate) fn resize(&mut self, chunks: usize, groups: usize) {
        let grow = |lines: &mut Vec<Line>, bytes: usize| {
            let len = bytes / 64;
            if lines.len() < len {
                lines.resize(len, Line([0; 64]));
            }
        };
        grow(&mut self.q, chunks * CHUNK_BYTES);
        for side in [&mut self.scale, &mut self.min, &mut self.bias] {
            grow(side, chunks * groups * ROWS * 4);
        }
    }
}
