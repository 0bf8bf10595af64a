"""From an image to one vector: dense SIFT at several scales, projected by a codebook, encoded as a Fisher vector.

A codebook's meta says by which SIFT it was fitted; images are described by the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from imgtool.errors import DataError, ImgtoolError, ParameterError
from imgtool.features.codebook import Codebook, fit_codebook
from imgtool.features.fisher import fisher_vector, unit
from imgtool.features.pyramid import cells, parse_levels, places
from imgtool.features.sift import WINDOWS, Descriptors, phow, root

CONTRAST = 0.005  # of pixels in 0..1: flatter patches say nothing and are left out, as VLFeat's phow zeroes them
WHOLE = ("1x1",)
PER_COMPONENT = 500  # descriptors at least; a mixture fitted to fewer describes the images it was fitted to, not others


@dataclass(frozen=True)
class LocalSettings:
    """How local descriptors are taken: dense SIFT every `step` pixels with bins of these sizes, smoothed for each."""

    step: int = 4
    bins: tuple[int, ...] = (4, 6, 8)
    window: str = "flat"
    root: bool = True

    def __post_init__(self) -> None:
        """Refuse settings that describe no grid."""
        if self.step < 1 or not self.bins or min(self.bins) < 1 or max(self.bins) > 256:
            raise ParameterError(f"step must be at least 1 and bins 1 to 256, got {self.step} and {self.bins}")
        if self.window not in WINDOWS:
            raise ParameterError(f"no window {self.window!r}; there are {', '.join(WINDOWS)}")

    def describe(self, image: np.ndarray) -> Descriptors:
        """Return the image's descriptors that have contrast."""
        found = phow(image, step=self.step, sizes=self.bins, window=self.window, contrast=CONTRAST)
        kept = found.norms >= CONTRAST
        values = found.values[kept]
        return Descriptors(found.frames[kept], root(values) if self.root else values, found.norms[kept])

    def to_meta(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        return {**asdict(self), "bins": list(self.bins)}

    @classmethod
    def of(cls, codebook: Codebook) -> LocalSettings:
        """Return the settings by which a codebook was fitted. Raises DataError when it does not say."""
        meta = codebook.meta.get("sift")
        kinds = {"step": int, "bins": list, "window": str, "root": bool}
        if (
            not isinstance(meta, dict)
            or set(meta) != set(kinds)
            or any(type(meta[key]) is not kind for key, kind in kinds.items())
            or any(type(size) is not int for size in meta["bins"])
        ):
            raise DataError("the codebook does not say how its descriptors were taken")
        try:
            return cls(**{**meta, "bins": tuple(meta["bins"])})
        except ParameterError as error:
            raise DataError(f"the codebook's settings are wrong: {error}") from None


def encode(image: np.ndarray, codebook: Codebook, *, levels: Sequence[str] = WHOLE) -> np.ndarray:
    """Return the improved Fisher vector of an image (cells * 2 K D) float32 of unit length; zeros for a flat image.

    levels: of a spatial pyramid, as `1x1`, `2x2`, `3x1`; each cell's vector is normalised, then the whole.
    """
    found = LocalSettings.of(codebook).describe(image)
    where = places(found.frames, *image.shape[:2])
    data = codebook.project(found.values, where)
    mixture = (codebook.means, codebook.covariances, codebook.priors)
    if tuple(levels) == WHOLE:
        return fisher_vector(data, *mixture)
    return unit(np.concatenate([fisher_vector(data[inside], *mixture) for inside in cells(where, levels)]))


def length(codebook: Codebook, levels: Sequence[str] = WHOLE) -> int:
    """Return how many numbers `encode` gives."""
    return 2 * codebook.means.size * sum(rows * columns for rows, columns in parse_levels(levels))


def fit_to_images(
    images: Iterable[np.ndarray],
    count: int,
    *,
    local: LocalSettings,
    components: int,
    dimensions: int,
    with_places: bool = False,
    samples: int = 100_000,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Codebook:
    """Fit a codebook to descriptors drawn from images, about `samples` in all and equally many of each.

    count: how many images come; progress is told the number of each as it is done. An image that cannot be described
    is passed over. There are fewer components where there are not 500 descriptors for each. Raises DataError when there
    are too few descriptors.
    """
    generator = np.random.default_rng(seed)
    share = -(-samples // max(count, 1))
    values, where = [np.zeros((0, 128), np.float32)], [np.zeros((0, 2), np.float32)]
    for number, image in enumerate(images, 1):
        try:
            found = local.describe(image)
        except ParameterError:
            raise
        except ImgtoolError:
            continue
        drawn = generator.choice(len(found.values), min(share, len(found.values)), replace=False)
        values.append(found.values[drawn])
        where.append(places(found.frames[drawn], *image.shape[:2]))
        if progress:
            progress(number)
    drawn_values = np.concatenate(values)
    return fit_codebook(
        drawn_values,
        components=min(components, max(len(drawn_values) // PER_COMPONENT, 1)),
        dimensions=dimensions,
        seed=seed,
        places=np.concatenate(where) if with_places else None,
        meta={"sift": local.to_meta(), "seed": seed, "images": count},
    )
