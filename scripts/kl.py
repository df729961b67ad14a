#!/usr/bin/env python3
"""Measures KL(f32 || llama.cpp) of quantized models and stores the f32 distributions for the Rust side.

    kl.py --zh FILE_OR_FOLDER... --en FILE_OR_FOLDER... [--model NAME]... [--tokens N] [--threads N] [--out FOLDER]
    kl.py --summary FILE            (only collects the results of earlier runs into one small JSON)

The text (UTF-8 .md or .txt, or .jsonl with a `text` in each line) is cut into windows of 512 tokens and one of 1,024,
so that a 512-token sliding window is exercised as well; every position of every window is scored. At least `--tokens`
(4,096) tokens per language. Models come from `$LOREKIT_CACHE/models/<NAME>/model.gguf`.

Written to `$LOREKIT_CACHE/reference/kl/` (or `--out`), two files per model; the text itself is not stored.

`<NAME>.json`
    {"model", "file_sha256", "versions", "vocab": V, "top": 256, "windows": [{"language", "tokens": [...]}],
     "llama_cpp": {"all" | "zh" | "en": {"positions", "mean_kl", "mean_kl_lumped", "median_kl", "p99_kl",
                   "same_top", "perplexity_f32", "perplexity"}}}

`<NAME>.f32`, little-endian, one record for each token of each window, in the order of the JSON:
    256 x u32   token ids, most probable first
    256 x f32   their natural log-probabilities under f32, after this token (so they predict the next)
    1   x f32   natural log of the probability left for all other tokens

A distribution q is compared with a record p by the *lumped* KL: the 256 ids are their own classes, all others are one
    sum_i p_i (ln p_i - ln q_i) + p_rest (ln p_rest - ln q_rest)
which is never above the full KL (merging classes loses information) and close to it; both are reported for llama.cpp,
and a Rust figure must be held against `mean_kl_lumped`. `rust/model/examples/kl.rs` reads these files.
`perplexity` is over the windows' own next tokens; `same_top` is the share of positions with the same best token.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent / "reference"))
import engines  # noqa: E402
import torch  # noqa: E402

MODELS = ["qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct", "gemma3-270m"]
TOP = 256
SHORT, LONG = 512, 1024
SUFFIXES = (".md", ".txt", ".jsonl")
PIECE = 2000
CHUNK = 64  # positions whose full distributions are held in f64 at a time


def read_text(sources: list[Path], limit: int) -> str:
    """At least `limit` characters in pieces of 2,000, evenly spread, so that no one document rules."""
    files: list[Path] = []
    for source in sources:
        files += sorted(p for p in source.rglob("*") if p.suffix in SUFFIXES) if source.is_dir() else [source]
    text = "\n\n".join(map(contents, files))
    pieces = -(-limit // PIECE)
    if len(text) < pieces * PIECE:
        raise SystemExit(f"{len(text)} characters of text, {pieces * PIECE} are needed")
    starts = (int(i * (len(text) - PIECE) / max(1, pieces - 1)) for i in range(pieces))
    return "\n\n".join(text[start : start + PIECE] for start in starts)


def contents(file: Path) -> str:
    """A file's text; of a .jsonl file the `text` of each line."""
    raw = file.read_text(encoding="utf-8")
    if file.suffix != ".jsonl":
        return raw
    return "\n\n".join(json.loads(line)["text"] for line in raw.splitlines() if line)


