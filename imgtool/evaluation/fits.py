"""The trainings of a comparison: of each model that is fitted one, one a fold, and some on fewer images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from imgtool.datasets.dataset import Dataset
from imgtool.evaluation.candidates import Candidate, Result
from imgtool.evaluation.splits import Split, with_few_of_each
from imgtool.evaluation.work import Kept


@dataclass(frozen=True)
class Fit:
    """One training of a model, and what it is measured on.

    result: takes the reason of a failure; key: under which it is stored; part: which of several it is, in words; place:
    where the fitted model is left; first: the model's first one, of which costs are measured.
    """

    candidate: Candidate
    result: Result
    split: Split
    key: str
    part: str = ""
    place: Path | None = None
    first: bool = True

    @property
    def train(self) -> Dataset:
        """What it learns from."""
        assert self.split.train is not None
        return self.split.train


def fits_of(candidate: Candidate, split: Split, folds: Sequence[Split], kept: Kept) -> list[Fit]:
    """Return the trainings of one model: one, or one a fold."""
    result = candidate.result
    if not folds:
        place = kept.place(result.model)
        return [Fit(candidate, result, split, candidate.label, place=place)]
    return [
        Fit(
            candidate, result, fold, f"{candidate.label} fold {number}", f"fold {number} of {len(folds)}",
            kept.place(result.model, number), first=number == 1,
        )
        for number, fold in enumerate(folds, start=1)
    ]  # fmt: skip


def fits_on_few(candidates: Sequence[Candidate], split: Split, sizes: Sequence[int]) -> Iterator[tuple[int, Fit]]:
    """Yield (images of each class, training) of all models, on few images first."""
    for size in sizes:
        few = with_few_of_each(split, size)
        for each in candidates:
            yield (
                size,
                Fit(each, Result(each.label), few, f"{each.label} size {size}", f"{size} images a class", first=False),
            )
