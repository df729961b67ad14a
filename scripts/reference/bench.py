"""What the benchmarks share: this machine's description, memory of a process, running `lore bench`, medians, tables."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from datetime import datetime, timezone
from pathlib import Path

from engines import cpu_name


def machine(threads: int) -> dict:
    """CPU, system and date, for the head of a report."""
    return {
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "system": " ".join((os.uname().sysname, os.uname().release, os.uname().machine)),
        "threads": threads,
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
    }


def memory() -> dict[str, float]:
    """Resident, anonymous and peak memory of this process in MiB; zeros where the system does not tell."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        lines = []
    values = {line.split(":")[0]: line.split()[1] for line in lines if line.startswith(("VmRSS", "RssAnon", "VmHWM"))}
    keys = {"resident": "VmRSS", "anonymous": "RssAnon", "peak": "VmHWM"}
    return {name: float(values.get(key, 0)) / 1024 for name, key in keys.items()}


def timed(run) -> float:
    """Seconds of wall time."""
    started = time.perf_counter()
    run()
    return time.perf_counter() - started


def median_time(repeats: int, run) -> float:
    return statistics.median(timed(run) for _ in range(max(1, repeats)))


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
