"""What each descriptor is worth to a linear SVM: the fifteen scene categories, several random splits.

    python benchmarks/scenes.py SCENES --work FOLDER [--splits 0,1,2,3,4]
    OPENBLAS_NUM_THREADS=1 python benchmarks/scenes.py SCENES --work FOLDER --time
    python benchmarks/scenes.py SCENES --work FOLDER --why
    python benchmarks/scenes.py SCENES --work FOLDER --radial
    python benchmarks/scenes.py SCENES --work FOLDER --networks efficientnet-lite0@imagenet,alexnet@imagenette

SCENES holds one folder of images for each of the 15 classes (Lazebnik, Schmid and Ponce, CVPR 2006). In each split 100
images of each class train and the others test. Codebooks are fitted to the training images of their split; so is the
SVM, whose cost is chosen by cross-validation among them. Every result is a line of FOLDER/results.jsonl; a run that
was cut off goes on from there. The table: accuracy (the mean over the classes; mean and deviation over the splits),
average precision, and numbers an image. `--time` measures how long it takes to describe one, with the codebooks of
split 0; `--why` adds rows that explain others;
`--radial` judges HoG and GIST with machines as hog-svm and gist-svm fit them, and nothing else;
`--networks` judges features of networks, and nothing else. These are
computed once for all images, by `describe_images`, and used in every split.

ScSPM and LLC have one dictionary, and so one vector of each image, for all splits of a FOLDER: sparse coding takes ten
minutes. It is learned from the training images of the split that comes first; some of them test in the other splits.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.metrics import average_precision_score

from imgtool.classifiers.classic.cnn_svm import CnnSvmParameters
from imgtool.classifiers.classic.svm import fit_svm
from imgtool.classifiers.embedding import Embedding
from imgtool.classifiers.registry import create
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.feature_file import load
from imgtool.datasets.formats import load_dataset
from imgtool.features.codebook import Codebook, fit_codebook, fit_mixture, load_codebook, save_codebook
from imgtool.features.encoding import LocalSettings, encode_sparsely, fit_dictionary
from imgtool.features.fisher import bag_of_words, fisher_vector, signed_root, unit, vlad
from imgtool.features.gist import gist
from imgtool.features.hog import hog
from imgtool.features.pyramid import cells, places
from imgtool.features.sift import quantize, root
from imgtool.image.resize import resize
from imgtool.pipelines.describe import describe_images

OUTDOOR = ("coast", "forest", "highway", "insidecity", "mountain", "opencountry", "street", "tallbuilding")
TRAINING = 100  # images of each class
LOCAL = LocalSettings(step=6, bins=(4, 6, 8), window="flat", root=False)  # as bytes; the root is taken later
PATCHES = LocalSettings(step=6, bins=(4,), window="gaussian", root=False)  # of ScSPM: 16 x 16 pixels
SAMPLES, ITERATIONS = 64_000, 30  # descriptors that codebooks are fitted to, steps of EM
COSTS, FOLDS = (1.0, 10.0), 2
LAST, SHUFFLED = "bag of words, K = 1024", "Fisher, K = 64, pyramid 1x1,3x1, thirds in any order"


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

    local: Any  # Local, None where only whole images are described
    train: np.ndarray
    seed: int
    folder: Path

    def book(self, name: str, **settings: Any) -> Codebook:
        """Return a codebook of this split, fitted now unless it was before."""
        path = self.folder / f"{name}-{self.seed}.safetensors"
        if not path.exists():
            save_codebook(path, self._fitted(**settings))
        return load_codebook(path)

    def sample(self) -> tuple[np.ndarray, np.ndarray]:
        """Return descriptors and places, as many of each training image."""
        generator = np.random.default_rng(self.seed)
        values, where = [], []
        for image in np.flatnonzero(self.train):
            rows, places = self.local.of(image)
            drawn = generator.choice(len(rows), min(len(rows), SAMPLES // int(self.train.sum())), replace=False)
            values.append(rows[drawn])
            where.append(places[drawn])
        return np.concatenate(values), np.concatenate(where)

    def _fitted(self, *, projected: bool = True, with_places: bool = False, **settings: Any) -> Codebook:
        """Fit to descriptors of the training images."""
        sample, where = self.sample()
        if projected:
            place = where if with_places else None
            return fit_codebook(sample, dimensions=64, seed=self.seed, places=place, iterations=ITERATIONS, **settings)
        mixture = fit_mixture(sample, seed=self.seed, iterations=ITERATIONS, **settings)
        nothing = np.zeros(128, np.float32), np.eye(128, dtype=np.float32)
        return Codebook(*nothing, *(np.asarray(part, np.float32) for part in mixture))


Vectors = dict[str, np.ndarray]
Encoder = Callable[[np.ndarray, np.ndarray], Vectors]  # of descriptors and their places: vectors by name


def words(book: Codebook) -> Encoder:
    def encode(values: np.ndarray, where: np.ndarray) -> Vectors:
        shares = bag_of_words(book.project(values), book.means)
        name = f"bag of words, K = {book.components}"
        return {f"{name}, without square root": shares, name: signed_root(shares)}

    return encode


def aggregated(book: Codebook) -> Encoder:
    def encode(values: np.ndarray, where: np.ndarray) -> Vectors:
        sums = vlad(book.project(values), book.means, normalized=False)
        name, rooted = f"VLAD, K = {book.components}", signed_root(sums)
        by_component = unit(rooted.reshape(book.means.shape)).reshape(-1)
        return {
            f"{name}, without square root": unit(sums),
            name: unit(rooted),
            f"{name}, by component": unit(by_component),
        }

    return encode


def fisher(book: Codebook, remark: str = "", *, ablations: bool = False) -> Encoder:
    def encode(values: np.ndarray, where: np.ndarray) -> Vectors:
        mixture = book.means, book.covariances, book.priors
        plain = fisher_vector(book.project(values, where), *mixture, square_root=False, normalized=False)
        name = f"Fisher, K = {book.components}{remark}"
        vectors = {name: unit(signed_root(plain))}
        if ablations:
            vectors[f"{name}, without square root"] = unit(plain)
            vectors[f"{name}, without length 1"] = signed_root(plain)
            vectors[f"{name}, without both"] = plain
        return vectors

    return encode


def fisher_pyramids(book: Codebook) -> Encoder:
    def encode(values: np.ndarray, where: np.ndarray) -> Vectors:
        data, mixture = book.project(values), (book.means, book.covariances, book.priors)
        whole, thirds, quarters = (
            np.concatenate([fisher_vector(data[inside], *mixture) for inside in cells(where, [level])])
            for level in ("1x1", "3x1", "2x2")
        )
        name = f"Fisher, K = {book.components}, pyramid"
        return {
            f"{name} 1x1,3x1": unit(np.concatenate([whole, thirds])),
            f"{name} 1x1,2x2,3x1": unit(np.concatenate([whole, quarters, thirds])),
        }

    return encode


def encoders(task: Task) -> dict[str, Encoder]:
    """Return what encodes descriptors; codebooks are fitted now where they were not before."""
    small, middle, large, largest = (task.book(f"{k}", components=k) for k in (16, 64, 256, 1024))
    placed = task.book("64-places", components=64, with_places=True)
    unprojected = task.book("64-unprojected", components=64, projected=False)
    return {
        "bag of words, K = 64": words(middle),
        "bag of words, K = 256": words(large),
        "VLAD, K = 64": aggregated(middle),
        "Fisher, K = 16": fisher(small),
        "Fisher, K = 64": fisher(middle, ablations=True),
        "Fisher, K = 256": fisher(large),
        "Fisher, K = 64, places": fisher(placed, ", places"),
        "Fisher, K = 64, without projection": fisher(unprojected, ", without projection"),
        "Fisher, K = 64, pyramid 1x1,2x2,3x1": fisher_pyramids(middle),
        "bag of words, K = 1024": words(largest),
    }


def reasons(task: Task) -> dict[str, Encoder]:
    """Return what shows why length 1 and the pyramid are worth more or less here than on other images."""
    book, generator = task.book("64", components=64), np.random.default_rng(task.seed)
    others, mixture = task.sample()[0], (book.means, book.covariances, book.priors)

    def diluted(values: np.ndarray, where: np.ndarray) -> Vectors:
        """A share of 0 to 80 % of the descriptors gives way to some of other images."""
        replaced = generator.random(len(values)) < generator.uniform(0, 0.8)
        values = values.copy()
        values[replaced] = others[generator.choice(len(others), int(replaced.sum()))]
        rooted = signed_root(fisher_vector(book.project(values), *mixture, square_root=False, normalized=False))
        return {"Fisher, K = 64, diluted": unit(rooted), "Fisher, K = 64, diluted, without length 1": rooted}

    def shuffled(values: np.ndarray, where: np.ndarray) -> Vectors:
        """The cells are there, but not which is where."""
        data = book.project(values)
        thirds = [fisher_vector(data[inside], *mixture) for inside in cells(where, ["3x1"])]
        mixed = [thirds[index] for index in generator.permutation(3)]
        return {SHUFFLED: unit(np.concatenate([fisher_vector(data, *mixture), *mixed]))}

    return {"diluted": diluted, "shuffled": shuffled}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--splits", default="0,1,2,3,4", metavar="SEEDS")
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--why", action="store_true")
    parser.add_argument("--radial", action="store_true")
    parser.add_argument("--networks", default="", metavar="NAMES")
    arguments = parser.parse_args()
    arguments.work.mkdir(parents=True, exist_ok=True)
    dataset = load_dataset(arguments.scenes).train
    results = Results(arguments.work / "results.jsonl")
    splits = [int(seed) for seed in arguments.splits.split(",")]
    if arguments.networks:
        names = arguments.networks.split(",")
        if arguments.time:
            print_times(dataset, {name: Embedding.of(name) for name in names})
            return
        for name in names:
            embeddings(dataset, name, splits, arguments.work, results)
        results.table()
        return
    if arguments.radial:
        for seed in splits:
            radial(dataset, Task(None, chosen(dataset.labels, seed), seed, arguments.work), results)
        results.table()
        return
    local = local_descriptors(dataset, arguments.work)
    for seed in splits:
        task = Task(local, chosen(dataset.labels, seed), seed, arguments.work)
        if arguments.time:
            times(dataset, task)
            return
        if arguments.why:
            encodings(dataset.labels, task, results, reasons, SHUFFLED)
        else:
            whole_images(dataset, task, results)
            sparse_codes(dataset, task, results)
            encodings(dataset.labels, task, results, encoders, LAST)
    results.table()


def chosen(labels: np.ndarray, seed: int) -> np.ndarray:
    """Return which images train: so many of each class, drawn at random."""
    generator = np.random.default_rng(seed)
    train = np.zeros(len(labels), bool)
    for label in np.unique(labels):
        train[generator.choice(np.flatnonzero(labels == label), TRAINING, replace=False)] = True
    return train


def whole_images(dataset: Dataset, task: Task, results: Results) -> None:
    """Judge the descriptors that need no codebook."""
    outdoor = np.isin(dataset.labels, [dataset.classes.index(name) for name in OUTDOOR])
    everything = np.full(len(dataset), True)
    for name, describe, kept in (
        ("HoG", hog_of, everything), ("GIST", gist, everything), ("GIST, eight outdoor classes", gist, outdoor)
    ):  # fmt: skip
        if not results.has(name, task.seed):
            features = described(dataset, describe, task.folder / f"{describe.__name__}.npy")[kept]
            _, labels = np.unique(dataset.labels[kept], return_inverse=True)
            judged = judge(features, labels, task.train[kept], task.seed, standardize=describe is gist)
            results.add(name, task.seed, features.shape[1], judged)


def radial(dataset: Dataset, task: Task, results: Results) -> None:
    """Judge whole images as hog-svm and gist-svm learn them: with a radial kernel, its width and cost chosen."""
    outdoor = np.isin(dataset.labels, [dataset.classes.index(name) for name in OUTDOOR])
    everything = np.full(len(dataset), True)
    for name, describe, model, kept in (
        ("HoG, radial", hog_of, "hog-svm", everything),
        ("GIST, radial", gist, "gist-svm", everything),
        ("GIST, radial, eight outdoor classes", gist, "gist-svm", outdoor),
    ):
        if not results.has(name, task.seed):
            features = described(dataset, describe, task.folder / f"{describe.__name__}.npy")[kept]
            _, labels = np.unique(dataset.labels[kept], return_inverse=True)
            train, own = task.train[kept], create(model).parameters
            machine, found, _ = fit_svm(
                features[train],
                labels[train],
                int(labels.max()) + 1,
                kernel=own.kernel,
                costs=own.costs,
                gammas=own.gammas,
                folds=own.folds,
                seed=task.seed,
            )
            judged = measured(machine.margins(features[~train]), labels[~train], found["cost"])
            results.add(name, task.seed, features.shape[1], judged)


def embeddings(dataset: Dataset, network: str, splits: list[int], work: Path, results: Results) -> None:
    """Judge the features of a network: with the costs of all rows here, and as cnn-svm chooses its own."""
    path = work / f"{network}.npz"
    if not path.exists():
        describe_images(dataset.items, "embed", model=network, output=path, resume=True)
    features = load(path).features
    rooted = unit(signed_root(features))
    own = CnnSvmParameters()
    variants = {
        f"{network}, as cnn-svm": (rooted, {"costs": own.costs, "folds": own.folds}),
        network: (rooted, {}),
        f"{network}, without square root": (unit(features), {}),
        f"{network}, without length 1": (signed_root(features), {}),
        f"{network}, without both": (features, {}),
    }
    for seed in splits:
        train = chosen(dataset.labels, seed)
        for name, (vectors, settings) in variants.items():
            if not results.has(name, seed):
                results.add(name, seed, vectors.shape[1], judge(vectors, dataset.labels, train, seed, **settings))


def sparse_codes(dataset: Dataset, task: Task, results: Results) -> None:
    """Judge ScSPM and LLC."""
    for name, describe in sparse_encoders(dataset, task).items():
        if not results.has(name, task.seed):
            features = described(dataset, describe, task.folder / f"{name}.npy")
            results.add(name, task.seed, features.shape[1], judge(features, dataset.labels, task.train, task.seed))


def sparse_encoders(dataset: Dataset, task: Task) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Return what encodes images by 1,024 atoms; these are learned now unless they were before, in whichever split."""
    path = task.folder / "atoms.safetensors"
    if not path.exists():
        rows = np.flatnonzero(task.train)
        images = (dataset.image(image) for image in rows)
        save_codebook(
            path, fit_dictionary(images, len(rows), local=PATCHES, atoms=1024, samples=SAMPLES, seed=task.seed)
        )
    solvers = {"ScSPM, K = 1024": "feature-sign", "LLC, K = 1024": "llc"}
    return {
        name: partial(encode_sparsely, dictionary=load_codebook(path), solver=solver)
        for name, solver in solvers.items()
    }


