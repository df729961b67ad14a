//! Writing GGUF files: just enough of the format for tests, independent of the crate under test.
//!
//! Format: <https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>; block formats after ggml's
//! `ggml-common.h` (32 values per block, an f16 scale, then the codes).

use half::f16;

const ALIGNMENT: usize = 32;

/// How the numbers of a tensor are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TensorFormat {
    /// 32-bit floats.
    F32,
    /// 16-bit floats.
    F16,
    /// 8-bit codes, one f16 scale per 32 values.
    Q8_0,
    /// 5-bit codes (a nibble and a plane of high bits), one f16 scale per 32 values.
    Q5_0,
}

impl TensorFormat {
    fn code(self) -> u32 {
        match self {
            Self::F32 => 0,
            Self::F16 => 1,
            Self::Q5_0 => 6,
            Self::Q8_0 => 8,
        }
    }

    fn encode(self, values: &[f32]) -> Vec<u8> {
        match self {
            Self::F32 => values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            Self::F16 => values.iter().flat_map(|v| f16::from_f32(*v).to_le_bytes()).collect(),
            Self::Q8_0 => values.chunks(32).flat_map(encode_q8_0).collect(),
            Self::Q5_0 => values.chunks(32).flat_map(encode_q5_0).collect(),
        }
    }
}

fn encode_q8_0(block: &[f32]) -> Vec<u8> {
    let largest = block.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    let scale = f16::from_f32(largest / 127.0);
    let inverse = if scale.to_f32() == 0.0 { 0.0 } else { 1.0 / scale.to_f32() };
    let mut out = scale.to_le_bytes().to_vec();
    out.extend(block.iter().map(|v| (v * inverse).round_ties_even().clamp(-127.0, 127.0) as i8 as u8));
    out
}

fn encode_q5_0(block: &[f32]) -> Vec<u8> {
    let largest = block.iter().fold(0.0f32, |m, v| if v.abs() > m.abs() { *v } else { m });
    let scale = f16::from_f32(largest / -16.0);
    let inverse = if scale.to_f32() == 0.0 { 0.0 } else { 1.0 / scale.to_f32() };
    let codes: Vec<u8> = block.iter().map(|v| (v * inverse + 16.0).round_ties_even().clamp(0.0, 31.0) as u8).collect();
    let high = codes.iter().enumerate().fold(0u32, |bits, (i, c)| bits | (u32::from(c >> 4) << i));
    let mut out = scale.to_le_bytes().to_vec();
    out.extend(high.to_le_bytes());
    out.extend((0..16).map(|i| (codes[i] & 15) | (codes[i + 16] << 4)));
    out
}

/// Collects metadata and tensors, in order, and lays them out as one GGUF file of version 3.
///
/// A key given again takes the place of the first, so that a test can make a good file wrong in one point.
/// Tensors are taken as they come, twice too.
#[derive(Clone, Debug, Default)]
pub struct GgufEmitter {
    /// Key, and its type and value as they stand in the file.
    keys: Vec<(String, Vec<u8>)>,
    n_tensors: u64,
    infos: Vec<u8>,
    data: Vec<u8>,
}

impl GgufEmitter {
    /// An empty file.
    pub fn new() -> Self {
        Self::default()
    }

    fn set(&mut self, key: &str, kind: u32, value: &[u8]) -> &mut Self {
        let bytes = [&kind.to_le_bytes(), value].concat();
        match self.keys.iter_mut().find(|(known, _)| known == key) {
            Some((_, known)) => *known = bytes,
            None => self.keys.push((key.to_owned(), bytes)),
        }
        self
    }

    /// Takes a key out again.
    pub fn remove(&mut self, key: &str) -> &mut Self {
        self.keys.retain(|(known, _)| known != key);
        self
    }

    /// Sets a u32.
    pub fn u32(&mut self, key: &str, value: u32) -> &mut Self {
        self.set(key, 4, &value.to_le_bytes())
    }

    /// Sets an f32.
    pub fn f32(&mut self, key: &str, value: f32) -> &mut Self {
        self.set(key, 6, &value.to_le_bytes())
    }

