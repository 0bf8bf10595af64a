"""What Gaussians, color and the spatial pyramid give `sift-fv-svm`, and what each takes on disk.

    python benchmarks/fisher_settings.py IMAGENETTE RESULTS.jsonl [--training 200] [--testing 100]

DATA is any labeled data set; its training part alone is used. So many images of each class train, so many others test,
drawn at random. An image is described once for each number of Gaussians and each color, in the cells of all pyramids,
whose vectors are then parts of one. Lines of RESULTS.jsonl are not computed again. The table has the accuracy with its
Wilson interval, and the size of the model with weights of 8 bits: those of the machine; a codebook keeps float32.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from classic_models import rows_of

from imgtool.classifiers.classic.sift_fv_svm import SiftFisherSvm
from imgtool.classifiers.classic.svm import fit_svm
from imgtool.classifiers.registry import create
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import load_dataset
from imgtool.evaluation.intervals import wilson
from imgtool.features.fisher import unit
from imgtool.features.pyramid import count_cells

COMPONENTS = (16, 64, 256)
COLORS = ("gray", "opponent")
LEVELS = ("1x1", "3x1", "2x2")
SAMPLES = 128_000  # descriptors that each mixture is fitted to
PYRAMIDS = (("1x1",), ("1x1", "3x1"), LEVELS)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--training", type=int, default=200, metavar="IMAGES")
    parser.add_argument("--testing", type=int, default=100, metavar="IMAGES")
    arguments = parser.parse_args()
    train, test = drawn(load_dataset(arguments.data).train, arguments.training, arguments.testing)
    for color in COLORS:
        for k in COMPONENTS:
            key = {"data": arguments.data.name, "training": arguments.training, "color": color, "k": k}
            if not any(key.items() <= row.items() for row in rows_of(arguments.results)):
                rows = [key | row for row in measured(color, k, train, test)]
                with open(arguments.results, "a") as file:
                    file.writelines(json.dumps(row) + "\n" for row in rows)
                print(table(rows), flush=True)
    print(table(rows_of(arguments.results)))


def drawn(dataset: Dataset, training: int, testing: int) -> tuple[Dataset, Dataset]:
    """Return so many images of each class that train, and so many others that test."""
    generator, train, test = np.random.default_rng(0), list[int](), list[int]()
    for label in np.unique(dataset.labels):
        chosen = generator.permutation(np.flatnonzero(dataset.labels == label)).tolist()
        train += chosen[:training]
        test += chosen[training : training + testing]
    return dataset.subset(np.sort(train)), dataset.subset(np.sort(test))


def measured(color: str, k: int, train: Dataset, test: Dataset) -> list[dict[str, Any]]:
    """Return a row for each pyramid."""
    model = create("sift-fv-svm", k=str(k), color=color, pyramid=",".join(LEVELS), samples=str(SAMPLES))
    assert isinstance(model, SiftFisherSvm)
    model.fit_descriptor(train, 0, None)
    vectors = [np.stack(list(model._described(part, None))) for part in (train, test)]
    rows = []
    for pyramid in PYRAMIDS:
        length = vectors[0].shape[1] // count_cells(LEVELS) * count_cells(pyramid)
        own = [unit(part[:, :length]) for part in vectors]
        machine, found, _ = fit_svm(own[0], train.labels, len(train.classes), costs=model.parameters.costs)
        right = int((machine.probabilities(own[1]).argmax(axis=1) == test.labels).sum())
        book = sum(np.float32(part).nbytes for name, part in model.arrays().items() if name.startswith("codebook"))
        size = len(train.classes) * (length + 8) + book
        pyramids = ",".join(pyramid)
        rows.append({"pyramid": pyramids, "n": len(test), "right": right, "bytes": size, "cost": found["cost"]})
    return rows


def table(rows: list[dict[str, Any]]) -> str:
    """Return the table."""
    lines = ["| color | Gaussians | pyramid | MB | right % | interval |", "| --- | --: | --- | --: | --: | --- |"]
    for row in rows:
        low, high = wilson(row["right"], row["n"])
        lines.append(
            f"| {row['color']} | {row['k']} | {row['pyramid']} | {row['bytes'] / 1e6:.2f} "
            f"| {100 * row['right'] / row['n']:.1f} | {100 * low:.1f} to {100 * high:.1f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
