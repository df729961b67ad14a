#!/usr/bin/env python3
"""Copies a GGUF file with every tensor dequantized to f32: `dequantize.py IN.gguf OUT.gguf`.

Run through llama.cpp with an f32 KV cache, the copy checks the f32 reference pass (`--check` of `make_logits.py`):
the two share nothing but the weights, so where they agree both read the file right.
"""

from __future__ import annotations

import sys
from pathlib import Path

import gguf
import numpy as np


def dequantized_copy(source: Path, target: Path) -> None:
    """Writes the copy; metadata other than the file type is kept as it is."""
    reader = gguf.GGUFReader(source)
    arch = reader.get_field("general.architecture").contents()
    writer = gguf.GGUFWriter(target, arch)
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type"):
            continue
        kind = field.types[0]
        element = field.types[-1] if kind == gguf.GGUFValueType.ARRAY else None
        writer.add_key_value(name, field.contents(), kind, sub_type=element)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    for tensor in reader.tensors:
        data = gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        writer.add_tensor(tensor.name, data, raw_shape=[int(n) for n in reversed(tensor.shape)])
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    dequantized_copy(Path(sys.argv[1]), Path(sys.argv[2]))
