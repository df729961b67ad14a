"""Tiny seeded models in the original PyTorch code, a tiny real tokenizer, and llama.cpp's converter.

Shared by `make_tiny.py` and `make_lora.py`.
"""

from __future__ import annotations

import importlib
import json
import logging
import os
import re
import runpy
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("TQDM_DISABLE", "1")

import numpy as np
import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[3] / "scripts/reference"))

# How each family splits text before byte-level BPE: the patterns of their published `tokenizer.json`. They differ in
# digits only: one at a time (Qwen), up to three (GLM-4 and Llama 3).
SPLIT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|DIGITS| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
DIGITS = {"qwen2": r"\p{N}", "glm4": r"\p{N}{1,3}", "llama-bpe": r"\p{N}{1,3}"}

# What the tokenizer learns its merges from and what the models read: our own sentences.
CORPUS = (
    "第三条 借款人应当按照约定的期限返还借款。借款人提前还款的,应当按照实际借款的期间计算利息。\n"
    "The borrower shall repay the loan within the agreed period. Interest is counted for the days used.\n"
) * 4
PROMPTS = ["借款人提前还款的,", "第三条 The borrower shall pay 120 yuan within 15 days.\n应当返还借款 🙂"]


def tokenizer(pre: str, vocab: int, specials: list[str], eos: str) -> PreTrainedTokenizerFast:
    """A byte-level BPE of `vocab` tokens, special ones included, trained on `CORPUS`."""
    inner = Tokenizer(models.BPE())
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(SPLIT.replace("DIGITS", DIGITS[pre])), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    inner.decoder = decoders.ByteLevel()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainer = trainers.BpeTrainer(vocab_size=vocab - len(specials), initial_alphabet=alphabet, show_progress=False)
    inner.train_from_iterator([CORPUS], trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=inner, eos_token=eos, clean_up_tokenization_spaces=False)
    fast.add_special_tokens({"additional_special_tokens": specials})
    if len(fast) != vocab:
        raise SystemExit(f"the tokenizer has {len(fast)} tokens instead of {vocab}: the corpus gives too few merges")
    return fast


def seeded(model: torch.nn.Module, seed: int) -> torch.nn.Module:
    """Fills every weight so that no part of the network can be left out unnoticed.

    Logits spread over several units, norms lie around one, biases are not zero; the values are f16-exact, so that
    the F32 file compresses well under version control.
    """
    made = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, weight in sorted(model.named_parameters()):
            noise = torch.randn(weight.shape, generator=made)
            if "norm" in name:
                value = 1.0 + 0.2 * noise
            elif name.endswith("bias"):
                value = 0.3 * noise
            elif "embed" in name or "lm_head" in name:
                value = 0.5 * noise
            else:
                value = noise / weight.shape[1] ** 0.5
            weight.copy_(value.half().float())
    return model.eval()


def save(model: torch.nn.Module, words: PreTrainedTokenizerFast, folder: Path) -> None:
    """The folder that llama.cpp's converter and PEFT read."""
    model.save_pretrained(folder, safe_serialization=True)
    words.save_pretrained(folder)


def use_llama_cpp(folder: Path) -> None:
    """Makes llama.cpp's converters, and the gguf package that belongs to them, importable; to be called first."""
    sys.path[:0] = [str(folder), str(folder / "gguf-py")]


def convert(llama_cpp: Path, folder: Path, target: Path, kind: str, pre: str) -> None:
    """llama.cpp's converter, with one change.

    It finds the pre-tokenizer by a hash of the token ids of a fixed text, which only the published vocabularies can
    match; so its `get_vocab_base_pre` is replaced by one that answers `pre`.
    """
    base = importlib.import_module("conversion.base")
    base.TextModel.get_vocab_base_pre = lambda self, tokenizer: pre
    name = target.name.split(".")[0]
    options = ["--outfile", str(target), "--outtype", kind, "--model-name", name]
    run(llama_cpp / "convert_hf_to_gguf.py", [str(folder), *options])


def run(script: Path, arguments: list[str]) -> None:
    """One of llama.cpp's scripts, in this process: importing torch anew would take longer than all of its work."""
    logging.disable(logging.INFO)
    before = sys.argv
    sys.argv = [str(script), *arguments]
    try:
        runpy.run_path(str(script), run_name="__main__")
    finally:
        sys.argv = before


def rounded_to_q8_0(model: torch.nn.Module, file: Path) -> None:
    """Rounds the weights in place as the Q8_0 file has them: its quantization runs along rows, in both layouts."""
    gguf = importlib.import_module("gguf")
    kinds = {t.tensor_type for t in gguf.GGUFReader(file).tensors if len(t.shape) == 2}
    if kinds != {gguf.GGMLQuantizationType.Q8_0}:
        raise SystemExit(f"{file.name}: matrices of other types than Q8_0: {kinds}")
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() == 2:
                raw = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q8_0)
                back = gguf.quants.dequantize(raw, gguf.GGMLQuantizationType.Q8_0)
                weight.copy_(torch.from_numpy(back))


def check_rounding(original: np.ndarray, file: Path, prompts: list[list[int]]) -> None:
    """Holds the rounded PyTorch model against llama.cpp over the file's weights in f32: no activation is rounded."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "f32.gguf"
        importlib.import_module("dequantize").dequantized_copy(file, copy)
        ggml = engines().LlamaCpp(copy, n_ctx=256, threads=1, kv_f32=True)
        off = np.abs(original - np.concatenate([ggml.logits(p) for p in prompts])).max()
        ggml.close()
    if off > 1e-3:
        raise SystemExit(f"{file.name}: the rounded weights differ from the file's, logits by {off}")


def rows(model: torch.nn.Module, prompts: list[list[int]]) -> np.ndarray:
    """Logits after every token of every prompt, one prompt after the other: `[tokens, vocab]`, f32."""
    with torch.inference_mode():
        return np.concatenate([model(torch.tensor([p])).logits[0].numpy() for p in prompts])


def llama_cpp_version(llama_cpp: Path) -> str:
    """Of the converter: the version of the gguf package beside it."""
    text = (llama_cpp / "gguf-py/pyproject.toml").read_text()
    return next(line.split('"')[1] for line in text.splitlines() if line.startswith("version"))


def write_json(path: Path, value: dict) -> None:
    """Indented, with each list of numbers or words on one line."""
    text = json.dumps(value, ensure_ascii=False, indent=1)
    text = re.sub(r"\[[^\[\]{}]*\]", lambda m: re.sub(r"\s+", " ", m[0]), text)
    path.write_text(text + "\n", encoding="utf-8")


def engines():
    """`scripts/reference/engines.py`, imported late: it needs the built llama.cpp."""
    return importlib.import_module("engines")
