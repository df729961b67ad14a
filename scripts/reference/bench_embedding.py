"""onnxruntime beside `lore bench` on one embedder. Started by `scripts/bench-embedding`; see its usage text.

The sentence-transformers folder `$LOREKIT_CACHE/models/<NAME>/source` is exported once with torch.onnx to
`$LOREKIT_CACHE/bench/onnx/<NAME>/` (f32, and a copy with weights quantized to int8, activations dynamically). Both
sides embed the same query of 12 tokens and the same batch of 32 passages (`rust/cli/src/bench/embedder.rs`),
mean-pooled and normalised. LoreKit's figures include tokenization; of onnxruntime's, `query_ms` and `passages_per_s`
are those of the session alone, with inputs that stand ready, which is in its favour, and `query_with_tokens_ms`
includes its tokenizer. Cosines of the exported models with sentence-transformers are in the report.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from pathlib import Path

import bench
import engines
import numpy as np

BATCH = 32
QUESTION = "how do i repay a loan before it is due"  # ten words, one token each, and two around them
FIGURES = [("query_ms", "ms", False), ("passages_per_s", "1/s", True), ("anonymous_mib", "MiB", False)]


def sample() -> str:
    """The passage of `lore bench`, read from its source so that the two cannot drift apart."""
    source = Path(__file__).resolve().parents[2] / "rust/cli/src/bench/embedder.rs"
    found = re.search(r'const SAMPLE: &str = "(.*?)";', source.read_text(encoding="utf-8"), re.S)
    if not found:
        raise SystemExit("rust/cli/src/bench/embedder.rs has no SAMPLE")
    return re.sub(r"\\\n\s*", "", found[1])


def export(name: str, folder: Path) -> None:
    """Writes `f32.onnx` and `int8.onnx`: token ids and mask in, mean-pooled unit vectors out."""
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from transformers import AutoModel

    class Pooled(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module):
            super().__init__()
            self.inner = inner

        def forward(self, input_ids: torch.Tensor, attention_mask: torch.Tensor) -> torch.Tensor:
            hidden = self.inner(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
            mask = attention_mask[:, :, None].to(hidden.dtype)
            return torch.nn.functional.normalize((hidden * mask).sum(1) / mask.sum(1), dim=-1)

    inner = AutoModel.from_pretrained(engines.cache_root() / "models" / name / "source", dtype=torch.float32)
    ids, mask = (torch.ones((2, 16), dtype=torch.int64) for _ in range(2))  # two: one object would be one input
    batch, length = torch.export.Dim("batch", min=1), torch.export.Dim("length", min=1, max=512)
    folder.mkdir(parents=True, exist_ok=True)
    program = torch.onnx.export(
        Pooled(inner.eval()),
        (ids, mask),
        input_names=["input_ids", "attention_mask"],
        output_names=["unit_vector"],
        dynamic_shapes=({0: batch, 1: length}, {0: batch, 1: length}),
        dynamo=True,
    )
    program.save(str(folder / "f32.onnx"))
    quantize_dynamic(folder / "f32.onnx", folder / "int8.onnx", weight_type=QuantType.QInt8)


class Onnx:
    """Tokenizer and session; truncates like the embedder's own configuration says."""

    def __init__(self, name: str, file: Path, threads: int):
        import onnxruntime
        from tokenizers import Tokenizer

        source = engines.cache_root() / "models" / name / "source"
        config = json.loads((source / "sentence_bert_config.json").read_text())
        self.tokenizer = Tokenizer.from_file(str(source / "tokenizer.json"))
        self.tokenizer.enable_truncation(config["max_seq_length"])
        self.tokenizer.enable_padding()
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
        options.log_severity_level = 3
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])

    def inputs(self, texts: list[str]) -> dict[str, np.ndarray]:
        coded = self.tokenizer.encode_batch(texts)
        rows = {"input_ids": [c.ids for c in coded], "attention_mask": [c.attention_mask for c in coded]}
        return {k: np.array(v, np.int64) for k, v in rows.items()}

    def run(self, inputs: dict[str, np.ndarray]) -> np.ndarray:
        return self.session.run(None, inputs)[0]

    def embed(self, texts: list[str]) -> np.ndarray:
        return self.run(self.inputs(texts))


def one(name: str, file: Path, threads: int, repeats: int) -> dict:
    """All figures of onnxruntime for one exported file, in this process."""
    before = bench.memory()
    made: list[Onnx] = []
    load = bench.timed(lambda: made.append(Onnx(name, file, threads)))
    model, passages = made[0], [sample()] * BATCH
    query, batch = model.inputs([QUESTION]), model.inputs(passages)
    for _ in range(5):
        vector = model.run(query)
    many = 10 * max(repeats, 3)
    query_s, _ = bench.median_times(many, lambda: model.run(query))
    with_tokens_s, _ = bench.median_times(many, lambda: model.embed([QUESTION]))
    model.run(batch)
    batch_s, batch_cpu = bench.median_times(repeats, lambda: model.run(batch))
    return {
        "load_ms": 1e3 * load,
        "query_tokens": int(query["input_ids"].shape[1]),
        "query_ms": 1e3 * query_s,
        "query_with_tokens_ms": 1e3 * with_tokens_s,
        "passages_per_s": BATCH / batch_s,
        "passages_per_cpu_s": BATCH / batch_cpu,
        "passage_tokens": int(batch["input_ids"].shape[1]),
        "anonymous_mib": bench.memory()["anonymous"] - before["anonymous"],
        "query_vector": [round(float(x), 5) for x in vector[0]],
    }


