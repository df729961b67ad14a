//! The tensor formats of GGUF files that the kernels read.

/// How a weight's values are stored; names and sizes are ggml's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// IEEE single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper half of an IEEE single.
    BF16,
    /// 32 values of 4 bits around 8, one f16 scale.
    Q4_0,
    /// 32 values of 4 bits, f16 scale and minimum.
    Q4_1,
    /// 32 values of 5 bits around 16, one f16 scale.
    Q5_0,
    /// 32 values of 5 bits, f16 scale and minimum.
    Q5_1,
    /// 32 values of 8 bits, one f16 scale.
    Q8_0,
    /// 256 values of 2 bits, 16 scales and minima of 4 bits.
    Q2K,
    /// 256 values of 3 bits, 16 scales of 6 bits.
    Q3K,
    /// 256 values of 4 bits, 8 scales and minima of 6 bits.
    Q4K,
    /// 256 values of 5 bits, 8 scales and minima of 6 bits.
    Q5K,
    /// 256 values of 6 bits, 16 scales of 8 bits.
    Q6K,
}

impl Format {
    /// Every format, in the order of their ggml numbers.
    pub const ALL: [Self; 13] = [
        Self::F32,
        Self::F16,
        Self::Q4_0,
        Self::Q4_1,
        Self::Q5_0,
        Self::Q5_1,
        Self::Q8_0,
        Self::Q2K,
        Self::Q3K,
        Self::Q4K,
        Self::Q5K,
        Self::Q6K,
        Self::BF16,
    ];

    /// The format with this number in a GGUF tensor description; `None` for those the kernels do not read.
    pub fn from_ggml(id: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.ggml_id() == id)
    }

    /// The format's number in a GGUF tensor description.
    pub fn ggml_id(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q4_0 => 2,
            Self::Q4_1 => 3,
            Self::Q5_0 => 6,
            Self::Q5_1 => 7,
            Self::Q8_0 => 8,
            Self::Q2K => 10,
            Self::Q3K => 11,
            Self::Q4K => 12,
            Self::Q5K => 13,
            Self::Q6K => 14,
            Self::BF16 => 30,
        }
    }

    /// The name ggml prints, such as `Q4_K`.
    pub fn name(self) -> &'static str {
        match self {
            Self::F32 => "F32",
            Self::F16 => "F16",
            Self::BF16 => "BF16",
            Self::Q4_0 => "Q4_0",
            Self::Q4_1 => "Q4_1",
            Self::Q5_0 => "Q5_0",
            Self::Q5_1 => "Q5_1",
            Self::Q8_0 => "Q8_0",
            Self::Q2K => "Q2_K",
            Self::Q3K => "Q3_K",
            Self::Q4K => "Q4_K",
            Self::Q5K => "Q5_K",
            Self::Q6K => "Q6_K",
        }
    }

    /// Values in one block: 1, 32 or 256. A row is a whole number of blocks.
    pub fn block_len(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::BF16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => 32,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => 256,
        }
    }

    /// Bytes of one block.
    pub fn block_bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::BF16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// Bytes of one row of `cols` values; `None` if that is no whole number of blocks or overflows.
    pub fn row_bytes(self, cols: usize) -> Option<usize> {
        if !cols.is_multiple_of(self.block_len()) {
            return None;
        }
        (cols / self.block_len()).checked_mul(self.block_bytes())
    }

    /// Whether values are plain floats, multiplied in f32 and never through the 8-bit activations.
    pub fn is_float(self) -> bool {
        self.block_len() == 1
    }

    /// Whether a value is `scale * q + minimum` rather than `scale * q`.
    pub(crate) fn has_min(self) -> bool {
        matches!(self, Self::Q4_1 | Self::Q5_1 | Self::Q2K | Self::Q4K | Self::Q5K)
    }

    /// Whether each 16 values, rather than each 32, have a scale of their own.
    pub(crate) fn has_groups_of_16(self) -> bool {
        matches!(self, Self::Q2K | Self::Q3K | Self::Q6K)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ggml_numbers_round_trip() {
        for format in Format::ALL {
            assert_eq!(Format::from_ggml(format.ggml_id()), Some(format));
        }
        assert_eq!(Format::from_ggml(9), None);
        assert_eq!(Format::from_ggml(u32::MAX), None);
    }

    #[test]
    fn a_row_is_a_whole_number_of_blocks() {
        assert_eq!(Format::Q5_0.row_bytes(896), Some(616));
        assert_eq!(Format::Q4K.row_bytes(896), None);
        assert_eq!(Format::F32.row_bytes(usize::MAX), None);
    }
}
