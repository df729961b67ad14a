"""llama.cpp beside `lore bench` on the same GGUF files. Started by `scripts/bench-llama-cpp`; see its usage text.

Each figure is measured the same way on both sides (`rust/cli/src/bench/model.rs`): a context of 2,304 tokens, the same
token ids, the median of `--repeats` inside a process, and the median over `--rounds` processes. Rounds are interleaved:
llama.cpp without and with flash attention, each with and without repacked weights, then LoreKit, model after model.
After the first round a setting of llama.cpp that was more than 7 % behind the best in every figure is left out.
Decoding feeds fixed tokens one at a time and reads the logits. llama.cpp: f16 KV cache, n_batch 2048, n_ubatch 512.

Memory is net of what the process had before it loaded the model (the interpreter here; close to nothing there).
`start_ms` is from the start of a process to the first token of a short prompt for LoreKit, and for llama.cpp from the
moment when the interpreter stands and the library is loaded, which is in its favour.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

import bench
import engines

MODELS = ["qwen2.5-coder-0.5b-instruct", "smollm2-135m-instruct", "gemma3-270m"]
SETTINGS = {"fa0": (False, True), "fa1": (True, True), "fa0_file": (False, False), "fa1_file": (True, False)}
CONTEXT, PROMPTS, FIRST_PROMPT = 2304, (128, 512, 2048), 900
PROMPT = "The three largest cities of the country are"  # as in rust/cli/src/bench/start.rs
# Key, unit, and whether more is better.
FIGURES = [
    *((f"prefill_{n}_tok_s", "tok/s", True) for n in PROMPTS),
    *((f"decode_{n}_tok_s", "tok/s", True) for n in (0, 512, 2048)),
    ("start_ms", "ms", False),
    ("first_token_ms", "ms", False),
    ("load_ms", "ms", False),
    ("anonymous_mib", "MiB", False),
    ("resident_mib", "MiB", False),
    ("resident_peak_mib", "MiB", False),
    *((f"decode_{n}_cpu_ms", "ms CPU", False) for n in (0, 512)),
    ("prefill_512_cpu_ms", "ms CPU", False),
]
BEHIND = 1.07


def one(path: Path, args: argparse.Namespace) -> dict:
    """All figures of llama.cpp for one file and setting, in this process."""
    import llama_cpp  # noqa: F401  loading the library is not the model's business

    before = bench.memory()
    flash_attention, repack = SETTINGS[args.setting]
    started = time.perf_counter()
    llama = engines.LlamaCpp(path, CONTEXT, int(args.threads), flash_attention, n_batch=2048, repack=repack)
    load = time.perf_counter() - started
    short = llama.tokenize(PROMPT)
    llama.feed(short, 0, False)
    llama.best_token()
    result = {"load_ms": 1e3 * load, "start_ms": 1e3 * (time.perf_counter() - started)}

    def tokens(n: int) -> list[int]:
        return [min(1000 + (i * 7919) % (llama.n_vocab // 2), llama.n_vocab - 1) for i in range(n)]

    def prefill(n: int) -> None:
        llama.clear()
        llama.feed(tokens(n), 0, False)
        llama.last_logits()

    def decode(depth: int) -> None:
        """Behind `depth` tokens that are in the cache."""
        following = tokens(args.decode)

        def run() -> None:
            llama.truncate(max(depth, 1))
            for n, token in enumerate(following):
                llama.feed([token], max(depth, 1) + n, False)
                llama.last_logits()

        wall, cpu = bench.median_times(args.repeats, run)
        result[f"decode_{depth}_tok_s"] = args.decode / wall
        result[f"decode_{depth}_cpu_ms"] = 1e3 * cpu / args.decode

    prefill(128)
    prefill(1)
    decode(0)
    for n in PROMPTS:
        wall, cpu = bench.median_times(args.repeats, lambda: prefill(n))
        result[f"prefill_{n}_tok_s"] = n / wall
        result[f"prefill_{n}_cpu_ms"] = 1e3 * cpu / n
        if n >= 512:
            decode(n)
    after = bench.memory()
    result["anonymous_mib"] = after["anonymous"] - before["anonymous"]
    result["mapped_mib"] = after["mapped"] - before["mapped"]
    result["resident_mib"] = after["resident"] - before["resident"]
    result["resident_peak_mib"] = after["peak"] - before["resident"]
    prompt = args.first_prompt
    result["first_token_ms"] = 1e3 * bench.median_times(args.repeats, lambda: prefill(prompt))[0]
    return result


def lore_figures(report: dict) -> dict:
    """The figures of a `lore bench --json` report under the names above, memory net in the same way."""
    model, found = report["model"], {}
    for at in model["prefill"]:
        found[f"prefill_{at['tokens']}_tok_s"] = at["tok_s"]
        found[f"prefill_{at['tokens']}_cpu_ms"] = at["cpu_ms_per_token"]
    for at in model["decode"]:
        found[f"decode_{at['depth']}_tok_s"] = at["tok_s"]
        found[f"decode_{at['depth']}_cpu_ms"] = at["cpu_ms_per_token"]
    memory, before = model["memory"], model["memory_before"]
    for key in ("anonymous_mib", "mapped_mib", "resident_mib"):
        found[key] = memory[key] - before[key]
    found["anonymous_peak_mib"] = model["anonymous_peak_mib"]
    found["resident_peak_mib"] = memory["resident_peak_mib"] - before["resident_mib"]
    found["first_token_ms"], found["load_ms"] = model["first_token_ms"], model["load_ms"]
    found["start_ms"] = report["start"]["first_token_ms"]
    found["side_file_bytes"] = model["side_file_bytes"]
    return found | {k: report[k] for k in ("cpu_s", "load_before", "version")}


def best_of(kinds: dict[str, dict], key: str, more: bool) -> tuple[float, str]:
    """The best value of llama.cpp's settings, and whose it is."""
    values = [(found[key], kind) for kind, found in kinds.items() if kind in SETTINGS]
    return (max if more else min)(values)


