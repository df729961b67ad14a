"""Other vector indexes on the vectors of the bench at scale: one step of one program, as JSON.

    bench_scale.py build  ENGINE FOLDER EXPANSION
    bench_scale.py search ENGINE FOLDER EXPANSION

ENGINE is `hnswlib`, `faiss` or `sqlite-vec`. FOLDER is what `scale data` wrote (`rust/store/examples/scale`). The graphs have
the parameters of a pack's graph: 16 neighbours (32 on the lowest level), 128 candidates while adding, EXPANSION while
searching. Each is built by one thread. A search goes through the Python binding, which costs some microseconds of its own.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import numpy as np

CONNECTIVITY = 16
EXPANSION_ADD = 128
NEAREST = 10
ROUNDS = 5
MOST_SECONDS = 10

Search = Callable[[np.ndarray], list[int]]


class Timer:
    """Wall time and the process's CPU time since it was made."""

    def __init__(self) -> None:
        self.wall, self.cpu = time.perf_counter(), time.process_time()

    def seconds(self) -> dict[str, float]:
        return {"wall": round(time.perf_counter() - self.wall, 3), "cpu": round(time.process_time() - self.cpu, 2)}


def memory() -> dict[str, float]:
    """Resident memory in MiB, as the Rust side reports it."""

    def read(file: str, name: str) -> float:
        for line in Path(file).read_text().splitlines():
            if line.startswith(name):
                return int(line.split()[1]) / 1024
        return float("nan")

    rollup = "/proc/self/smaps_rollup"
    everything, anonymous = read(rollup, "Rss:"), read(rollup, "Anonymous:")
    peak = read("/proc/self/status", "VmHWM:")
    return {
        "mapped_mib": round(everything - anonymous, 1),
        "anonymous_mib": round(anonymous, 1),
        "peak_mib": round(peak, 1),
    }


def read(folder: Path, name: str) -> np.ndarray:
    dims = int((folder / "dims").read_text())
    return np.fromfile(folder / name, dtype="<f4").reshape(-1, dims)


class Hnswlib:
    """Vectors as f32 and the graph, read into memory."""

    def __init__(self, folder: Path, expansion: int) -> None:
        import hnswlib

        self.file = str(folder / "hnswlib.index")
        self.dims = int((folder / "dims").read_text())
        self.index = hnswlib.Index(space="cosine", dim=self.dims)
        self.expansion = expansion

    def build(self, vectors: np.ndarray) -> None:
        self.index.init_index(max_elements=len(vectors), ef_construction=EXPANSION_ADD, M=CONNECTIVITY)
        self.index.add_items(vectors, num_threads=1)
        self.index.save_index(self.file)

    def open(self) -> Callable[[], Search]:
        self.index.load_index(self.file)
        self.index.set_ef(self.expansion)
        return lambda: lambda query: self.index.knn_query(query, k=NEAREST, num_threads=1)[0][0].tolist()


class Faiss:
    """`IndexHNSWFlat`: vectors as f32 and the graph, read into memory."""

    def __init__(self, folder: Path, expansion: int) -> None:
        import faiss

        faiss.omp_set_num_threads(1)
        self.faiss, self.file, self.expansion = faiss, str(folder / "faiss.index"), expansion

    def build(self, vectors: np.ndarray) -> None:
        index = self.faiss.IndexHNSWFlat(vectors.shape[1], CONNECTIVITY, self.faiss.METRIC_INNER_PRODUCT)
        index.hnsw.efConstruction = EXPANSION_ADD
        index.add(vectors)
        self.faiss.write_index(index, self.file)

    def open(self) -> Callable[[], Search]:
        index = self.faiss.read_index(self.file)
        index.hnsw.efSearch = self.expansion
        return lambda: lambda query: index.search(query[None, :], NEAREST)[1][0].tolist()


class SqliteVec:
    """Vectors as f32 in a database; each search reads all of them."""

    def __init__(self, folder: Path, _expansion: int) -> None:
        self.file = folder / "sqlite-vec.db"
        self.dims = int((folder / "dims").read_text())

    def connect(self) -> apsw.Connection:
        import sqlite_vec

        database = apsw.Connection(str(self.file))
        database.enable_load_extension(True)
        database.load_extension(sqlite_vec.loadable_path())
        return database

    def build(self, vectors: np.ndarray) -> None:
        self.file.unlink(missing_ok=True)
        database = self.connect()
        # Vectors are of length one, where cosine and Euclidean distance rank alike.
        database.execute(f"CREATE VIRTUAL TABLE passages USING vec0(vector float[{self.dims}])")
        rows = ((number, vector.tobytes()) for number, vector in enumerate(vectors))
        with database:
            database.executemany("INSERT INTO passages(rowid, vector) VALUES (?, ?)", rows)
        database.close()

    def open(self) -> Callable[[], Search]:
        self.connect().close()
        question = "SELECT rowid FROM passages WHERE vector MATCH ? AND k = ? ORDER BY distance"

        def thread() -> Search:
            database = self.connect()
            return lambda query: [row for (row,) in database.execute(question, (query.tobytes(), NEAREST))]

        return thread


ENGINES = {"hnswlib": Hnswlib, "faiss": Faiss, "sqlite-vec": SqliteVec}


def timed(queries: np.ndarray, thread: Callable[[], Search], n_threads: int) -> dict[str, float]:
    """Single searches by some threads at once: five rounds, or as many as ten seconds allow, but one."""
    times: list[float] = []

    def work(number: int) -> None:
        search, own, begin = thread(), [], time.monotonic()
        for turn in range(ROUNDS):
            if turn and time.monotonic() - begin >= MOST_SECONDS:
                break
            for query in np.roll(queries, -7 * number, axis=0):
                start = time.perf_counter()
                search(query)
                own.append((time.perf_counter() - start) * 1e3)
        times.extend(own)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(n_threads)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    times.sort()
    p50, p99 = (round(times[int((len(times) - 1) * share)], 3) for share in (0.5, 0.99))
    return {"p50_ms": p50, "p99_ms": p99, "searches": len(times)}


def main() -> None:
    step, engine, place, expansion = sys.argv[1:]
    folder = Path(place)
    index = ENGINES[engine](folder, int(expansion))
    if step == "build":
        vectors = read(folder, "vectors.f32")
        timer = Timer()
        index.build(vectors)
        file = index.file
        print(json.dumps({"seconds": timer.seconds(), "file_bytes": os.path.getsize(file), "memory": memory()}))
        return
    queries = read(folder, "queries.f32")
    truth = np.fromfile(folder / "truth.u32", dtype="<u4").reshape(-1, NEAREST)
    # What the interpreter and its packages take is no index.
    before, timer = memory(), Timer()
    thread = index.open()
    opened, after = timer.seconds(), memory()
    search = thread()
    found = sum(len(set(search(query)) & set(row.tolist())) for query, row in zip(queries, truth))
    report = {"recall_at_10": round(found / truth.size, 4)}
    for n_threads in (1, 2):
        report[f"threads_{n_threads}"] = timed(queries, thread, n_threads)
    print(
        json.dumps(
            {
                "open_seconds": opened,
                "memory_before": before,
                "memory_open": after,
                "memory_searched": memory(),
                "search": report,
            }
        )
    )


if __name__ == "__main__":
    main()
