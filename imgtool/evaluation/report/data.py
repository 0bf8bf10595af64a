"""What the models were measured on, and how the table came about."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata
from typing import Any

import imgtool
from imgtool.evaluation.report.markup import Html, facts, folded, join, listed, section, table, tag
from imgtool.evaluation.report.subject import Subject
from imgtool.evaluation.report.wording import counted

SHOWN_PAIRS = 20
LONG_TABLE = 20  # classes, from which on their counts are folded
SHOWN_ELSEWHERE = {
    "path", "decision", "among", "images", "classes", "models", "duplicates", "seen", "counts", "train_sizes",
    "imgtool",
}  # fmt: skip
NAMES = {"sha256": "SHA-256 of the images"}
ABOUT_A_MODEL = ("classes", "settings", "init", "weights", "data")
LIBRARIES = ("numpy", "opencv-python-headless", "scipy", "scikit-learn", "torch")


def data_section(subject: Subject) -> Html:
    """Return the data set: where it lies, how many images each class has in each part, equal images in both."""
    record, found = subject.record, subject.comparison.found
    where = tag("p", tag("bdi", record["path"]), f": {found}." if found else ".") if record["path"] else ""
    return section("The data", where, _counts(record["counts"]), _pairs(record["duplicates"]))


def _counts(counts: Mapping[str, Mapping[str, int]]) -> Html:
    """Return how many images each class has in each part: equal numbers in one line, else a table."""
    names = list(dict.fromkeys(name for part in counts.values() for name in part))
    if not names:
        return Html()
    if all(len(set(part.values())) == 1 and len(part) == len(names) for part in counts.values()):
        each = " and ".join(
            f"{next(iter(part.values()))} to {_purpose(part_name)}" for part_name, part in counts.items()
        )
        return join([tag("p", f"{len(names)} classes, each with {each}: ", _names(names))])
    lines = [(tag("bdi", name), *(part.get(name, 0) for part in counts.values())) for name in names]
    sums = ("all", *(sum(part.values()) for part in counts.values()))
    whole = table(("class", *counts), [*lines, sums])
    spread = ", ".join(f"{min(part.values())} to {max(part.values())} of a class to {_purpose(part_name)}"
                       for part_name, part in counts.items())  # fmt: skip
    return folded(f"{len(names)} classes: {spread}", whole) if len(names) > LONG_TABLE else whole


def _purpose(part: str) -> str:
    """Return what the images of a part are for."""
    return {"train": "train on", "test": "measure on"}.get(part, f"be {part}")


def _names(names: Sequence[str]) -> Html:
    """Return names one after the other."""
    pieces: list[object] = []
    for name in names:
        pieces += [", ", tag("bdi", name)] if pieces else [tag("bdi", name)]
    return join([*pieces, "."])


def _pairs(pairs: Sequence[tuple[str, str]]) -> Html:
    """Return the list of equal images."""
    if not pairs:
        return Html()
    some = f", the first {SHOWN_PAIRS}" if len(pairs) > SHOWN_PAIRS else ""
    lines = [(tag("bdi", first), tag("bdi", second)) for first, second in pairs[:SHOWN_PAIRS]]
    return folded(
        f"{counted(len(pairs), 'pair')} of equal images in both parts{some}", table(("train", "test"), lines, "words")
    )


def remarks_section(subject: Subject) -> Html:
    """Return what is to be known beside the errors."""
    return section("Remarks", listed(subject.comparison.remarks()))


def settings_section(subject: Subject, command: str) -> Html:
    """Return settings, versions, date and command."""
    record = subject.record
    named = {
        NAMES.get(name, name.replace("_", " ")): value for name, value in record.items() if name not in SHOWN_ELSEWHERE
    }
    about = {model.name: _about(model.row) for model in subject.good}
    made = {"made": f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC"}
    ran = {"command": tag("code", command)} if command else {}
    return section(
        "How it was made",
        facts({**made, **ran, "versions": ", ".join(_versions()), "machine": platform.platform(terse=True)}),
        facts({name: value for name, value in named.items() if value not in ({}, (), [], None, "")}),
        folded("Settings of each model", facts(about)) if about else "",
    )


def _about(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the facts about one model: settings, weights, data."""
    return {key: row[key] for key in ABOUT_A_MODEL if row.get(key) is not None}


def _versions() -> Iterator[str]:
    """Yield the versions of imgtool, Python and the libraries that are installed."""
    yield f"imgtool {imgtool.__version__}"
    yield f"Python {platform.python_version()}"
    for name in LIBRARIES:
        try:
            yield f"{name} {metadata.version(name)}"
        except metadata.PackageNotFoundError:
            continue
