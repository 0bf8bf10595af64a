"""What is said at the end of a run: one line for each kind of thing that results lack of their inputs.

Whatever goes over images or opens a data set adds its remarks to a `Tally`; KINDS has the words for each kind.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from imgtool.cli.messages import complain
from imgtool.remarks import Remark


class Kind(NamedTuple):
    """The words for a kind of remark: what is counted (one and several), what became of it, and what can be done."""

    one: str
    several: str
    fate: str
    advice: str = ""


KINDS = {
    "pages": Kind("page", "pages", "left out", "--page N picks one"),
    "bands": Kind("band", "bands", "left out", "--bands N,N,N picks others"),
    "metadata": Kind("piece of metadata", "pieces of metadata", "left out"),
    "alpha": Kind(
        "transparent image", "transparent images", "shown on a background", "white unless --background COLOR sets it"
    ),
    "files": Kind("file", "files", "left out"),
    "values": Kind(
        "value",
        "values",
        "NaN or infinite: shown black or white",
        "--range stretch leaves them out of account",
    ),
    "nodata": Kind("pixel", "pixels", "left as they are: without data"),
    "wide": Kind("image", "images", "taken by the largest value, whatever the type"),
    "negative": Kind("pixel", "pixels", "negative: shown black"),
    "clipped": Kind("value", "values", "clipped", "--range stretch or --depth float keeps them"),
}
SHOWN_DETAILS = 4  # of a kind; the rest are counted


@dataclass
class Tally:
    """Counts by kind: how much, in how many images, with which details."""

    counts: dict[tuple[str, bool], int] = field(default_factory=dict)
    images: dict[tuple[str, bool], int] = field(default_factory=dict)
    details: dict[tuple[str, bool], dict[str, int]] = field(default_factory=dict)

    def add(self, remarks: Iterable[Remark]) -> None:
        """Count the remarks on one image, or on one data set."""
        seen = set()
        for each in remarks:
            key = each.kind, each.by_rule
            self.counts[key] = self.counts.get(key, 0) + each.count
            self.images[key] = self.images.get(key, 0) + (key not in seen)
            seen.add(key)
            if each.detail:
                found = self.details.setdefault(key, {})
                found[each.detail] = found.get(each.detail, 0) + each.count

    def tell(self, *, verbose: bool, advice: bool = True) -> None:
        """Print one line for each kind; what is left out by rule only when `verbose`.

        advice: say what can be done about it, in a command that has the options for it.
        """
        for key, count in self.counts.items():
            kind, by_rule = key
            is_told = verbose or not by_rule or (kind == "wide" and len(self.details[key]) > 1)  # 8 and 16 bits
            if kind in KINDS and is_told:
                words = KINDS[kind] if advice else KINDS[kind]._replace(advice="")
                complain(self._line(words, key, count))

    def _line(self, words: Kind, key: tuple[str, bool], count: int) -> str:
        """Return the line for one kind."""
        images = f"{self.images[key]} images" if self.images[key] > 1 else "one image"
        of = "" if words.one in ("file", "image", "transparent image") else f" of {images}"
        were = "were" if count > 1 else "was"
        line = f"{count} {words.several if count > 1 else words.one}{of} {were} {words.fate}"
        if details := self.details.get(key):
            named = [f"{number} {detail}" if len(details) > 1 else detail for detail, number in details.items()]
            rest = [f"{len(named) - SHOWN_DETAILS} other kinds"] if len(named) > SHOWN_DETAILS else []
            line += f" ({', '.join(named[:SHOWN_DETAILS] + rest)})"
        return f"{line}; {words.advice}" if words.advice and not key[1] else line
