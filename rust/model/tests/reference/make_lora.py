#!/usr/bin/env python3
"""Makes `lora/`: tiny Llama and Qwen2 models, LoRA adapters trained by nobody, and what PEFT makes of them.

    make_lora.py --llama-cpp FOLDER [--out FOLDER]

FOLDER is llama.cpp's source, for its converters. Per family (`llama`, `qwen2`), with seeded weights:

* `tiny-<family>.{f32,q8_0}.gguf`: two layers, hidden size 64, four heads of 16 over two key/value heads, tied head
* `<family>-all.gguf`: rank 4, alpha 8, on all seven linear layers; `<family>-qv.gguf`: rank 8, alpha 4, on q and v
* `<family>.json`: versions, `prompts` [{"text", "tokens"}], `adapters` [{"name", "rank", "alpha", "targets"}] and the
  greatest difference between the two implementations per file and adapter
* `<family>.<kind>.<base|all|qv>.{f32,llama_cpp}.npy`: logits after every token of every prompt, [tokens, 288] f32;
  `f32` is PEFT over the PyTorch model (for q8_0: over the rounded weights), `llama_cpp` ggml with an f32 KV cache
* `peft/<family>-qv/`: the same adapter as PEFT saves it, for the reading of that format

Llama's converter reorders the rows of q and k (and so of their B matrices); an adapter applied without that reorder
fails the `all` files of the Llama family.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from pathlib import Path

import numpy as np
import tiny_models as tiny
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import LlamaConfig, LlamaForCausalLM, Qwen2Config, Qwen2ForCausalLM

VOCAB = 288
SHAPE = {
    "vocab_size": VOCAB,
    "hidden_size": 64,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "rms_norm_eps": 1e-5,
    "tie_word_embeddings": True,
    "attn_implementation": "eager",
}
ALL = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
ADAPTERS = [("all", 4, 8, ALL), ("qv", 8, 4, ["q_proj", "v_proj"])]


def llama():
    words = tiny.tokenizer("llama-bpe", VOCAB, ["<|begin|>", "<|end|>"], "<|end|>")
    ids = words.convert_tokens_to_ids
    config = LlamaConfig(**SHAPE, rope_theta=10_000.0, bos_token_id=ids("<|begin|>"), eos_token_id=ids("<|end|>"))
    return tiny.seeded(LlamaForCausalLM(config), 5), words, "llama-bpe"


def qwen2():
    words = tiny.tokenizer("qwen2", VOCAB, ["<|endoftext|>", "<|im_end|>"], "<|im_end|>")
    ids = words.convert_tokens_to_ids
    config = Qwen2Config(
        **SHAPE, rope_theta=1_000_000.0, bos_token_id=ids("<|endoftext|>"), eos_token_id=ids("<|im_end|>")
    )
    return tiny.seeded(Qwen2ForCausalLM(config), 6), words, "qwen2"


def make_adapters(folder: Path, work: Path, family: str, seed: int) -> None:
    """Saves each adapter under `work/<name>`, A and B both random: a fresh B is zero and would show nothing."""
    from transformers import AutoModelForCausalLM

    for i, (name, rank, alpha, targets) in enumerate(ADAPTERS):
        base = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
        model = get_peft_model(base, LoraConfig(r=rank, lora_alpha=alpha, target_modules=targets, task_type="CAUSAL_LM"))
        made = torch.Generator().manual_seed(100 * seed + i)
        with torch.no_grad():
            for key, weight in sorted(model.named_parameters()):
                if "lora_" in key:
                    noise = torch.randn(weight.shape, generator=made)
                    weight.copy_((noise * (0.7 / weight.shape[1] ** 0.5)).half().float())
        model.save_pretrained(work / name)
        (work / name / "README.md").unlink()  # the converter would copy this machine's paths from it
        config = work / name / "adapter_config.json"
        config.write_text(config.read_text().replace(str(folder), f"tiny-{family}") + "\n")


def convert_adapter(llama_cpp: Path, base: Path, adapter: Path, target: Path) -> None:
    options = ["--base", str(base), "--outtype", "f32", "--outfile", str(target), str(adapter)]
    tiny.run(llama_cpp / "convert_lora_to_gguf.py", options)


def compare(out: Path, stem: str, original: np.ndarray, theirs: np.ndarray) -> dict:
    np.save(out / f"{stem}.f32.npy", original)
    np.save(out / f"{stem}.llama_cpp.npy", theirs)
    off = float(np.abs(original - theirs).max())
    print(f"{stem}: difference {off:.2e}, spread {original.std():.2f}")
    return {"max_abs_difference": off, "standard_deviation_of_logits": float(original.std())}


def make(family: str, build, seed: int, llama_cpp: Path, out: Path) -> None:
    engines = tiny.engines()
    model, words, pre = build()
    prompts = [words.encode(text) for text in tiny.PROMPTS]
    found = {}
    with tempfile.TemporaryDirectory() as place:
        folder, work = Path(place) / "base", Path(place) / "adapters"
        tiny.save(model, words, folder)
        make_adapters(folder, work, family, seed)
        for name, *_ in ADAPTERS:
            convert_adapter(llama_cpp, folder, work / name, out / f"{family}-{name}.gguf")
        for kind in ("f32", "q8_0"):
            file = out / f"tiny-{family}.{kind}.gguf"
            tiny.convert(llama_cpp, folder, file, kind, pre)
            if kind == "q8_0":
                tiny.rounded_to_q8_0(model, file)
            originals = {"base": tiny.rows(model, prompts)}
            if kind == "q8_0":
                tiny.check_rounding(originals["base"], file, prompts)
            for name, *_ in ADAPTERS:
                wrapped = PeftModel.from_pretrained(model, work / name).eval()
                originals[name] = tiny.rows(wrapped, prompts)
                model = wrapped.unload()
            for name, original in originals.items():
                ggml = engines.LlamaCpp(file, n_ctx=256, threads=1, kv_f32=True)
                if name == "base" and [ggml.tokenize(t, False) for t in tiny.PROMPTS] != prompts:
                    raise SystemExit(f"{family}: the two tokenizers differ")
                if name != "base":
                    ggml.set_adapter(out / f"{family}-{name}.gguf")
                theirs = np.concatenate([ggml.logits(p) for p in prompts])
                found[f"{kind}.{name}"] = compare(out, f"{family}.{kind}.{name}", original, theirs)
                ggml.close()
        saved = out / "peft" / f"{family}-qv"
        saved.mkdir(parents=True, exist_ok=True)
        for part in ("adapter_config.json", "adapter_model.safetensors"):
            shutil.copy(work / "qv" / part, saved / part)
    versions = engines.versions("llama-cpp-python", "transformers", "tokenizers", "peft", "torch", "gguf", "numpy")
    tiny.write_json(
        out / f"{family}.json",
        {
            "versions": versions | {"converter": "llama.cpp, gguf-py " + tiny.llama_cpp_version(llama_cpp)},
            "prompts": [{"text": t, "tokens": p} for t, p in zip(tiny.PROMPTS, prompts)],
            "adapters": [{"name": n, "rank": r, "alpha": a, "targets": t} for n, r, a, t in ADAPTERS],
            "files": found,
        },
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--llama-cpp", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("--out", type=Path, default=tiny.HERE / "lora", help="default: `lora` beside the script")
    args = parser.parse_args()
    tiny.use_llama_cpp(args.llama_cpp.resolve())
    args.out.mkdir(parents=True, exist_ok=True)
    for family, build, seed in (("llama", llama, 5), ("qwen2", qwen2, 6)):
        make(family, build, seed, args.llama_cpp.resolve(), args.out)


if __name__ == "__main__":
    main()
