//! CPU kernels: quantized matmul, attention, norms. The only home of SIMD.
