"""What each aspect of training is worth: LeNet on CIFAR-10 with one of them changed at a time.

    python benchmarks/lenet_aspects.py CIFAR10 RESULTS.csv [--seeds 0 1 2] [--epochs 30] [--variant=NAME ...]

CIFAR10 is a data set with a training and a test part, such as a folder with train/ and test/. Every training runs on
one thread and keeps the epoch of fewest errors on a tenth of the training images; its model then labels the test part
once. A row is written to RESULTS.csv as soon as it is known, and a run goes on from the rows that are there; several
runs with different seeds or variants may share the file. At the end the table of all rows is printed.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

ALL_ON = {"batch": 64, "learning_rate": 0.02}  # beside LeNet's defaults
VARIANTS = {
    "all on": {},
    "activation=sigmoid": {"activation": "sigmoid"},
    "momentum=0": {"momentum": 0},
    "weight_decay=0": {"weight_decay": 0},
    "--no-augment": {"augment": False},
    "dropout=0.2": {"dropout": 0.2},  # LeNet's default is 0: what turning it on is worth
}
COLUMNS = ("variant", "seed", "epochs", "train_error", "validation_error", "best_epoch", "test_right", "test_images")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cifar10", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--variant", action="append", choices=list(VARIANTS), help="may be repeated; default: all")
    arguments = parser.parse_args()
    train_all(arguments)
    print("python benchmarks/lenet_aspects.py", *sys.argv[1:])
    print(table(rows_of(arguments.results), arguments.epochs))


def train_all(arguments: argparse.Namespace) -> None:
    """Train what has no row yet."""
    parts = None
    for seed in arguments.seeds:
        for variant in arguments.variant or VARIANTS:
            key = (variant, str(seed), str(arguments.epochs))
            if any((row["variant"], row["seed"], row["epochs"]) == key for row in rows_of(arguments.results)):
                continue
            parts = parts or in_memory(arguments.cifar10)
            row = trained(parts, seed, arguments.epochs, VARIANTS[variant])
            write(arguments.results, {"variant": variant, "seed": seed, "epochs": arguments.epochs, **row})


def in_memory(folder: Path):
    """Return the data set with its images in two arrays, so that they are read once."""
    from dataclasses import replace

    import numpy as np

    from imgtool.datasets.dataset import Dataset
    from imgtool.datasets.formats import load_dataset

    def stacked(part):
        return Dataset(np.stack([part.image(index) for index in range(len(part))]), part.labels, part.classes)

    parts = load_dataset(folder)
    return replace(parts, train=stacked(parts.train), test=stacked(parts.test))


def trained(parts, seed: int, epochs: int, settings: dict) -> dict:
    """Train one variant; return what its row holds."""
    import imgtool
    from imgtool.evaluation.measuring import measure
    from imgtool.networks.history import best_epoch

    model = imgtool.train(parts, "lenet", seed=seed, threads=1, device="cpu", epochs=epochs, **ALL_ON, **settings)
    history = model.provenance["history"]
    best = best_epoch(history)
    accuracy = measure(model, parts.test)["accuracy"]
    return {
        "train_error": history[best - 1]["error"],
        "validation_error": history[best - 1]["validation_error"],
        "best_epoch": best,
        "test_right": accuracy["right"],
        "test_images": accuracy["n"],
    }


def rows_of(results: Path) -> list[dict[str, str]]:
    """Return the rows that are there."""
    if not results.exists():
        return []
    with results.open(newline="") as file:
        return [row for row in csv.DictReader(file, COLUMNS) if row["variant"] in VARIANTS and row["test_images"]]


def write(results: Path, row: dict) -> None:
    """Append a row, in one piece."""
    line = ",".join(str(row[name]) for name in COLUMNS)
    print(line, flush=True)
    with results.open("a") as file:
        file.write(line + "\n")


def table(rows: list[dict[str, str]], epochs: int) -> str:
    """Return the table: of each variant accuracies on the test part, in percent, over its seeds."""
    lines = ["variant               seeds   mean  lowest  highest   n each  validation  training"]
    for variant in VARIANTS:
        own = [row for row in rows if row["variant"] == variant and row["epochs"] == str(epochs)]
        if not own:
            continue
        test = [100 * int(row["test_right"]) / int(row["test_images"]) for row in own]
        others = [100 - 100 * statistics.mean(float(row[name]) for row in own) for name in COLUMNS[4:2:-1]]
        numbers = f"{statistics.mean(test):6.1f} {min(test):7.1f} {max(test):8.1f} {own[0]['test_images']:>8}"
        lines.append(f"{variant:20} {len(own):6} {numbers} {others[0]:11.1f} {others[1]:9.1f}")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
