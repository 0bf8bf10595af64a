"""What a result lacks of its input, and what else is to be known of it without being an error."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Remark:
    """Something the user should know: what a result lacks of its input, or a count for the end of the run.

    kind: what remarks are counted by (pages, bands, metadata, clipped, negative, alpha, nodata, values, wide, files,
    damaged); count: of what the kind counts; detail: in words, where a number does not say it; by_rule: the result
    lacks it by a rule that the documentation states, so that it is counted in records but told only to who asks for
    more.
    """

    kind: str
    count: int = 1
    detail: str = ""
    by_rule: bool = False
