//! Does a device compute what the CPU computes? The operations a decoder is made of, on numbers of its size.

use candle_core::quantized::{GgmlDType, QMatMul, QStorage, QTensor};
use candle_core::{Device, Module, Tensor};
use candle_nn::ops::{rms_norm, silu, softmax_last_dim};
use candle_nn::rotary_emb::rope;

use crate::Result;

/// Rows and columns of the products: one superblock.
const SIZE: usize = 256;
/// How far a value may be off, as a part of the largest: devices add in other orders and round products to f16.
const TOLERANCE: f32 = 0.01;

/// Whether quantized products of one row and of many, a norm, a softmax, a gate and rotary positions on `device` are
/// near those of the CPU.
///
/// # Errors
/// What the device gives.
pub(super) fn agrees_with_cpu(device: &Device) -> Result<bool> {
    for format in [GgmlDType::Q4_0, GgmlDType::Q8_0, GgmlDType::Q4K, GgmlDType::Q6K] {
        let weight = QTensor::quantize(&wave(SIZE, 1.7, &Device::Cpu)?, format)?;
        let there = QStorage::from_data(weight.data()?, device, format)?;
        let there = QMatMul::from_qtensor(QTensor::new(there, (SIZE, SIZE))?)?;
        let here = QMatMul::from_qtensor(weight)?;
        for rows in [1, 40] {
            if !alike(device, |on| if on.is_cpu() { &here } else { &there }.forward(&wave(rows, 0.9, on)?))? {
                return Ok(false);
            }
        }
    }
    let small = |on: &Device| wave(24, 0.3, on);
    Ok(alike(device, |on| rms_norm(&small(on)?, &wave(1, 0.5, on)?.squeeze(0)?, 1e-6))?
        && alike(device, |on| softmax_last_dim(&small(on)?))?
        && alike(device, |on| silu(&small(on)?))?
        && alike(device, |on| {
            let heads = small(on)?.reshape((1, 4, 24, SIZE / 4))?;
            let angles = wave(3, 0.1, on)?.flatten_all()?.narrow(0, 0, 24 * SIZE / 8)?.reshape((24, SIZE / 8))?;
            rope(&heads, &angles.cos()?, &angles.sin()?)
        })?)
}

/// `(rows, SIZE)` numbers between -1 and 1 that repeat nowhere.
fn wave(rows: usize, step: f32, device: &Device) -> candle_core::Result<Tensor> {
    let values: Vec<f32> = (0..rows * SIZE).map(|i| (i as f32 * step).sin()).collect();
    Tensor::from_vec(values, (rows, SIZE), device)
}

/// Whether an operation gives the same on both.
fn alike(device: &Device, operation: impl Fn(&Device) -> candle_core::Result<Tensor>) -> candle_core::Result<bool> {
    let values = |on: &Device| operation(on)?.flatten_all()?.to_device(&Device::Cpu)?.to_vec1::<f32>();
    let (here, there) = (values(&Device::Cpu)?, values(device)?);
    let largest = here.iter().fold(0.0f32, |m, v| m.max(v.abs()));
    // NaN is near nothing.
    Ok(here.len() == there.len() && here.iter().zip(&there).all(|(a, b)| (a - b).abs() <= TOLERANCE * largest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cpu_agrees_with_itself() {
        assert!(agrees_with_cpu(&Device::Cpu).unwrap());
    }

    #[test]
    fn wrong_numbers_are_seen() {
        // A tensor that differs from call to call stands for a device that differs from the CPU.
        let calls = std::cell::Cell::new(0);
        let operation = |on: &Device| {
            calls.set(calls.get() + 1);
            wave(2, 0.1, on)?.affine(1.0 + 0.02 * f64::from(calls.get()), 0.0)
        };
        assert!(!alike(&Device::Cpu, operation).unwrap());
        let not_a_number = |on: &Device| wave(2, 0.1, on)?.affine(f64::NAN, 0.0);
        assert!(!alike(&Device::Cpu, not_a_number).unwrap());
    }
}
