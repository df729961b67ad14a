"""What the benchmarks share: this machine's description, memory of a process, running `lore bench`, medians, tables."""

from __future__ import annotations

import html
import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from engines import cpu_name


def machine(threads: list[int]) -> dict:
    """CPU, system and date, for the head of a report."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": " ".join((os.uname().sysname, os.uname().release, os.uname().machine)),
        "threads": threads,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def memory() -> dict[str, float]:
    """Resident, anonymous, mapped and peak memory of this process in MiB; zeros where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon", "RssFile", "VmHWM"))}
    keys = {"resident": "VmRSS", "anonymous": "RssAnon", "mapped": "RssFile", "peak": "VmHWM"}
    return {name: float(values.get(key, 0)) / 1024 for name, key in keys.items()}


def timed(run) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median_time(repeats: int, run) -> float:
    return statistics.median(timed(run) for _ in range(max(1, repeats)))


def median_times(repeats: int, run) -> tuple[float, float]:
    """Medians of seconds of wall time and of this process's processor time."""
    runs = []
    for _ in range(max(1, repeats)):
        started, before = time.perf_counter(), time.process_time()
        run()
        runs.append((time.perf_counter() - started, time.process_time() - before))
    return tuple(statistics.median(column) for column in zip(*runs))


def measure(command: list[str]) -> dict:
    """Runs a program that prints one JSON object on its last line; adds its CPU seconds and the load before it."""
    load = os.getloadavg()[0]
    before = os.times()
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
    after = os.times()
    if done.returncode != 0:
        sys.exit(f"{Path(command[0]).name} ended with code {done.returncode}")
    result = json.loads(done.stdout.strip().splitlines()[-1])
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return result | {"cpu_s": round(cpu, 2), "load_before": round(load, 2)}


class Runs:
    """Results of single runs, kept line by line in a file beside the report, so that an interrupted benchmark goes on."""

    def __init__(self, report: Path | None, resume: bool):
        self.path = report.with_suffix(".runs.jsonl") if report else None
        self.found: dict[str, dict] = {}
        if self.path and self.path.exists():
            if resume:
                lines = self.path.read_text().splitlines()
                self.found = {line["run"]: line["result"] for line in map(json.loads, lines)}
            else:
                self.path.unlink()

    def get(self, name: str, run) -> dict:
        """The result of that name, measured now if it is not there."""
        if name not in self.found:
            started = time.perf_counter()
            self.found[name] = run()
            print(f"{name}: {time.perf_counter() - started:.0f} s", file=sys.stderr, flush=True)
            if self.path:
                with open(self.path, "a") as file:
                    file.write(json.dumps({"run": name, "result": self.found[name]}) + "\n")
        return self.found[name]


def bars(path: Path, title: str, note: str, groups: list[tuple[str, list[tuple[str, float]]]]) -> None:
    """Draws ratios as bars from the left, with a line at 1, into an SVG file."""
    left, width, row = 230, 420, 18
    most = max([value for _, rows in groups for _, value in rows] + [1.0])
    at = lambda value: left + width * value / most
    out, y = [], 64
    text = lambda x, y, s, more="": f'<text x="{x:.0f}" y="{y:.0f}" {more}>{html.escape(s)}</text>'
    for name, rows in groups:
        out.append(text(16, y + 20, name, 'font-weight="600" fill="#1f2328"'))
        y += 30
        for label, value in rows:
            colour = "#3366aa" if value >= 1 else "#b35900"
            out.append(text(left - 10, y + 12, label, 'text-anchor="end" fill="#59636e"'))
            out.append(
                f'<rect x="{left}" y="{y + 2}" width="{at(value) - left:.1f}" height="{row - 6}" rx="2" fill="{colour}"/>'
            )
            out.append(text(at(value) + 6, y + 12, f"{value:.2f}x", 'fill="#1f2328"'))
            y += row
        y += 8
    size = f'width="740" height="{y + 16}" viewBox="0 0 740 {y + 16}"'
    head = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" font-size="12">',
        '<rect width="100%" height="100%" fill="#ffffff"/>',
        text(16, 28, title, 'font-size="16" font-weight="600" fill="#1f2328"'),
        text(16, 46, note, 'fill="#59636e"'),
        f'<line x1="{at(1):.1f}" x2="{at(1):.1f}" y1="64" y2="{y}" stroke="#8c959f" stroke-dasharray="3 3"/>',
    ]
    path.write_text("\n".join([*head, *out, "</svg>"]) + "\n")


def medians(runs: list[dict]) -> dict:
    """Key by key median of the numbers of several runs of one thing; other values are the first run's."""
    first = runs[0]
    numeric = {k for k, v in first.items() if isinstance(v, int | float) and not isinstance(v, bool)}
    return {k: statistics.median(run[k] for run in runs) if k in numeric else first[k] for k in first}


def warn_of_load(runs: list[dict]) -> None:
    """Figures of a busy machine are not worth keeping: says so."""
    loads = [run["load_before"] for run in runs]
    if max(loads) > 1.5:
        print(f"warning: load average up to {max(loads)} before a run: the machine was busy, repeat when it is quiet")


def table(head: list[str], rows: list[list[str]]) -> str:
    """A Markdown table with aligned columns."""
    widths = [max(len(row[i]) for row in [head, *rows]) for i in range(len(head))]
    line = lambda row: "| " + " | ".join(cell.ljust(w) for cell, w in zip(row, widths)) + " |"
    return "\n".join([line(head), "|" + "|".join("-" * (w + 2) for w in widths) + "|", *map(line, rows)])
