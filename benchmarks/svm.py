"""Time and memory of fitting a linear support vector machine to long vectors that lie in a file.

    python benchmarks/svm.py [ROWS] [LENGTH] [CLASSES] [--folder FOLDER]

By default 9,469 rows of 167,936 numbers, ten classes: Imagenette's training images as Fisher vectors of 82 dimensions
and 256 Gaussians in four cells, 6.4 GB in float32, drawn at random around a center for each class. Two folds of
cross-validation, three costs, and the final fit. Memory is the largest growth of what belongs to the process alone
(RssAnon of Linux, 20 times a second): pages of the mapped file can be dropped by the system at any time.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from imgtool.classifiers.classic.svm import fit_svm

COSTS = (0.1, 1.0, 10.0)
FOLDS = 2
DRAWN_ROWS = 64  # at once
SPREAD = 8.0  # of rows around their class's center, whose numbers have deviation 1


def vectors(place: Path, rows: int, length: int, labels: np.ndarray) -> np.ndarray:
    """Draw rows of length 1, write them to a file, and return it mapped."""
    rng = np.random.default_rng(0)
    centers = rng.standard_normal((int(labels.max()) + 1, length), np.float32)
    table = np.lib.format.open_memmap(place, "w+", np.float32, (rows, length))
    for begin in range(0, rows, DRAWN_ROWS):
        own = labels[begin : begin + DRAWN_ROWS]
        some = centers[own] + SPREAD * rng.standard_normal((len(own), length), np.float32)
        table[begin : begin + DRAWN_ROWS] = some / np.linalg.norm(some, axis=1, keepdims=True)
    table.flush()
    return np.load(place, mmap_mode="r")


def own_bytes() -> int:
    """Return the memory that belongs to this process alone."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


class Watch:
    """The largest growth of memory in a block."""

    def __enter__(self) -> Watch:
        self.before = self.most = own_bytes()
        self.done = threading.Event()
        self.thread = threading.Thread(target=self._look)
        self.thread.start()
        return self

    def _look(self) -> None:
        while not self.done.wait(0.05):
            self.most = max(self.most, own_bytes())

    def __exit__(self, *_: object) -> None:
        self.done.set()
        self.thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("rows", nargs="?", type=int, default=9469)
    parser.add_argument("length", nargs="?", type=int, default=167_936)
    parser.add_argument("classes", nargs="?", type=int, default=10)
    parser.add_argument("--folder", type=Path)
    own = parser.parse_args()
    labels = np.arange(own.rows) % own.classes
    with tempfile.TemporaryDirectory(dir=own.folder) as folder:
        table = vectors(Path(folder, "vectors.npy"), own.rows, own.length, labels)
        with Watch() as watch:
            begin, processor = time.perf_counter(), time.process_time()
            machine, found, _ = fit_svm(table, labels, own.classes, costs=COSTS, folds=FOLDS)
            seconds, processor = time.perf_counter() - begin, time.process_time() - processor
        print("| rows | numbers | in float32 | matrix of products | memory | seconds | processor | cross-validated |")
        print("| --: | --: | --: | --: | --: | --: | --: | --: |")
        print(
            f"| {own.rows:,} | {own.length:,} | {table.nbytes / 1e9:.2f} GB | {own.rows**2 * 4 / 1e6:.0f} MB "
            f"| {(watch.most - watch.before) / 1e6:.0f} MB | {seconds:.0f} | {processor:.0f} "
            f"| {max(found['cross_validated_accuracy'].values()):.3f} |"
        )
        assert machine.length == own.length


if __name__ == "__main__":
    main()