    /// Sets a truth value.
    pub fn bool(&mut self, key: &str, value: bool) -> &mut Self {
        self.set(key, 7, &[u8::from(value)])
    }

    /// Sets a string.
    pub fn str(&mut self, key: &str, value: &str) -> &mut Self {
        let mut bytes = Vec::new();
        put_str(&mut bytes, value);
        self.set(key, 8, &bytes)
    }

    /// Sets an array of strings.
    pub fn strs(&mut self, key: &str, values: &[String]) -> &mut Self {
        let mut bytes = array_head(8, values.len());
        for value in values {
            put_str(&mut bytes, value);
        }
        self.set(key, 9, &bytes)
    }

    /// Sets an array of i32.
    pub fn i32s(&mut self, key: &str, values: &[i32]) -> &mut Self {
        let mut bytes = array_head(5, values.len());
        bytes.extend(values.iter().flat_map(|v| v.to_le_bytes()));
        self.set(key, 9, &bytes)
    }

    /// Adds a tensor; `shape` in GGUF order, the fastest dimension (columns) first.
    ///
    /// # Panics
    /// If the shape does not hold `values`, or a block format meets columns that are no multiple of 32.
    pub fn tensor(&mut self, name: &str, shape: &[usize], format: TensorFormat, values: &[f32]) -> &mut Self {
        assert_eq!(shape.iter().product::<usize>(), values.len(), "{name}: shape and values differ");
        if matches!(format, TensorFormat::Q8_0 | TensorFormat::Q5_0) {
            assert_eq!(shape[0] % 32, 0, "{name}: columns are no multiple of 32");
        }
        self.n_tensors += 1;
        put_str(&mut self.infos, name);
        self.infos.extend((shape.len() as u32).to_le_bytes());
        self.infos.extend(shape.iter().flat_map(|d| (*d as u64).to_le_bytes()));
        self.infos.extend(format.code().to_le_bytes());
        self.infos.extend((self.data.len() as u64).to_le_bytes());
        self.data.extend(format.encode(values));
        pad(&mut self.data);
        self
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = b"GGUF".to_vec();
        out.extend(3u32.to_le_bytes());
        out.extend(self.n_tensors.to_le_bytes());
        out.extend((self.keys.len() as u64).to_le_bytes());
        for (key, value) in &self.keys {
            put_str(&mut out, key);
            out.extend(value);
        }
        out.extend(&self.infos);
        pad(&mut out);
        out.extend(&self.data);
        out
    }
}

/// Element type and length of an array.
fn array_head(kind: u32, len: usize) -> Vec<u8> {
    [&kind.to_le_bytes()[..], &(len as u64).to_le_bytes()].concat()
}

fn put_str(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

fn pad(out: &mut Vec<u8>) {
    out.resize(out.len().next_multiple_of(ALIGNMENT), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn block_formats_keep_values_within_half_a_step() {
        let values: Vec<f32> = (0..32).map(|i| (i as f32 - 15.0) / 16.0).collect();
        let bytes = TensorFormat::Q8_0.encode(&values);
        assert_eq!(bytes.len(), 34);
        let scale = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        for (i, value) in values.iter().enumerate() {
            // Half a step of rounding, and the scale itself was rounded to f16 (2⁻¹¹ relative).
            assert!((scale * f32::from(bytes[2 + i] as i8) - value).abs() <= scale * 0.6);
        }
        let bytes = TensorFormat::Q5_0.encode(&values);
        assert_eq!(bytes.len(), 22);
        let scale = f16::from_le_bytes([bytes[0], bytes[1]]).to_f32();
        let high = u32::from_le_bytes([bytes[2], bytes[3], bytes[4], bytes[5]]);
        for (i, value) in values.iter().enumerate() {
            let nibble = if i < 16 { bytes[6 + i] & 15 } else { bytes[6 + i - 16] >> 4 };
            let code = i32::from(nibble) | (((high >> i) & 1) << 4) as i32;
            // The step opposite to the largest value can be cut off at code 31: a whole step there.
            assert!((scale * (code - 16) as f32 - value).abs() <= scale.abs() * 1.05, "{i}");
        }
    }
}
