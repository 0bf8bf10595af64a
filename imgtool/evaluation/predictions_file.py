"""Each model's label of each held-out image, as CSV: a line for each model and image."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from imgtool.batch.outputs import new_file
from imgtool.evaluation.compared import Compared
from imgtool.evaluation.scored import Scored

BEST = 5  # labels of a line
HEAD = [
    "model", "path", "label", "said", "score",
    *chain.from_iterable((f"said_{place}", f"score_{place}") for place in range(2, BEST + 1)),
]  # fmt: skip


def write_predictions(comparison: Compared, path: str | Path, *, overwrite: bool = False) -> None:
    """Write what each model says of each image, model by model, the best one first.

    A line holds model, path, label, the best label (`said`) with its score, and the next four; of fewer classes their
    cells are empty. Names stand as they are, also where they are not UTF-8.
    """
    with new_file(path, overwrite=overwrite) as file:
        stream = io.TextIOWrapper(file, "utf-8", "surrogateescape", newline="")
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(HEAD)
        for each in comparison.scored:
            writer.writerows(_lines(comparison, each))
        stream.detach()


def _lines(comparison: Compared, scored: Scored) -> Iterator[list[str]]:
    """Yield the lines of one model."""
    places, scores = scored.best(BEST)
    empty = [""] * (2 * (BEST - places.shape[1]))
    for index, (label, best, values) in enumerate(
        zip(comparison.labels, places.tolist(), scores.tolist(), strict=True)
    ):
        path = comparison.paths[index] if comparison.paths else f"#{index}"
        said = [(scored.classes[place], f"{value:.6g}") for place, value in zip(best, values, strict=True)]
        yield [scored.model, path, comparison.classes[label], *chain.from_iterable(said), *empty]
