"""llama.cpp beside `lore bench` on the same GGUF files. Started by `scripts/bench-llama-cpp`; see its usage text.

Each figure is measured the same way on both sides (`rust/cli/src/bench.rs`): a context of 2,304 tokens, the same
token ids, one warm-up, the median of `--repeats` inside a process, and the median over `--rounds` processes; rounds
are interleaved (llama.cpp without and with flash attention, then LoreKit, model after model). Decoding feeds fixed
tokens one at a time and reads the logits. llama.cpp: f16 KV cache, n_batch 2048, n_ubatch 512. Memory is net of what
the process had before it loaded the model (the interpreter here; close to nothing there).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import bench
import engines

MODELS = ["qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct", "gemma3-270m"]
CONTEXT, FIRST_PROMPT = 2304, 900
# Key, unit, and whether more is better; all from the "model" part of `lore bench --json`.
FIGURES = [
    ("prefill_128_tok_s", "tok/s", True),
    ("prefill_512_tok_s", "tok/s", True),
    ("decode_tok_s", "tok/s", True),
    ("decode_512_tok_s", "tok/s", True),
    ("first_token_ms", "ms", False),
    ("load_ms", "ms", False),
    ("rss_anon_mib", "MiB", False),
    ("rss_peak_mib", "MiB", False),
]


def one(path: Path, threads: int, repeats: int, decode: int, flash_attention: bool) -> dict:
    """All figures of llama.cpp for one file, in this process."""
    before = bench.memory()
    made: list[engines.LlamaCpp] = []
    load = bench.timed(
        lambda: made.append(engines.LlamaCpp(path, CONTEXT, threads, flash_attention, n_batch=2048))
    )
    llama = made[0]

    def tokens(n: int) -> list[int]:
        return [1000 + (i * 7919) % (llama.n_vocab // 2) for i in range(n)]

    def prefill(n: int) -> None:
        llama.clear()
        llama.feed(tokens(n), 0, False)
        llama.last_logits()

    def prefill_speed(n: int) -> float:
        prefill(n)
        return n / bench.median_time(repeats, lambda: prefill(n))

    def decode_speed(depth: int) -> float:
        prefill(depth)

        def run() -> None:
            llama.truncate(depth)
            for n in range(decode):
                llama.feed([1000 + n], depth + n, False)
                llama.last_logits()

        return decode / bench.median_time(repeats, run)

    result = {
        "load_ms": 1e3 * load,
        "prefill_128_tok_s": prefill_speed(128),
        "prefill_512_tok_s": prefill_speed(512),
        "decode_tok_s": decode_speed(1),
        "decode_512_tok_s": decode_speed(512),
    }
    after = bench.memory()
    result["first_token_ms"] = 1e3 * bench.median_time(repeats, lambda: prefill(FIRST_PROMPT))
    result["rss_anon_mib"] = after["anonymous"] - before["anonymous"]
    result["rss_mib"] = after["resident"] - before["resident"]
    result["rss_peak_mib"] = after["peak"] - before["resident"]
    return result


def lore_figures(report: dict) -> dict:
    """The figures of a `lore bench --json` report, with memory net like llama.cpp's."""
    model = report["model"]
    before = model.get("rss_before_mib", 0.0)
    found = {key: model[key] for key, _, _ in FIGURES if key in model}
    return found | {"rss_peak_mib": model["rss_peak_mib"] - before} | {k: report[k] for k in ("cpu_s", "load_before")}


def compare(args: argparse.Namespace) -> None:
    models = args.model or MODELS
    runs: dict[str, dict[str, list[dict]]] = {m: {"fa0": [], "fa1": [], "lore": []} for m in models}
    inner = [f"--threads={args.threads}", f"--repeats={args.repeats}", f"--decode={args.decode}"]
    version = None
    for _ in range(args.rounds):
        for model in models:
            path = engines.model_path(model)
            for kind, flag in (("fa0", []), ("fa1", ["--flash-attention"])):
                runs[model][kind].append(bench.measure([sys.executable, __file__, "--one", str(path), *flag, *inner]))
            if args.lore:
                command = [str(args.lore), "bench", "--json", "--offline", "--embedder=none", f"--model={model}"]
                report = bench.measure(command + inner)
                version = report.get("version")
                runs[model]["lore"].append(lore_figures(report))
    results, rows = {}, []
    for model, kinds in runs.items():
        found = {kind: bench.medians(r) for kind, r in kinds.items() if r}
        ratios = {}
        for key, unit, more in FIGURES:
            best = (max if more else min)(found["fa0"][key], found["fa1"][key])
            mine = found.get("lore", {}).get(key)
            # Above one: LoreKit is ahead.
            ratios[key] = None if not mine else (mine / best if more else best / mine)
            cells = [found["fa0"][key], found["fa1"][key], mine]
            rows.append([model, key, unit] + ["-" if c is None else f"{c:.1f}" for c in cells])
            rows[-1].append("-" if ratios[key] is None else f"{ratios[key]:.2f}x")
        results[model] = {"llama_cpp_fa0": found["fa0"], "llama_cpp_fa1": found["fa1"]}
        results[model] |= {"lorekit": found.get("lore"), "ratios": ratios, "runs": kinds}
        results[model]["file_sha256"] = engines.sha256(engines.model_path(model))
    head = ["model", "figure", "unit", "llama.cpp fa0", "llama.cpp fa1", "LoreKit", "LoreKit ahead by"]
    print(bench.table(head, rows))
    bench.warn_of_load([run for kinds in runs.values() for kind in kinds.values() for run in kind])
    report = bench.machine(args.threads) | {
        "versions": engines.versions("llama-cpp-python", "numpy") | {"lorekit": version},
        "rounds": args.rounds,
        "repeats": args.repeats,
        "decode_tokens": args.decode,
        "ratio": "against the better of llama.cpp's two settings; above 1, LoreKit is ahead",
        "models": results,
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=Path, metavar="GGUF", help="measure llama.cpp alone and print one JSON line")
    parser.add_argument("--flash-attention", action="store_true")
    parser.add_argument("--lore", type=Path, help="the lore program; without it llama.cpp is measured alone")
    parser.add_argument("--model", action="append", metavar="NAME")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--decode", type=int, default=64)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one, args.threads, args.repeats, args.decode, args.flash_attention)))
    else:
        compare(args)


if __name__ == "__main__":
    main()