def cut(tokens: list[int], wanted: int, bos: list[int]) -> list[list[int]]:
    """Windows of 512 tokens and a last one of 1,024, each opened by BOS where the model wants one."""
    sizes = [SHORT] * max(0, -(-(wanted - LONG) // SHORT)) + [LONG]
    windows, at = [], 0
    for size in sizes:
        body = tokens[at : at + size - len(bos)]
        if len(bos) + len(body) < size:
            raise SystemExit(f"the text has only {len(tokens)} tokens, {sum(sizes)} are needed")
        windows.append(bos + body)
        at += len(body)
    return windows


def compare(p: torch.Tensor, q: torch.Tensor, ids: torch.Tensor) -> dict[str, np.ndarray]:
    """KL and lumped KL of log-probabilities p and q [n, V] over `ids` [n, TOP]; p's top log-probabilities and rest."""
    prob = p.exp()
    kl = (prob * (p - q)).sum(1)
    rest_p = prob.scatter_(1, ids, 0.0).sum(1).clamp_min(1e-300).log()
    rest_q = q.exp().scatter_(1, ids, 0.0).sum(1).clamp_min(1e-300).log()
    top_p, top_q = p.gather(1, ids), q.gather(1, ids)
    lump = (top_p.exp() * (top_p - top_q)).sum(1) + rest_p.exp() * (rest_p - rest_q)
    return {"kl": kl.numpy(), "lump": lump.numpy(), "top": top_p.numpy(), "rest": rest_p.numpy()}


def measure(name: str, texts: dict[str, str], wanted: int, threads: int, out: Path) -> None:
    path = engines.model_path(name)
    llama = engines.LlamaCpp(path, n_ctx=LONG, threads=threads)
    bos = llama.tokenize("", True)
    windows = []
    for language, text in texts.items():
        tokens = llama.tokenize(text, False)
        windows += [{"language": language, "tokens": w} for w in cut(tokens, wanted, bos)]
    f32 = engines.F32(path, threads=threads)
    columns: dict[str, list[np.ndarray]] = {k: [] for k in ("zh", "kl", "lump", "same", "nll_f32", "nll")}
    record = np.dtype([("ids", "<u4", TOP), ("logp", "<f4", TOP), ("rest", "<f4")])
    out.mkdir(parents=True, exist_ok=True)
    with open(out / f"{name}.f32.part", "wb") as stored:
        for at, window in enumerate(windows):
            tokens = window["tokens"]
            a, b = f32.logits(tokens), llama.logits(tokens)
            following = np.array(tokens[1:] + [-1])
            for start in range(0, len(tokens), CHUNK):
                p, q = (torch.from_numpy(x[start : start + CHUNK]).double().log_softmax(1) for x in (a, b))
                ids = p.topk(TOP, 1).indices
                same = p.argmax(1) == q.argmax(1)
                pick = torch.from_numpy(np.maximum(following[start : start + CHUNK], 0))[:, None]
                nll_f32, nll = (-x.gather(1, pick)[:, 0].numpy() for x in (p, q))
                scored = following[start : start + CHUNK] >= 0
                part = compare(p, q, ids)
                rows = np.zeros(len(p), record)
                rows["ids"], rows["logp"], rows["rest"] = ids.numpy(), part["top"], part["rest"]
                stored.write(rows.tobytes())
                columns["zh"].append(np.full(len(p), window["language"] == "zh"))
                columns["kl"].append(part["kl"])
                columns["lump"].append(part["lump"])
                columns["same"].append(same.numpy())
                columns["nll_f32"].append(np.where(scored, nll_f32, np.nan))
                columns["nll"].append(np.where(scored, nll, np.nan))
            kl = np.concatenate(columns["kl"][-(len(tokens) // CHUNK) :])
            print(f"{name} {at + 1}/{len(windows)} {window['language']} mean KL {kl.mean():.5f}", flush=True)
    llama.close()
    whole = {k: np.concatenate(v) for k, v in columns.items()}
    result = {
        "model": name,
        "file_sha256": engines.sha256(path),
        "versions": engines.versions("llama-cpp-python", "transformers", "torch", "gguf", "numpy")
        | {"python": platform.python_version(), "cpu": engines.cpu_name()},
        "vocab": llama.n_vocab,
        "top": TOP,
        "windows": windows,
        "llama_cpp": {
            "all": statistics(whole, np.ones(len(whole["kl"]), bool)),
            "zh": statistics(whole, whole["zh"]),
            "en": statistics(whole, ~whole["zh"]),
        },
    }
    (out / f"{name}.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")
    (out / f"{name}.f32.part").replace(out / f"{name}.f32")
    print(name, json.dumps(result["llama_cpp"]["all"]))


def statistics(columns: dict[str, np.ndarray], rows: np.ndarray) -> dict:
    kl, lump = columns["kl"][rows], columns["lump"][rows]
    return {
        "positions": int(rows.sum()),
        "mean_kl": round(float(kl.mean()), 6),
        "mean_kl_lumped": round(float(lump.mean()), 6),
        "median_kl": round(float(np.median(kl)), 6),
        "p99_kl": round(float(np.quantile(kl, 0.99)), 6),
        "same_top": round(float(columns["same"][rows].mean()), 5),
        "perplexity_f32": round(float(np.exp(np.nanmean(columns["nll_f32"][rows]))), 4),
        "perplexity": round(float(np.exp(np.nanmean(columns["nll"][rows]))), 4),
    }


def summarize(out: Path, target: Path) -> None:
    """One small file without token ids, for a place under version control."""
    found = {}
    for path in sorted(out.glob("*.json")):
        full = json.loads(path.read_text())
        found[full.pop("model")] = {k: v for k, v in full.items() if k != "windows"}
    if not found:
        raise SystemExit(f"no results in {out}")
    target.write_text(json.dumps(found, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--zh", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--en", nargs="+", type=Path, metavar="PATH")
    parser.add_argument("--model", action="append", metavar="NAME", help="default: " + ", ".join(MODELS))
    parser.add_argument("--tokens", type=int, default=4096, help="at least so many per language (default 4096)")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, help="default: $LOREKIT_CACHE/reference/kl")
    parser.add_argument("--summary", type=Path, metavar="FILE")
    args = parser.parse_args()
    out = args.out or engines.cache_root() / "reference/kl"
    if args.summary:
        return summarize(out, args.summary)
    if not args.zh or not args.en:
        parser.error("--zh and --en are needed")
    texts = {"zh": read_text(args.zh, 4 * args.tokens), "en": read_text(args.en, 8 * args.tokens)}
    for name in args.model or MODELS:
        measure(name, texts, args.tokens, args.threads, out)


if __name__ == "__main__":
    main()