def cosine_with_original(name: str, vector: list[float]) -> float:
    from sentence_transformers import SentenceTransformer

    source = engines.cache_root() / "models" / name / "source"
    original = SentenceTransformer(str(source), device="cpu").encode(QUESTION, normalize_embeddings=True)
    return float(np.dot(original, np.array(vector)))


def lore_figures(report: dict) -> dict:
    """The figures of a `lore bench --json` report under the names above."""
    found = report["embedder"]
    keys = ("load_ms", "query_ms", "passages_per_s", "passages_per_cpu_s", "passage_tokens")
    anonymous = found["memory"]["anonymous_mib"] - found["memory_before"]["anonymous_mib"]
    own = {k: found[k] for k in keys} | {"anonymous_mib": anonymous, "query_tokens": found["query_tokens"] + 2}
    return own | {k: report[k] for k in ("cpu_s", "load_before", "version")}


def compare(args: argparse.Namespace) -> None:
    name, folder = args.model, engines.cache_root() / "bench/onnx" / args.model
    if not (folder / "int8.onnx").exists():
        print(f"exporting {name} to ONNX", file=sys.stderr)
        export(name, folder)
    kept = bench.Runs(args.json, args.resume)
    threads = [int(n) for n in args.threads.split(",")]
    results, rows, all_runs, version, cosines = {}, [], [], None, {}
    for n in threads:
        inner = [f"--threads={n}", f"--repeats={args.repeats}"]
        runs: dict[str, list[dict]] = {"onnx_f32": [], "onnx_int8": [], "lorekit": []}
        for number in range(args.rounds):
            for kind in ("f32", "int8"):
                command = [sys.executable, __file__, "--one", str(folder / f"{kind}.onnx"), f"--model={name}", *inner]
                result = kept.get(f"{name} {n} {kind} {number}", lambda: bench.measure(command))
                runs[f"onnx_{kind}"].append(result)
            if args.lore:
                command = [str(args.lore), "bench", "--json", "--offline", "--only=embedder", f"--embedder={name}"]
                command += [f"--query={QUESTION}", *inner] + ([f"--side={args.side}"] if args.side else [])
                result = kept.get(f"{name} {n} lore {number}", lambda: lore_figures(bench.measure(command)))
                runs["lorekit"].append(result)
        found = {kind: bench.medians(r) for kind, r in runs.items() if r}
        ratios = {}
        for key, unit, more in FIGURES:
            cells = [found.get(kind, {}).get(key) for kind in runs]
            best, mine = (max if more else min)(cells[:2]), cells[2]
            ratios[key] = None if not mine else (mine / best if more else best / mine)
            ahead = "-" if ratios[key] is None else f"{ratios[key]:.2f}x"
            rows.append([str(n), key, unit] + ["-" if c is None else f"{c:.2f}" for c in cells] + [ahead])
        for kind in ("onnx_f32", "onnx_int8"):
            vector = found[kind].pop("query_vector")
            if kind not in cosines:
                cosines[kind] = cosine_with_original(name, vector)
        if cosines["onnx_f32"] < 0.9999:
            raise SystemExit(f"the exported model is not the original: cosine {cosines['onnx_f32']:.5f}")
        version = found.get("lorekit", {}).get("version")
        all_runs += [run for kind in runs.values() for run in kind]
        results[f"threads_{n}"] = {"medians": found, "ratios": ratios}
    head = ["threads", "figure", "unit", "onnxruntime f32", "onnxruntime int8", "LoreKit", "LoreKit ahead by"]
    print(bench.table(head, rows))
    print("cosine with sentence-transformers: " + ", ".join(f"{k} {v:.4f}" for k, v in cosines.items()))
    bench.warn_of_load(all_runs)
    if args.json:
        names = ("onnxruntime", "onnx", "torch", "transformers", "sentence-transformers", "tokenizers")
        report = bench.machine(threads) | {
            "model": name,
            "versions": engines.versions(*names) | {"lorekit": version},
            "rounds": args.rounds,
            "repeats": args.repeats,
            "cosines_with_sentence_transformers": cosines,
            "ratio": "against the better of onnxruntime's two; above 1, LoreKit is ahead",
            **results,
        }
        args.json.write_text(json.dumps(report, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--one", type=Path, metavar="ONNX", help="measure one exported file and print one JSON line")
    parser.add_argument("--lore", type=Path, help="the lore program; without it onnxruntime is measured alone")
    parser.add_argument("--model", default="minilm-l6-v2", metavar="NAME")
    parser.add_argument("--threads", default="2", help="one number or several with commas")
    parser.add_argument("--side", metavar="DIR", help="where LoreKit keeps its side files")
    parser.add_argument("--resume", action="store_true", help="keep the runs of an interrupted benchmark")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    if args.one:
        print(json.dumps(one(args.model, args.one, int(args.threads), args.repeats)))
    else:
        compare(args)


if __name__ == "__main__":
    main()
