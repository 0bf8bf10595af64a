"""How well the classic models label a data set, as `imgtool train` fits them.

    python benchmarks/classic_models.py SCENES RESULTS.jsonl --training 100 --seeds 0,1,2,3,4 --model scspm
    python benchmarks/classic_models.py IMAGENETTE RESULTS.jsonl --model sift-fv-svm --set k=16 --set color=opponent

DATA is any labeled data set. With `--training` so many images of each class train and all others test, drawn at random
by each seed as `benchmarks/scenes.py` draws them; without, the data set's own test part is labeled. `--inner` tests on
a fifth of the training images instead, and fits to the others: settings are chosen so. Each result is a line of
RESULTS.jsonl: what was fitted, how many images are labeled right, the mean accuracy of the classes, seconds to fit
and to label, processor seconds, and the bytes of the stored model. Lines that are there are not computed again. The
table has the means over the seeds and their standard deviations.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from imgtool.classifiers.protocol import Trainable
from imgtool.classifiers.registry import create
from imgtool.datasets.dataset import Dataset
from imgtool.datasets.formats import Parts, load_dataset
from imgtool.datasets.split import split
from imgtool.pipelines.predict import predict

INNER_SHARE = 0.2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--training", type=int, metavar="IMAGES")
    parser.add_argument("--inner", action="store_true")
    arguments = parser.parse_args()
    settings = dict(each.split("=", 1) for each in arguments.set)
    parts = load_dataset(arguments.data)
    for seed in map(int, arguments.seeds.split(",")):
        key = {
            "data": arguments.data.name,
            "model": arguments.model,
            "settings": settings,
            "training": arguments.training,
            "inner": arguments.inner,
            "seed": seed,
        }
        if not any(key.items() <= row.items() for row in rows_of(arguments.results)):
            train, test = divided(parts, arguments.training, seed, inner=arguments.inner)
            row = key | measured(create(arguments.model, **settings), train, test, seed)
            with open(arguments.results, "a") as file:
                file.write(json.dumps(row) + "\n")
            print(row, flush=True)
    print(table(rows_of(arguments.results)))


def rows_of(path: Path) -> list[dict[str, Any]]:
    """Return what was measured before."""
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def divided(parts: Parts, training: int | None, seed: int, *, inner: bool) -> tuple[Dataset, Dataset]:
    """Return the images that train and those that test."""
    train, test = parts.train, parts.test
    if training is not None:
        generator, chosen = np.random.default_rng(seed), np.zeros(len(train), bool)
        for label in np.unique(train.labels):
            chosen[generator.choice(np.flatnonzero(train.labels == label), training, replace=False)] = True
        train, test = train.subset(np.flatnonzero(chosen)), train.subset(np.flatnonzero(~chosen))
    if inner:
        return split(train, INNER_SHARE, seed)
    assert test is not None, "the data set has no test part"
    return train, test


def measured(model: Trainable, train: Dataset, test: Dataset, seed: int) -> dict[str, Any]:
    """Fit and label."""
    begin, cpu = time.perf_counter(), time.process_time()
    model.fit(train, seed=seed)
    fitted = time.perf_counter()
    scores = np.stack([each.scores[0] for each in predict([model], len(test), test.image)])
    end = time.perf_counter()
    right = scores.argmax(axis=1) == test.labels
    with tempfile.TemporaryDirectory() as folder:
        model.save(Path(folder) / "model")
    return {
        "n": len(test),
        "right": int(right.sum()),
        "class_accuracy": float(np.mean([right[test.labels == label].mean() for label in np.unique(test.labels)])),
        "log_loss": float(-np.log(scores[np.arange(len(test)), test.labels]).mean()),
        "fit_seconds": round(fitted - begin, 1),
        "label_seconds": round(end - fitted, 1),
        "processor_seconds": round(time.process_time() - cpu, 1),
        "bytes": model.weights_bytes,
        "history": model.provenance["history"],
    }


def table(rows: list[dict[str, Any]]) -> str:
    """Return the means over the seeds."""
    lines = ["| data | model | accuracy % | deviation | class accuracy % | deviation | seeds |", "| --- " * 7 + "|"]
    for name, group in grouped(rows):
        accuracies = [100 * row["right"] / row["n"] for row in group]
        by_class = [100 * row["class_accuracy"] for row in group]
        cells = [f"{sign(each):.1f}" for each in (accuracies, by_class) for sign in (statistics.mean, deviation)]
        lines.append(f"| {name} | {' | '.join(cells)} | {len(group)} |")
    return "\n".join(lines)


def grouped(rows: list[dict[str, Any]]) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield what differs in nothing but the seed."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        inner = ", inner" * row["inner"]
        settings = " ".join(f"{key}={value}" for key, value in row["settings"].items())
        groups.setdefault(f"{row['data']} {row['training'] or ''}{inner} | {row['model']} {settings}", []).append(row)
    yield from groups.items()


def deviation(values: list[float]) -> float:
    return statistics.stdev(values) if len(values) > 1 else float("nan")


if __name__ == "__main__":
    main()
