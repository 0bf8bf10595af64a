"""Which images of a data set a model was trained on: it keeps the beginnings of some of their hashes.

Of up to MOST_KEPT training images all are kept, and images in common are counted. Of more the smallest are kept, which
choose among images by chance: those of the other images whose hashes are as small tell how many there are in common.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Sequence

PREFIX_BYTES = 6  # of a hash: two of 10,000 and 10,000 images agree by chance once in 3 million times
MOST_KEPT = 4096


def kept_prefixes(hashes: Iterable[bytes]) -> str:
    """Return what a model keeps of its training images' hashes, as text."""
    prefixes = sorted({each[:PREFIX_BYTES] for each in hashes})
    return base64.b64encode(b"".join(prefixes[:MOST_KEPT])).decode()


def merged_prefixes(*kept: str) -> str:
    """Return what is kept of all images of which some were kept each time."""
    prefixes = {each for text in kept for each in _prefixes(text)}
    return base64.b64encode(b"".join(sorted(prefixes)[:MOST_KEPT])).decode()


def is_kept_prefixes(value: object) -> bool:
    """Tell whether a value may be what `kept_prefixes` returned."""
    most = MOST_KEPT * PREFIX_BYTES * 4 // 3
    return isinstance(value, str) and len(value) <= most and re.fullmatch("(?:[A-Za-z0-9+/]{8})*", value) is not None


def images_in_common(kept: str, hashes: Sequence[bytes]) -> int:
    """Return how many images have hashes that a model keeps; an estimate where it does not keep all."""
    known = _prefixes(kept)
    asked = [each[:PREFIX_BYTES] for each in hashes]
    if is_estimate(kept):
        asked = [each for each in asked if each <= known[-1]]
    found = sum(map(set(known).__contains__, asked))
    return round(found * len(hashes) / len(asked)) if asked else 0


def is_estimate(kept: str) -> bool:
    """Tell whether what is kept does not tell all images, so that `images_in_common` estimates."""
    return len(_prefixes(kept)) == MOST_KEPT


def _prefixes(kept: str) -> list[bytes]:
    """Return the beginnings of hashes in what `kept_prefixes` returned, the smallest first."""
    data = base64.b64decode(kept)
    return [data[place : place + PREFIX_BYTES] for place in range(0, len(data), PREFIX_BYTES)]
