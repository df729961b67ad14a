#!/usr/bin/env python3
"""Writes the reference embeddings that tests/embed_reference.rs compares with.

    python make_embeddings.py --out . --minilm DIR --gemma DIR     # real models, when their folders are there
    python make_embeddings.py --out . --tiny                       # the seeded fixtures tiny_*/ and their vectors

Needs sentence-transformers, torch, sentencepiece, numpy. The vectors are what sentence-transformers gives in float32 on
the CPU for `prompt + text`, stored as little-endian float16, one row per entry of embedding_texts.json
(`<name>.f16`). The models are the unchanged originals; the tiny ones are random with a fixed seed and exist to
exercise code paths: their vectors mean nothing.
"""

import argparse
import json
import shutil
import struct
import tempfile
from pathlib import Path

import numpy as np
import torch

HERE = Path(__file__).parent


def texts():
    entries = json.loads((HERE / "embedding_texts.json").read_text(encoding="utf-8"))
    for entry in entries:
        entry["text"] = entry["text"] * entry.get("repeat", 1)
    return entries


def with_prompt(entry, query_prompt, document_prompt):
    """`document_prompt` may hold `{title}`; without it a title stands on a line of its own before the text."""
    if entry["kind"] == "query":
        return query_prompt + entry["text"]
    title = entry.get("title")
    if "{title}" in document_prompt:
        return document_prompt.replace("{title}", title or "none") + entry["text"]
    return document_prompt + (f"{title}\n" if title else "") + entry["text"]


def reference(folder, out, query_prompt="", document_prompt=""):
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(folder), device="cpu", model_kwargs={"torch_dtype": torch.float32})
    model.eval()
    rows = []
    for entry in texts():
        # One text at a time: padding must not be able to touch the reference.
        rows.append(model.encode([with_prompt(entry, query_prompt, document_prompt)], prompt="", batch_size=1)[0])
    rows = np.asarray(rows, dtype=np.float32)
    rows.astype("<f2").tofile(out)
    print(f"{out.name}: {rows.shape}, norms {np.linalg.norm(rows, axis=1).min():.6f}..{np.linalg.norm(rows, axis=1).max():.6f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=HERE)
    parser.add_argument("--minilm", type=Path)
    parser.add_argument("--gemma", type=Path)
    parser.add_argument("--tiny", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(2)
    if args.minilm:
        reference(args.minilm, args.out / "minilm-l6-v2.f16")
    if args.gemma:
        reference(args.gemma, args.out / "embeddinggemma-300m.f16",
                  "task: search result | query: ", "title: {title} | text: ")


if __name__ == "__main__":
    main()
