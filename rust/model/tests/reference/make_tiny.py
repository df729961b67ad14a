#!/usr/bin/env python3
"""Makes `tiny-<family>.{f32,q8_0}.gguf` (Qwen3 and GLM-4) and their reference logits.

    make_tiny.py --llama-cpp FOLDER [--out FOLDER]

FOLDER is llama.cpp's source (in the sdist of llama-cpp-python: `vendor/llama.cpp`), for its converter. Two layers,
hidden size 64, four heads of 32 over two key/value heads, seeded weights (`tiny_models.py`), a byte-level BPE of 320
tokens with merges of its own. Qwen3 has q/k norms and a tied head, GLM-4 biases, a rotation of half of each head, norms
after attention and MLP, and a head of its own.

`tiny-<family>.json`: versions, `prompts` [{"text", "tokens"}], and per file the greatest difference between the two
implementations. `tiny-<family>.<kind>.f32.npy` and `….llama_cpp.npy`: logits after every token of every prompt, one
prompt after the other, [tokens, 320] f32. `f32` is the PyTorch model (for q8_0: over the rounded weights), `llama_cpp`
ggml with an f32 KV cache and without flash attention.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np
import tiny_models as tiny
from transformers import Glm4Config, Glm4ForCausalLM, Qwen3Config, Qwen3ForCausalLM

VOCAB = 320
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "max_position_embeddings": 512,
    "attn_implementation": "eager",
}


def qwen3():
    words = tiny.tokenizer("qwen2", VOCAB, ["<|endoftext|>", "<|im_start|>", "<|im_end|>"], "<|im_end|>")
    ids = words.convert_tokens_to_ids
    config = Qwen3Config(
        **SHAPE,
        rope_theta=1_000_000.0,
        rms_norm_eps=1e-6,
        tie_word_embeddings=True,
        bos_token_id=ids("<|endoftext|>"),
        eos_token_id=ids("<|im_end|>"),
    )
    return tiny.seeded(Qwen3ForCausalLM(config), 3), words, "qwen2"


def glm4():
    names = ["<|endoftext|>", "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>"]
    words = tiny.tokenizer("glm4", VOCAB, names, "<|endoftext|>")
    config = Glm4Config(
        **SHAPE,
        rope_theta=10_000.0,
        rms_norm_eps=1e-5,
        partial_rotary_factor=0.5,
        attention_bias=True,
        tie_word_embeddings=False,
        pad_token_id=words.convert_tokens_to_ids("<|endoftext|>"),
        eos_token_id=words.convert_tokens_to_ids(["<|endoftext|>", "<|user|>"]),
    )
    return tiny.seeded(Glm4ForCausalLM(config), 4), words, "glm4"


def make(family: str, build, llama_cpp: Path, out: Path) -> None:
    engines = tiny.engines()
    model, words, pre = build()
    prompts = [words.encode(text) for text in tiny.PROMPTS]
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        tiny.save(model, words, Path(folder))
        for kind in ("f32", "q8_0"):
            file = out / f"tiny-{family}.{kind}.gguf"
            tiny.convert(llama_cpp, Path(folder), file, kind, pre)
            if kind == "q8_0":
                tiny.rounded_to_q8_0(model, file)
            original = tiny.rows(model, prompts)
            if kind == "q8_0":
                tiny.check_rounding(original, file, prompts)
            ggml = engines.LlamaCpp(file, n_ctx=256, threads=1, kv_f32=True)
            again = [ggml.tokenize(text, False) for text in tiny.PROMPTS]
            if again != prompts:
                raise SystemExit(f"{family}: the two tokenizers differ: {prompts} and {again}")
            theirs = np.concatenate([ggml.logits(p) for p in prompts])
            ggml.close()
            off, spread = float(np.abs(original - theirs).max()), float(original.std())
            np.save(out / f"tiny-{family}.{kind}.f32.npy", original)
            np.save(out / f"tiny-{family}.{kind}.llama_cpp.npy", theirs)
            found[kind] = {"max_abs_difference": off, "standard_deviation_of_logits": spread}
            print(f"tiny-{family}.{kind}: {file.stat().st_size} bytes, difference {off:.2e}, spread {spread:.2f}")
    versions = engines.versions("llama-cpp-python", "transformers", "tokenizers", "torch", "gguf", "numpy")
    tiny.write_json(
        out / f"tiny-{family}.json",
        {
            "versions": versions | {"converter": "llama.cpp, gguf-py " + tiny.llama_cpp_version(llama_cpp)},
            "prompts": [{"text": t, "tokens": p} for t, p in zip(tiny.PROMPTS, prompts)],
            "files": found,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=tiny.HERE, help="default: the script's own folder")
    args = parser.parse_args()
    tiny.use_llama_cpp(args.llama_cpp.resolve())
    for family, build in (("qwen3", qwen3), ("glm4", glm4)):
        make(family, build, args.llama_cpp.resolve(), args.out)


if __name__ == "__main__":
    main()