def hog_of(image: np.ndarray) -> np.ndarray:
    """Return HoG of the image brought to 96 x 96 pixels, as hog-svm takes it."""
    return hog(resize(image, 96, 96))


def described(dataset: Dataset, describe: Callable[[np.ndarray], np.ndarray], path: Path) -> np.ndarray:
    """Return (N, D) float32, computed now unless it was before."""
    if not path.exists():
        features = np.stack([describe(dataset.image(image)).reshape(-1) for image in range(len(dataset))])
        whole(path, lambda file: np.save(file, features))
    return np.load(path)


def local_descriptors(dataset: Dataset, work: Path) -> Local:
    """Return dense SIFT of all images, computed now unless it was before."""
    if not (work / "offsets.npy").exists():
        where, counts = [], [0]
        with open(work / "values.bin", "wb") as values:
            for image in range(len(dataset)):
                pixels = dataset.image(image)
                found = LOCAL.describe(pixels)
                values.write(quantize(found.values).tobytes())
                where.append(places(found.frames, *pixels.shape[:2]))
                counts.append(len(found.values))
        whole(work / "where.npy", lambda file: np.save(file, np.concatenate(where)))
        whole(work / "offsets.npy", lambda file: np.save(file, np.cumsum(counts)))
    values = np.memmap(work / "values.bin", np.uint8, "r").reshape(-1, 128)
    return Local(values, np.load(work / "where.npy"), np.load(work / "offsets.npy"))


