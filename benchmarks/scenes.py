"""What each descriptor is worth to a linear SVM: the fifteen scene categories, several random splits.

    python benchmarks/scenes.py SCENES --work FOLDER [--splits N] [--only WORD]

SCENES holds one folder of images for each of the 15 classes (Lazebnik, Schmid and Ponce, CVPR 2006). In each split 100
images of each class train and the others test. Codebooks are fitted to the training images of their split; so is the
SVM, whose cost is chosen by cross-validation among them. Every result is a line of FOLDER/results.jsonl; a run that
was cut off goes on from there. At the end: accuracy (the mean over the classes, then mean and deviation over the
splits), numbers an image, and processor time to describe one of 200 x 200 pixels, SIFT and projection included.
"""

from __future__ import annotations

import argparse
import json
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.lib.format import open_memmap

from imgtool.classifiers.svm import fit_svm
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load as load_dataset
from imgtool.features.codebook import Codebook, fit_codebook, fit_mixture, load, save
from imgtool.features.encoding import LocalSettings
from imgtool.features.fisher import bag_of_words, fisher_vector, signed_root, unit, vlad
from imgtool.features.gist import gist
from imgtool.features.hog import hog
from imgtool.features.pyramid import cells, places
from imgtool.features.sift import quantised, root
from imgtool.features.sparse import llc_codes, pooled
from imgtool.image.resize import resize

OUTDOOR = ("coast", "forest", "highway", "insidecity", "mountain", "opencountry", "street", "tallbuilding")
TRAINING = 100  # images of each class
LOCAL = LocalSettings(step=6, bins=(4, 6, 8), window="flat", root=False)  # as bytes; the root is taken later
SAMPLES = 128_000  # descriptors that codebooks are fitted to
COSTS, FOLDS = (0.1, 1.0, 10.0, 100.0), 3
PYRAMID = ("1x1", "2x2", "3x1")


class Local(NamedTuple):
    """Dense SIFT of all images: values (M, 128) uint8, where (M, 2); image n has rows offsets[n] to offsets[n + 1]."""

    values: np.ndarray
    where: np.ndarray
    offsets: np.ndarray

    def of(self, image: int) -> tuple[np.ndarray, np.ndarray]:
        """Return RootSIFT and places of one image."""
        rows = slice(self.offsets[image], self.offsets[image + 1])
        return root(self.values[rows].astype(np.float32)), self.where[rows]


