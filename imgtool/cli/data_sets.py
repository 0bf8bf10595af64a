"""What is said of a data set: what was found in it, and which of its files are bad."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from imgtool.cli.messages import ADVICE, complain

if TYPE_CHECKING:
    from imgtool.datasets.formats import Parts

FOLLOWED_ANYWHERE = ("levels",)  # hints whose advice names no option of the command that reads a data set


def tell_parts(name: str, parts: Parts, *, verbose: bool) -> None:
    """Say what was found, and which images equal each other; what is left out by rule too, if verbose."""
    from imgtool.datasets.equal_images import across_line, equal_images, equal_pairs

    complain(f"{name}: {parts.found(verbose=verbose)}")
    held_out = parts.test if parts.test is not None else parts.validation
    lines = [*parts.notes(verbose=verbose), *equal_images(parts.all())]
    if len(parts.train) and held_out is not None:
        lines += across_line(list(equal_pairs(parts.train, held_out)))
    for line in lines:
        complain(line)


@contextmanager
def naming_bad_files() -> Iterator[None]:
    """Name each bad file of a data set in a line of its own, then end with how many they are."""
    from imgtool.datasets.survey import BadFilesError, reason_without_advice
    from imgtool.errors import DataError

    try:
        yield
    except BadFilesError as error:
        for name, reason in error.files:
            advice = ADVICE.get(reason.hint) if reason.hint in FOLLOWED_ANYWHERE else None
            complain(f"{name}: {reason_without_advice(reason)}{f'; {advice}' if advice else ''}")
        raise DataError(f"{len(error.files)} of {error.total} images cannot be used", hint=error.hint) from None