def encodings(
    labels: np.ndarray, task: Task, results: Results, make: Callable[[Task], dict[str, Encoder]], last: str
) -> None:
    """Judge all encodings of one split; each image's descriptors are looked at once. last: the name judged last."""
    if results.has(last, task.seed):
        return
    tables: dict[str, np.ndarray] = {}
    ready = make(task).values()
    for image in range(len(labels)):
        values, where = task.local.of(image)
        for encode in ready:
            for name, vector in encode(values, where).items():
                tables.setdefault(name, np.empty((len(labels), len(vector)), np.float32))[image] = vector
    for name in list(tables):
        features = tables.pop(name)
        if not results.has(name, task.seed):
            results.add(name, task.seed, features.shape[1], judge(features, labels, task.train, task.seed))


def times(dataset: Dataset, task: Task) -> None:
    """Print how long each descriptor takes that needs no network."""

    def by(encode: Encoder) -> Callable[[np.ndarray], Any]:
        def describe(image: np.ndarray) -> Vectors:
            found = LOCAL.describe(image)
            return encode(root(found.values), places(found.frames, *image.shape[:2]))

        return describe

    everything = {"HoG": hog_of, "GIST": gist, "dense SIFT alone": LOCAL.describe}
    everything |= {name: by(encode) for name, encode in encoders(task).items()} | sparse_encoders(dataset, task)
    print_times(dataset, everything)


