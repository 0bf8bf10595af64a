"""The table of the models, what each costs in words, and which did not work."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from imgtool.evaluation.report.drawing import symbol
from imgtool.evaluation.report.markup import Html, folded, join, section, table, tag
from imgtool.evaluation.report.subject import Model, Subject
from imgtool.evaluation.report.wording import difference, figure, interval, percent, probability, seconds, size
from imgtool.evaluation.sentences import sentences
from imgtool.evaluation.table import visible

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """A column: its heading, the row's key, how a value is shown; the key of an interval below it, and how that is."""

    heading: str
    key: str
    shown: Callable[[Any], str]
    ends: str = ""
    between: Callable[[Sequence[float]], str] = interval

    def cell(self, row: Row) -> object:
        """Return what stands in a model's line."""
        value, ends = row.get(self.key), row.get(self.ends)
        if value is None:
            return "–"
        return join([self.shown(value), " ", tag("small", self.between(ends))]) if ends else self.shown(value)


ERRORS = (
    Figure("top-1 error", "top1_error", percent, "top1_interval"),
    Figure("top-5 error", "top5_error", percent, "top5_interval"),
    Figure("mean class accuracy", "mean_class_accuracy", percent),
    Figure("worse by", "difference", percent, "difference_interval", difference),
    Figure("p", "p", probability),
    Figure("log loss", "log_loss", "{:.3f}".format),
    Figure("calibration error", "calibration_error", percent),
)
COSTS = (
    Figure("training", "train_seconds", seconds),
    Figure("ms an image", "ms_per_image", figure),
    Figure("95 of 100 under", "ms_per_image_p95", figure),
    Figure("images a second", "images_per_second", figure),
    Figure("in batches of", "batch", str),
    Figure("parameters", "parameters", "{:,}".format),
    Figure("on disk", "bytes", size),
    Figure("memory", "peak_bytes", size),
    Figure("device", "device", str),
)
READ = (
    "An error is the share of the {n} held-out images, the same for all models, that is labeled wrong. Below it stands "
    "its 95 % interval (Wilson): with other images of the kind, about 95 of 100 such intervals hold the true error. p "
    "is McNemar's exact test against the best model: the probability of a difference at least as large if both erred "
    "equally often, corrected by Holm's method for the number of pairs of models. Times are wall times on "
    "the machine that ran this; an image's time leaves reading it out. Memory is by how much the process grew, at its "
    "highest, for a model."
)


def models_section(subject: Subject) -> Html:
    """Return the table, in two parts: how often the models are wrong, and what they cost."""
    tables = [_table(subject.good, figures) for figures in (ERRORS, COSTS)]
    read = folded("How to read this", tag("p", READ.format(n=len(subject.labels)), class_="note"))
    return section("The models", *tables, read if subject.good else "", failures(subject))


def _table(models: Sequence[Model], figures: Sequence[Figure]) -> Html:
    """Return a table of those figures that any model has."""
    used = [figure for figure in figures if any(model.row.get(figure.key) is not None for model in models)]
    lines = [(_name(model), *(figure.cell(model.row) for figure in used)) for model in models]
    return table(("model", *(figure.heading for figure in used)), lines, "models cards") if used else Html()


def _name(model: Model) -> Html:
    """Return a model's mark and name."""
    return tag("span", symbol(model.number), tag("bdi", model.name))


def failures(subject: Subject) -> Html:
    """Return which models did not work, and why."""
    return join(
        tag("p", tag("b", tag("bdi", name)), " failed: ", reason, class_="bad") for name, reason in subject.failed
    )


def costs_section(subject: Subject) -> Html:
    """Return a sentence or two for each model."""
    lines = [tag("li", _name(model), ": ", ", ".join(_costs(model.row)), ".") for model in subject.good]
    return section("What they cost", tag("ul", *lines, class_="plain")) if lines else Html()


def _costs(row: Row) -> Iterator[str]:
    """Yield what is known of a model's costs, piece by piece."""
    trained, time, slow = row.get("train_seconds"), row.get("ms_per_image"), row.get("ms_per_image_p95")
    yield "was trained before" if trained is None else f"trained in {seconds(trained)}"
    if time is not None:
        yield f"labels an image in {figure(time)} ms" + ("" if slow is None else f" (95 of 100 in {figure(slow)})")
    if row.get("images_per_second") is not None:
        batch = f" in batches of {row['batch']}" if row.get("batch") else ""
        yield f"{figure(row['images_per_second'])} images a second{batch}"
    if row.get("bytes") is not None:
        numbers = f" ({row['parameters']:,} numbers)" if row.get("parameters") else ""
        yield f"takes {size(row['bytes'])} on disk{numbers}"
    if row.get("peak_bytes") is not None:
        yield f"needs up to {size(row['peak_bytes'])} more memory"
    if row.get("device"):
        yield f"on {row['device']}"


def decision(subject: Subject) -> list[Html]:
    """Return the sentence for whoever decides, and what is to be known beside it."""
    first, *others = sentences(subject.comparison)
    leads = [f"Take {visible(model.name)}" for model in subject.good]
    lead = next((lead for lead in leads if first.startswith(f"{lead}:")), "")
    whole = tag("p", tag("b", lead), first.removeprefix(lead), class_="decision")
    return [whole, *(tag("p", sentence) for sentence in others)]
