#!/usr/bin/env python3
"""Writes `logits-<model>.json`: what the original implementations say about short prompts.

    make_logits.py [--model NAME]... [--out FOLDER] [--threads N]
    make_logits.py --check [--model NAME]...    writes nothing: the f32 pass against llama.cpp over f32 weights

Models are read from `$LOREKIT_CACHE/models/<NAME>/model.gguf` (see `scripts/reference/engines.py`). Each file holds

    {"model": {"name", "file_bytes", "file_sha256"}, "versions": {package: version, "cpu", "python"},
     "vocab": V, "strided_ids": [256 fixed token ids],
     "max_abs_difference", "mean_kl": llama.cpp against f32 over every position of all prompts,
     "prompts": [{"name", "language", "text", "tokens": [...],
       "positions": [{"position": p, "top_ids": [64 ids, best first, by the f32 pass],
                      "f32": {"lse", "top": [64], "strided": [256]},
                      "llama_cpp": {"lse", "top": [64], "strided": [256]}}]}]}

The logits at `position` p follow token p (they predict token p + 1); `lse` is log(sum(exp(logits))) over the whole
vocabulary, so `top[i] - lse` is a log-probability. `f32` is the PyTorch model over dequantized weights, `llama_cpp`
ggml's CPU kernels (f16 KV cache, no flash attention). `--check` runs llama.cpp over a dequantized copy of the file
with an f32 KV cache: it must agree with the f32 pass to the rounding of f32 sums. Seen: 1.5e-4 for SmolLM2, 5e-2
(median 7e-3) for Gemma 3, whose GELU is a lookup table of f16 values in ggml. `tokens` come from llama.cpp's tokenizer with the special
tokens that the file asks for. Numbers are rounded to 4 decimals.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from pathlib import Path

import numpy as np

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parents[3] / "scripts/reference"))
import engines  # noqa: E402
from dequantize import dequantized_copy  # noqa: E402

MODELS = ["qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct", "gemma3-270m"]
TOP, STRIDED, POSITIONS = 64, 256, 8

# Our own sentences, in the manner of what the SDK reads: rules, questions, a little dialogue, numbers and lists.
PROMPTS = [
    (
        "zh-rule",
        "zh",
        "第十二条 经营者应当在营业场所的显著位置公示收费项目、计费标准和投诉电话。收费标准发生变化的,"
        "应当自变化之日起三个工作日内更新公示内容,并保留原公示记录不少于两年。消费者对收费有异议的,"
        "经营者应当在十五日内书面答复;逾期未答复的,",
    ),
    (
        "zh-question",
        "zh",
        "问:我在本市工作了八个月,单位一直没有给我缴存住房公积金,现在离职了还能要求补缴吗?需要准备哪些材料?\n"
        "答:可以。根据规定,单位应当自录用职工之日起三十日内办理缴存登记。您可以携带",
    ),
    (
        "zh-dialogue",
        "zh",
        "小林翻开桌上的手册,念道:“凡借阅期满未还者,每册每日收取滞纳金一角,最高不超过书价。”\n"
        "老馆长笑了笑,说:“规矩是规矩,不过你要是提前打个电话,",
    ),
    (
        "en-rule",
        "en",
        "Section 4. A lender shall give the borrower a written statement of the annual percentage rate, the total of "
        "payments, and every fee that is not included in the finance charge, no later than three business days before "
        "the agreement is signed. If any of these terms changes by more than one eighth of one percentage point, the "
        "lender shall",
    ),
    (
        "en-question",
        "en",
        "Question: How long do I have to dispute a charge on my statement, and does a phone call count as notice?\n"
        "Answer: You must send a written notice within 60 days after the first statement that shows the charge. "
        "A phone call alone",
    ),
    (
        "en-list",
        "en",
        "The kit contains:\n- 2 sensors (model K-17, 3.3 V)\n- 1 base station\n- 4 screws, 12 mm\n\n"
        "To install the base station, first switch off the power. Then",
    ),
]


def rounded(row: np.ndarray) -> list[float]:
    return [round(float(x), 4) for x in row]


def summary(row: np.ndarray, top_ids: np.ndarray, strided_ids: np.ndarray) -> dict:
    wide = row.astype(np.float64)
    lse = wide.max() + np.log(np.exp(wide - wide.max()).sum())
    return {"lse": round(float(lse), 4), "top": rounded(row[top_ids]), "strided": rounded(row[strided_ids])}


def make(name: str, out: Path, threads: int) -> None:
    path = engines.model_path(name)
    llama = engines.LlamaCpp(path, n_ctx=256, threads=threads)
    f32 = engines.F32(path, threads=threads)
    strided_ids = np.linspace(0, llama.n_vocab - 1, STRIDED).astype(int)
    prompts, worst, kls = [], 0.0, []
    for prompt, language, text in PROMPTS:
        tokens = llama.tokenize(text)
        a, b = f32.logits(tokens), llama.logits(tokens)
        if a.shape != b.shape:
            raise SystemExit(f"{name}: f32 gives {a.shape} logits, llama.cpp {b.shape}")
        worst = max(worst, float(np.abs(a - b).max()))
        la, lb = engines.log_softmax(a), engines.log_softmax(b)
        kls += list((np.exp(la) * (la - lb)).sum(-1))
        positions = []
        for p in np.linspace(0, len(tokens) - 1, POSITIONS).astype(int):
            top_ids = np.argsort(-a[p], kind="stable")[:TOP]
            positions.append(
                {
                    "position": int(p),
                    "top_ids": top_ids.tolist(),
                    "f32": summary(a[p], top_ids, strided_ids),
                    "llama_cpp": summary(b[p], top_ids, strided_ids),
                }
            )
        prompts.append(
            {"name": prompt, "language": language, "text": text, "tokens": tokens, "positions": positions}
        )
    llama.close()
    result = {
        "model": {"name": name, "file_bytes": path.stat().st_size, "file_sha256": engines.sha256(path)},
        "versions": engines.versions("llama-cpp-python", "transformers", "torch", "gguf", "numpy")
        | {"python": platform.python_version(), "cpu": engines.cpu_name()},
        "vocab": llama.n_vocab,
        "strided_ids": strided_ids.tolist(),
        "max_abs_difference": round(worst, 4),
        "mean_kl": round(float(np.mean(kls)), 6),
        "prompts": prompts,
    }
    target = out / f"logits-{name}.json"
    target.write_text(json.dumps(result, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(
        f"{target.name}: {target.stat().st_size} bytes, {[len(p['tokens']) for p in prompts]} tokens, "
        f"llama.cpp against f32: largest difference {worst:.3f}, mean KL {np.mean(kls):.5f}"
    )


def check(name: str, threads: int) -> None:
    path = engines.model_path(name)
    f32 = engines.F32(path, threads=threads)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "f32.gguf"
        dequantized_copy(path, copy)
        llama = engines.LlamaCpp(copy, n_ctx=256, threads=threads, kv_f32=True)
        for prompt, _, text in PROMPTS:
            tokens = llama.tokenize(text)
            off = np.abs(f32.logits(tokens) - llama.logits(tokens)).max(1)
            print(f"{name} {prompt}: largest difference {off.max():.2e}, median of positions {np.median(off):.2e}")
        llama.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", action="append", metavar="NAME", help="default: " + ", ".join(MODELS))
    parser.add_argument("--out", type=Path, default=HERE, help="default: the script's own folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--check", action="store_true", help="hold the f32 pass itself against a second implementation")
    args = parser.parse_args()
    for name in args.model or MODELS:
        if args.check:
            check(name, args.threads)
            continue
        make(name, args.out, args.threads)


if __name__ == "__main__":
    main()