def print_times(dataset: Dataset, everything: Mapping[str, Callable[[np.ndarray], Any]]) -> None:
    """Print the median milliseconds of processor time to describe an image, everything included but reading it."""
    images = [dataset.image(image) for image in range(0, len(dataset), len(dataset) // 50)]
    for name, describe in everything.items():
        describe(images[0])
        seconds = []
        for image in images:
            begin = time.process_time()
            describe(image)
            seconds.append(time.process_time() - begin)
        print(f"{name:<40} {1e3 * statistics.median(seconds):6.1f} ms")


def judge(
    features: np.ndarray,
    labels: np.ndarray,
    train: np.ndarray,
    seed: int,
    *,
    standardize: bool = False,
    costs: Sequence[float] = COSTS,
    folds: int = FOLDS,
) -> dict[str, float]:
    """Return means over the classes of accuracy and average precision on the test images, and the cost that was chosen.

    All vectors are divided by the mean length of the training ones, so that the same costs suit all descriptors.
    """
    if standardize:
        features = (features - features[train].mean(axis=0)) / features[train].std(axis=0)
    features = in_span(features / np.linalg.norm(features[train], axis=1).mean(), train)
    machine, found, _ = fit_svm(
        features[train], labels[train], int(labels.max()) + 1, costs=costs, folds=folds, seed=seed
    )
    return measured(machine.margins(features[~train]), labels[~train], found["cost"])


def measured(margins: np.ndarray, truth: np.ndarray, cost: float) -> dict[str, float]:
    """Return means over the classes of accuracy and average precision, and the cost that was chosen."""
    classes = range(margins.shape[1])
    right = margins.argmax(axis=1) == truth
    return {
        "accuracy": float(np.mean([right[truth == label].mean() for label in classes])),
        "precision": float(np.mean([average_precision_score(truth == label, margins[:, label]) for label in classes])),
        "cost": cost,
    }


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

    def add(self, name: str, seed: int, dimension: int, judged: dict[str, float]) -> None:
        self.rows.append({"name": name, "split": seed, "dimension": dimension, **judged})
        with open(self.path, "a") as file:
            file.write(json.dumps(self.rows[-1]) + "\n")
        print(self.rows[-1], flush=True)

    def table(self) -> None:
        """Print what the splits say together."""
        heads = "descriptor", "numbers", "accuracy %", "deviation", "average precision %", "splits"
        print(f"| {' | '.join(heads)} |\n|{' --- |' * len(heads)}")
        for name in dict.fromkeys(row["name"] for row in self.rows):
            rows = [row for row in self.rows if row["name"] == name]
            accuracies, precisions = ([100 * row[what] for row in rows] for what in ("accuracy", "precision"))
            deviation = statistics.stdev(accuracies) if len(rows) > 1 else float("nan")
            print(
                f"| {name} | {rows[0]['dimension']:,} | {statistics.mean(accuracies):.1f} | {deviation:.1f}"
                f" | {statistics.mean(precisions):.1f} | {len(rows)} |"
            )


def whole(path: Path, write: Callable[[Any], None]) -> None:
    """Write a file so that it is there whole or not at all."""
    part = path.with_suffix(".part")
    with open(part, "wb") as file:
        write(file)
    os.replace(part, path)


if __name__ == "__main__":
    main()
