"""Presidio, its Rust port and LoreKit over the same labelled sentences, in one run.

Prints a table to standard error and one JSON object to standard output: span F1 (exact and overlapping) by type,
hard-negative sentences flagged, and megabytes a second on one thread.
"""

import argparse
import json
import logging
import platform
import statistics
import subprocess
import sys
import time
from importlib.metadata import version
from pathlib import Path

TYPES = ["PERSON", "ID_CARD", "PHONE", "BANK_CARD", "EMAIL", "ADDRESS", "PLATE", "PASSPORT", "IBAN", "US_SSN"]
CHINESE = ["PERSON", "ID_CARD", "PHONE", "BANK_CARD", "EMAIL", "ADDRESS", "PLATE", "PASSPORT"]

# Presidio's names for the labelled types.
PRESIDIO = {
    "PERSON": "PERSON",
    "CN_RIC": "ID_CARD",
    "CN_ID": "ID_CARD",
    "PHONE_NUMBER": "PHONE",
    "CREDIT_CARD": "BANK_CARD",
    "EMAIL_ADDRESS": "EMAIL",
    "LOCATION": "ADDRESS",
    "STREET_ADDRESS": "ADDRESS",
    "CN_PLATE": "PLATE",
    "US_PASSPORT": "PASSPORT",
    "UK_PASSPORT": "PASSPORT",
    "CN_PASSPORT": "PASSPORT",
    "IBAN_CODE": "IBAN",
    "US_SSN": "US_SSN",
}
THRESHOLDS = [0.0, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.85]


def rows_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def presidio(with_chinese):
    """Every predefined recognizer over blank tokenizers; with patterns for Chinese identifiers if asked for."""
    import spacy
    import tldextract.tldextract
    from presidio_analyzer import AnalyzerEngine, Pattern, PatternRecognizer, RecognizerRegistry
    from presidio_analyzer.nlp_engine import SpacyNlpEngine

    # E-mail addresses are checked against a list of suffixes, which it would fetch again and again where there is no
    # network; the one in its package serves as well.
    tldextract.tldextract.TLD_EXTRACTOR = tldextract.TLDExtract(suffix_list_urls=())

    class Blank(SpacyNlpEngine):
        def __init__(self):
            super().__init__(models=[{"lang_code": code, "model_name": "blank"} for code in ("en", "zh")])
            self.nlp = {code: spacy.blank(code) for code in ("en", "zh")}

        def load(self):
            pass

    engine = Blank()
    registry = RecognizerRegistry(supported_languages=["en", "zh"])
    registry.load_predefined_recognizers(languages=["en", "zh"], nlp_engine=engine)
    if with_chinese:
        # Han letters count as word characters, so a boundary is written as "no digit or Latin letter beside".
        left, right = r"(?<![0-9A-Za-z])", r"(?![0-9A-Za-z])"
        patterns = {
            "CN_ID": (rf"{left}[1-9]\d{{5}}(?:19|20)\d{{2}}(?:0[1-9]|1[0-2])(?:[0-2]\d|3[01])\d{{3}}[\dXx]{right}", 0.7),
            "PHONE_NUMBER": (rf"(?<![0-9A-Za-z])(?:\+?86[- ]?)?1[3-9]\d[- ]?\d{{4}}[- ]?\d{{4}}{right}", 0.7),
            "CREDIT_CARD": (rf"{left}(?:62|4\d|5[1-5])\d{{2}}(?:[- ]?\d{{4}}){{3}}(?:[- ]?\d{{1,3}})?{right}", 0.5),
            "CN_PLATE": (r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][·]?[A-Z0-9]{5,6}" + right, 0.7),
            "CN_PASSPORT": (rf"{left}[EeGgDdSsPpHh]\d{{8}}{right}", 0.4),
            "EMAIL_ADDRESS": (r"(?<![0-9A-Za-z._%+-])[0-9A-Za-z._%+-]+@[0-9A-Za-z.-]+\.[A-Za-z]{2,}", 0.7),
            "IBAN_CODE": (rf"{left}[A-Z]{{2}}\d{{2}}(?: ?[A-Z0-9]{{4}}){{3,7}}(?: ?[A-Z0-9]{{1,3}})?{right}", 0.5),
        }
        for entity, (expression, score) in patterns.items():
            registry.add_recognizer(
                PatternRecognizer(entity, patterns=[Pattern(entity, expression, score)], supported_language="zh")
            )
    analyzer = AnalyzerEngine(registry=registry, nlp_engine=engine, supported_languages=["en", "zh"])

    def find(text, language):
        # Without patterns of its own a Chinese text is best read by the English recognizers.
        languages = ["en", "zh"] if with_chinese and language == "zh" else ["en"]
        return [
            (found.start, found.end, PRESIDIO[found.entity_type], found.score)
            for code in languages
            for found in analyzer.analyze(text, language=code)
            if found.entity_type in PRESIDIO
        ]

    return find


def in_python(find, rows, rounds):
    spans = [find(row["text"], row["lang"]) for row in rows]
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        for row in rows:
            find(row["text"], row["lang"])
        seconds.append(time.perf_counter() - start)
    return spans, seconds


def program(path, file, rounds, names):
    said = subprocess.run([path, str(file), str(rounds)], check=True, capture_output=True, text=True).stdout
    *lines, last = said.splitlines()
    spans = [[(s, e, names.get(k), score) for s, e, k, score in json.loads(line)] for line in lines]
    return [[span for span in row if span[2]] for row in spans], json.loads(last)["seconds"]


