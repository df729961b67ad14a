//! Known blocks: bytes with the values that the `gguf` Python package gives for them.

use super::*;

/// The fixture's records: a ggml number, bytes of blocks, their values. `tests/fixtures/blocks.py` wrote it.
fn records() -> Vec<(u32, &'static [u8], Vec<f32>)> {
    let mut rest: &'static [u8] = include_bytes!("../../tests/fixtures/blocks.bin");
    let mut records = Vec::new();
    while !rest.is_empty() {
        let (head, tail) = rest.split_at(12);
        let number = |i: usize| u32::from_le_bytes(head[4 * i..4 * i + 4].try_into().unwrap());
        let (blocks, tail) = tail.split_at(number(1) as usize);
        let (values, tail) = tail.split_at(4 * number(2) as usize);
        let values = values.as_chunks::<4>().0.iter().map(|raw| f32::from_le_bytes(*raw));
        records.push((number(0), blocks, values.collect()));
        rest = tail;
    }
    records
}

#[test]
fn known_blocks_have_their_known_values() {
    let mut seen = Vec::new();
    for (id, blocks, expected) in records() {
        let Some(format) = Format::from_ggml(id) else { continue };
        let mut found = vec![0.0; expected.len()];
        dequantize(format, blocks, &mut found).unwrap();
        for (i, (expected, found)) in expected.iter().zip(&found).enumerate() {
            // Equal as numbers: the package forms some minima by subtraction, which leaves another zero.
            assert_eq!(expected, found, "{format:?}, value {i}");
        }
        seen.push(format);
    }
    assert_eq!(seen.len(), Format::ALL.len() - 1, "every format but F32");
}

#[test]
fn quantizing_gives_the_reference_bytes() {
    let (_, blocks, values) = records().into_iter().find(|(id, _, _)| *id == 1000).unwrap();
    let mut found = vec![0; blocks.len()];
    quantize_q8_0(&values, &mut found).unwrap();
    assert_eq!(blocks, found);
}

#[test]
fn sizes_that_do_not_fit_are_errors() {
    let mut out = [0.0; 32];
    assert!(dequantize(Format::Q8_0, &[0; 33], &mut out).is_err());
    assert!(dequantize(Format::Q4K, &[0; 144], &mut out).is_err());
    assert!(quantize_q8_0(&[0.0; 31], &mut [0; 34]).is_err());
    assert!(quantize_q8_0(&[0.0; 32], &mut [0; 35]).is_err());
}