def worth_keeping(kinds: dict[str, dict]) -> set[str]:
    """The settings that are the best in some speed, or nearly."""
    kept = set()
    for key, unit, more in FIGURES:
        if unit != "tok/s" and key != "start_ms":
            continue
        best, _ = best_of(kinds, key, more)
        near = lambda value: value * BEHIND >= best if more else value <= best * BEHIND
        kept |= {kind for kind in SETTINGS if kind in kinds and near(kinds[kind][key])}
    return kept


def compare(args: argparse.Namespace) -> None:
    models = args.model or MODELS
    threads = [int(n) for n in args.threads.split(",")]
    kept = bench.Runs(args.json, args.resume)
    inner = [f"--repeats={args.repeats}", f"--decode={args.decode}"]
    runs: dict[tuple[str, int], dict[str, list[dict]]] = {(m, t): {} for t in threads for m in models}
    for number in range(args.rounds):
        for (model, n), kinds in runs.items():
            if n != max(threads) and number >= args.other_rounds:
                continue
            path = engines.model_path(model)
            settings = SETTINGS if number == 0 else worth_keeping({k: r[0] for k, r in kinds.items()})
            for kind in SETTINGS:
                if kind in settings:
                    command = [sys.executable, __file__, "--one", str(path), f"--setting={kind}", f"--threads={n}"]
                    command += [f"--first-prompt={args.first_prompt}", *inner]
                    name = f"{model} {n} {kind} {number}"
                    kinds.setdefault(kind, []).append(kept.get(name, lambda: bench.measure(command)))
            if args.lore:
                command = [str(args.lore), "bench", "--json", "--offline", "--only=start,model", f"--model={model}"]
                command += [f"--threads={n}", *inner] + ([f"--side={args.side}"] if args.side else [])
                result = kept.get(f"{model} {n} lore {number}", lambda: lore_figures(bench.measure(command)))
                kinds.setdefault("lore", []).append(result)
    results: dict[str, dict] = {}
    rows = []
    for (model, n), kinds in runs.items():
        found = {kind: bench.medians(r) for kind, r in kinds.items()}
        mine, best, ratios = found.pop("lore", None), {}, {}
        for key, unit, more in FIGURES:
            value, setting = best_of(found, key, more)
            best[key] = {"value": value, "setting": setting}
            own = mine and mine.get(key)
            # Above one: LoreKit is ahead.
            ratios[key] = None if not own else (own / value if more else value / own)
            cells = [f"{value:.1f}", setting, "-" if own is None else f"{own:.1f}"]
            cells.append("-" if ratios[key] is None else f"{ratios[key]:.2f}x")
            rows.append([model, str(n), key, unit, *cells])
        results.setdefault(model, {"file_sha256": engines.sha256(engines.model_path(model))})
        results[model][f"threads_{n}"] = {"llama_cpp": found, "llama_cpp_best": best, "lorekit": mine, "ratios": ratios}
    head = ["model", "threads", "figure", "unit", "llama.cpp", "its setting", "LoreKit", "LoreKit ahead by"]
    print(bench.table(head, rows))
    all_runs = [run for kinds in runs.values() for kind in kinds.values() for run in kind]
    bench.warn_of_load(all_runs)
    version = next((run["version"] for run in all_runs if "version" in run), None)
    report = bench.machine(threads) | {
        "versions": engines.versions("llama-cpp-python", "numpy") | {"lorekit": version},
        "rounds": args.rounds,
        "repeats": args.repeats,
        "decode_tokens": args.decode,
        "first_prompt": args.first_prompt,
        "load_before_most": max(run["load_before"] for run in all_runs),
        "ratio": "against the best of llama.cpp's settings, figure by figure; above 1, LoreKit is ahead",
        "models": results,
    }
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    if args.plot and args.lore:
        plot(args.plot, results, max(threads))


def plot(path: Path, results: dict, threads: int) -> None:
    """LoreKit's speed over the best of llama.cpp's, for each model."""
    shown = [key for key, unit, _ in FIGURES if unit == "tok/s" or key in ("start_ms", "anonymous_mib", "resident_mib")]
    words = lambda key: key.removesuffix("_tok_s").replace("_ms", "").replace("_mib", " memory").replace("_", " ")
    groups = [
        (model, [(words(key), found[f"threads_{threads}"]["ratios"][key] or 0.0) for key in shown])
        for model, found in results.items()
    ]
    note = f"best of four settings of llama.cpp, {threads} threads, {engines.cpu_name()}; above 1, LoreKit is ahead"
    bench.bars(path, "LoreKit over llama.cpp", note, groups)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=Path, metavar="GGUF", help="measure llama.cpp alone and print one JSON line")
    parser.add_argument("--setting", choices=SETTINGS, default="fa1")
    parser.add_argument("--lore", type=Path, help="the lore program; without it llama.cpp is measured alone")
    parser.add_argument("--model", action="append", metavar="NAME")
    parser.add_argument("--threads", default="2", help="one number or several with commas")
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--other-rounds", type=int, default=1, help="rounds with fewer threads than the most")
    parser.add_argument("--decode", type=int, default=48)
    parser.add_argument("--first-prompt", type=int, default=FIRST_PROMPT)
    parser.add_argument("--side", metavar="DIR", help="where LoreKit keeps its side files")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--plot", type=Path, metavar="SVG")
    parser.add_argument("--resume", action="store_true", help="keep the runs of an interrupted benchmark")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.one, args)))
    else:
        compare(args)


if __name__ == "__main__":
    main()