def best_of_overlaps(spans):
    """Of findings that overlap, the one with the higher score, then the longer: each tool's own rule or close to it."""
    kept = []
    for span in sorted(spans, key=lambda s: (-s[3], s[0] - s[1], s[0])):
        if all(span[1] <= other[0] or other[1] <= span[0] for other in kept):
            kept.append(span)
    return kept


def f1(hit_found, found, hit_gold, gold):
    if not found and not gold:
        return None
    precision, recall = hit_found / max(found, 1), hit_gold / max(gold, 1)
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def score(rows, spans, threshold):
    counts = {kind: [0] * 5 for kind in [*TYPES, "all"]}
    negatives = flagged = 0
    for row, found in zip(rows, spans, strict=True):
        found = best_of_overlaps([span for span in found if span[3] >= threshold])
        if row["kind"] == "hard-negative":
            negatives, flagged = negatives + 1, flagged + bool(found)
        found = {(s, e, kind) for s, e, kind, _ in found if kind in TYPES}
        gold = {(span["start"], span["end"], span["type"]) for span in row["spans"]}

        def meets(span, others):
            return any(span[2] == o[2] and span[0] < o[1] and o[0] < span[1] for o in others)

        for kind in counts:
            g = [span for span in gold if kind in ("all", span[2])]
            f = [span for span in found if kind in ("all", span[2])]
            add = [len(g), len(f), sum(s in found for s in g), sum(meets(s, found) for s in g), sum(meets(s, gold) for s in f)]
            counts[kind] = [a + b for a, b in zip(counts[kind], add, strict=True)]
    by_type = {
        kind: {"gold": g, "exact": f1(exact, f, exact, g), "overlap": f1(hit_f, f, hit_g, g)}
        for kind, (g, f, exact, hit_g, hit_f) in counts.items()
        if g
    }
    return {"f1": by_type, "hard_negatives": negatives, "flagged": flagged}


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--spans", required=True, help="LoreKit's example `spans`")
    arguments.add_argument("--peer", required=True, help="the Rust port over the same rows")
    arguments.add_argument("--rounds", type=int, default=5)
    options = arguments.parse_args()
    # It warns of every recognizer of another language.
    logging.getLogger("presidio-analyzer").setLevel(logging.ERROR)
    plain, chinese = presidio(False), presidio(True)
    ours = {kind: kind for kind in TYPES}
    # Findings of further kinds count where a hard negative must not be flagged.
    every = ours | {k: k for k in ["ORGANISATION", "PERMIT", "CREDIT_CODE", "IP_ADDRESS", "URL_CREDENTIALS", "SECRET",
                                   "UK_NINO", "DATE_OF_BIRTH", "POLICY_NUMBER", "ACCOUNT_NUMBER"]}
    report = {}
    for file in ("synthetic.jsonl", "en-presidio.jsonl"):
        path = options.data / file
        rows = rows_of(path)
        size = sum(len(row["text"].encode()) for row in rows)
        runs = {
            "lorekit": lambda: program(options.spans, path, options.rounds, every),
            "presidio": lambda: in_python(plain, rows, options.rounds),
            "presidio with Chinese patterns": lambda: in_python(chinese, rows, options.rounds),
            "presidio-analyzer (Rust)": lambda: program(options.peer, path, options.rounds, PRESIDIO),
        }
        report[file] = {}
        for name, run in runs.items():
            print(f"{file}: {name}", file=sys.stderr)
            spans, seconds = run()
            if name == "lorekit":
                best = (score(rows, spans, 0.0), None)
            else:
                # Each peer at the threshold that suits it best on these very rows.
                best = max(((score(rows, spans, t), t) for t in THRESHOLDS), key=lambda s: s[0]["f1"]["all"]["exact"])
            report[file][name] = {
                **best[0],
                "threshold": best[1],
                "megabytes_per_second": size / 1e6 / statistics.median(seconds),
                "rounds": options.rounds,
            }
            if file == "synthetic.jsonl":
                part = [row["lang"] == "zh" for row in rows]
                zh = score([r for r, z in zip(rows, part) if z], [s for s, z in zip(spans, part) if z], best[1] or 0.0)
                report[file][name]["chinese"] = zh["f1"]
    table(report)
    versions = {name: version(name) for name in ("presidio-analyzer", "spacy")} | {"python": platform.python_version()}
    print(json.dumps({"sets": report, "versions": versions | {"presidio-analyzer (Rust)": "0.1.11"}}))


def table(report):
    show = lambda value: "   -" if value is None else f"{value:.3f}"
    for file, tools in report.items():
        print(f"\n{file}", file=sys.stderr)
        for name, figures in tools.items():
            print(
                f"  {name}: flagged {figures['flagged']} of {figures['hard_negatives']}, "
                f"{figures['megabytes_per_second']:.2f} MB/s, threshold {figures['threshold']}",
                file=sys.stderr,
            )
        for kind in [*TYPES, "all"]:
            lines = [tools[name]["f1"].get(kind) for name in tools]
            if any(lines):
                cells = " | ".join(f"{show(l and l['exact'])} {show(l and l['overlap'])}" for l in lines)
                print(f"  {kind:10} {lines[0]['gold']:4} | {cells}", file=sys.stderr)


if __name__ == "__main__":
    main()