class Task(NamedTuple):
    """One split: which images train, the seed, and where its codebooks are kept."""

    local: Local
    train: np.ndarray
    seed: int
    folder: Path

    def book(self, name: str, **settings: Any) -> Codebook:
        """Return a codebook of this split, fitted now unless it was before."""
        path = self.folder / f"{name}-{self.seed}.safetensors"
        if not path.exists():
            save(path, self._fitted(**settings))
        return load(path)

    def _fitted(self, *, projected: bool = True, with_places: bool = False, **settings: Any) -> Codebook:
        """Fit to as many descriptors of each training image."""
        generator = np.random.default_rng(self.seed)
        values, where = [], []
        for image in np.flatnonzero(self.train):
            rows, places = self.local.of(image)
            drawn = generator.choice(len(rows), min(len(rows), SAMPLES // int(self.train.sum())), replace=False)
            values.append(rows[drawn])
            where.append(places[drawn])
        sample = np.concatenate(values)
        if projected:
            place = np.concatenate(where) if with_places else None
            return fit_codebook(sample, dimensions=64, seed=self.seed, places=place, **settings)
        mixture = fit_mixture(sample, seed=self.seed, **settings)
        nothing = np.zeros(128, np.float32), np.eye(128, dtype=np.float32)
        return Codebook(*nothing, *(np.asarray(part, np.float32) for part in mixture))


Encoder = Callable[[np.ndarray, np.ndarray], np.ndarray]


def mixture_of(book: Codebook) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    return book.means, book.covariances, book.priors


def fisher(book: Codebook, **flags: bool) -> Encoder:
    return lambda values, where: fisher_vector(book.project(values, where), *mixture_of(book), **flags)


def fisher_pyramid(book: Codebook, levels: tuple[str, ...]) -> Encoder:
    def encode(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        data = book.project(values)
        return unit(np.concatenate([fisher_vector(data[c], *mixture_of(book)) for c in cells(where, levels)]))

    return encode


def words(book: Codebook, *, square_root: bool) -> Encoder:
    def encode(values: np.ndarray, where: np.ndarray) -> np.ndarray:
        shares = bag_of_words(book.project(values), book.means)
        return signed_root(shares) if square_root else shares

    return encode


def aggregated(book: Codebook, **flags: bool) -> Encoder:
    return lambda values, where: vlad(book.project(values), book.means, **flags)


def llc(book: Codebook) -> Encoder:
    """Descriptors of length 1 and cluster centers, as Wang et al. take them."""
    return lambda values, where: pooled(llc_codes(values, book.means), where)


def encoders(task: Task) -> dict[str, Callable[[], Encoder]]:
    """Return what is compared, by name; a codebook is fitted when it is first asked for."""

    def book(k: int, **settings: Any) -> Codebook:
        # where only nearest means count, k-means and one step of EM do
        return task.book(f"{k}-{'-'.join(settings)}", components=k, **settings)

    return {
        "bag of words, K = 64, shares": lambda: words(book(64), square_root=False),
        "bag of words, K = 64": lambda: words(book(64), square_root=True),
        "bag of words, K = 256": lambda: words(book(256), square_root=True),
        "bag of words, K = 1024": lambda: words(book(1024, iterations=1), square_root=True),
        "VLAD, K = 64, no square root": lambda: aggregated(book(64)),
        "VLAD, K = 64": lambda: aggregated(book(64), square_root=True),
        "VLAD, K = 64, each component of length 1": lambda: aggregated(book(64), square_root=True, components=True),
        "Fisher, K = 16": lambda: fisher(book(16)),
        "Fisher, K = 64": lambda: fisher(book(64)),
        "Fisher, K = 256": lambda: fisher(book(256)),
        "Fisher, K = 64, no square root": lambda: fisher(book(64), square_root=False),
        "Fisher, K = 64, no length 1": lambda: fisher(book(64), normalized=False),
        "Fisher, K = 64, neither": lambda: fisher(book(64), square_root=False, normalized=False),
        "Fisher, K = 64, fast": lambda: fisher(book(64), fast=True),
        "Fisher, K = 64, pyramid 1x1,3x1": lambda: fisher_pyramid(book(64), ("1x1", "3x1")),
        "Fisher, K = 64, pyramid 1x1,2x2,3x1": lambda: fisher_pyramid(book(64), PYRAMID),
        "Fisher, K = 64, places": lambda: fisher(book(64, with_places=True)),
        "Fisher, K = 64, no projection": lambda: fisher(book(64, projected=False)),
        "LLC, K = 1024, pyramid 1x1,2x2,4x4": lambda: llc(book(1024, projected=False, iterations=1)),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", type=int, default=5)
    parser.add_argument("--only", default="", metavar="WORD", help="rows whose name begins so")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(arguments.scenes).train
    results = Results(arguments.work / "results.jsonl")
    local, describing = local_descriptors(dataset, arguments.work)
    for seed in range(arguments.splits):
        train = chosen(dataset.labels, seed)
        whole_images(dataset, train, seed, results, arguments)
        encodings(dataset.labels, Task(local, train, seed, arguments.work), describing, results, arguments.only)
    results.table()


def chosen(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return which images train: so many of each class, drawn at random."""
    generator = np.random.default_rng(seed)
    train = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        train[generator.choice(np.flatnonzero(labels == label), TRAINING, replace=False)] = True
    return train


def whole_images(dataset: Dataset, train: np.ndarray, seed: int, results: Results, arguments: Any) -> None:
    """Judge the descriptors that need no codebook."""
    outdoor = np.isin(dataset.labels, [dataset.classes.index(name) for name in OUTDOOR])
    rows = {"HoG": (hog_of, "hog", None), "GIST": (gist, "gist", None)}
    rows["GIST, eight outdoor classes"] = gist, "gist", outdoor
    for name, (describe, file, among) in rows.items():
        if not name.startswith(arguments.only) or results.has(name, seed):
            continue
        features, seconds = described(dataset, describe, arguments.work / f"{file}.npz")
        kept = np.full(len(features), True) if among is None else among
        _, labels = np.unique(dataset.labels[kept], return_inverse=True)
        judged = judge(features[kept], labels, train[kept], seed, standardize=file == "gist")
        results.add(name, seed, features.shape[1], seconds, *judged)


def hog_of(image: np.ndarray) -> np.ndarray:
    """Return HoG of the image brought to 96 x 96 pixels, as hog-svm takes it."""
    return hog(resize(image, 96, 96))


def described(dataset: Dataset, describe: Callable[[np.ndarray], np.ndarray], path: Path) -> tuple[np.ndarray, float]:
    """Return (N, D) float32 and the seconds an image, computed now unless they were before."""
    if not path.exists():
        begin = time.process_time()
        features = np.stack([describe(dataset.image(image)).reshape(-1) for image in range(len(dataset))])
        whole(path, lambda file: np.savez(file, features=features, seconds=time.process_time() - begin))
    stored = np.load(path)
    return stored["features"], float(stored["seconds"]) / len(dataset)


def local_descriptors(dataset: Dataset, work: Path) -> tuple[Local, float]:
    """Return dense SIFT of all images and the seconds an image, computed now unless they were before."""
    names = ("values", "where", "offsets")
    if not (work / "offsets.npy").exists():
        begin = time.process_time()
        with open(work / "values.part", "wb") as values:
            where, counts = [], [0]
            for image in range(len(dataset)):
                pixels = dataset.image(image)
                found = LOCAL.describe(pixels)
                values.write(quantised(found.values).tobytes())
                where.append(places(found.frames, *pixels.shape[:2]))
                counts.append(len(found.values))
        offsets = np.cumsum(counts)
        stored = open_memmap(work / "values.npy", "w+", np.uint8, (int(offsets[-1]), 128))
        stored[:] = np.memmap(work / "values.part", np.uint8, "r", shape=stored.shape)
        (work / "values.part").unlink()
        np.save(work / "where.npy", np.concatenate(where))
        (work / "seconds.txt").write_text(str((time.process_time() - begin) / len(dataset)))
        whole(work / "offsets.npy", lambda file: np.save(file, offsets))
    local = Local(*(np.load(work / f"{name}.npy", mmap_mode="r") for name in names))
    return local, float((work / "seconds.txt").read_text())


def encodings(labels: np.ndarray, task: Task, describing: float, results: Results, only: str) -> None:
    """Judge all encodings of one split that were not judged before; each image's descriptors are looked at once."""
    missing = [name for name in encoders(task) if name.startswith(only) and not results.has(name, task.seed)]
    ready = {name: encoders(task)[name]() for name in missing}
    tables: dict[str, np.ndarray] = {}
    spent = dict.fromkeys(ready, 0.0)
    for image in range(len(labels) if ready else 0):
        values, where = task.local.of(image)
        for name, encode in ready.items():
            begin = time.process_time()
            vector = encode(values, where)
            spent[name] += time.process_time() - begin
            tables.setdefault(name, np.empty((len(labels), len(vector)), np.float32))[image] = vector
    for name in ready:
        features = tables.pop(name)
        judged = judge(features, labels, task.train, task.seed)
        results.add(name, task.seed, features.shape[1], describing + spent[name] / len(labels), *judged)


def judge(
    features: np.ndarray, labels: np.ndarray, train: np.ndarray, seed: int, *, standardize: bool = False
) -> tuple[float, float]:
    """Return the mean of the classes' accuracies on the test images, and the cost that was chosen.

    All vectors are divided by the mean length of the training ones, so that the same costs suit all descriptors.
    """
    if standardize:
        features = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
    features = in_span(features / np.linalg.norm(features[train], axis=1).mean(), train)
    machine, found = fit_svm(features[train], labels[train], int(labels.max()) + 1, costs=COSTS, folds=FOLDS, seed=seed)
    right = machine.margins(features[~train]).argmax(axis=1) == labels[~train]
    return float(np.mean([right[labels[~train] == label].mean() for label in np.unique(labels)])), found["cost"]


def in_span(features: np.ndarray, train: np.ndarray) -> np.ndarray:
    """Return coordinates of all vectors within the span of the training ones, in an orthonormal basis.

    A linear SVM's weights lie in that span, so it is the same machine; long vectors take far less time.
    """
    rows = features[train]
    if features.shape[1] <= len(rows):
        return features
    sizes, vectors = np.linalg.eigh((rows @ rows.T).astype(np.float64))
    kept = sizes > 1e-6 * sizes[-1]
    return ((features @ rows.T) @ (vectors[:, kept] / np.sqrt(sizes[kept])).astype(np.float32)).astype(np.float32)


class Results:
    """Lines of a file, one for each descriptor and split."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def has(self, name: str, seed: int) -> bool:
        return any((row["name"], row["split"]) == (name, seed) for row in self.rows)

    def add(self, name: str, seed: int, dimension: int, seconds: float, accuracy: float, cost: float) -> None:
        row = {"name": name, "split": seed, "accuracy": accuracy, "dimension": dimension}
        self.rows.append({**row, "milliseconds": 1e3 * seconds, "cost": cost})
        with open(self.path, "a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")
        print(self.rows[-1], flush=True)

    def table(self) -> None:
        """Print what the splits say together."""
        heads = "descriptor", "numbers", "accuracy %", "deviation", "ms an image", "splits"
        print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
        for name in dict.fromkeys(row["name"] for row in self.rows):
            rows = [row for row in self.rows if row["name"] == name]
            accuracies = [100 * row["accuracy"] for row in rows]
            deviation = np.std(accuracies, ddof=1) if len(rows) > 1 else float("nan")
            milliseconds = np.mean([row["milliseconds"] for row in rows])
            print(
                f"| {name} | {rows[0]['dimension']:,} | {np.mean(accuracies):.1f} | {deviation:.1f}"
                f" | {milliseconds:.1f} | {len(rows)} |"
            )


def whole(path: Path, write: Callable[[Any], None]) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        write(file)
    os.replace(part, path)


if __name__ == "__main__":
    main()
