"""From an image to one vector: dense SIFT at several scales, encoded by a codebook.

A codebook's meta says by which SIFT it was fitted; images are described by the same.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from imgtool.arrays import image_array
from imgtool.batch.pool import ordered_map, processors
from imgtool.errors import DataError, ImageError, ImgtoolError, ParameterError
from imgtool.features.codebook import Codebook, Dictionary, fit_codebook
from imgtool.features.fisher import fisher_of_sums, fisher_sums, nearest_means, signed_root, unit, vlad
from imgtool.features.phow import COLORS, phow
from imgtool.features.pyramid import count_cells, groups, places
from imgtool.features.sift import WINDOWS, Descriptors, mirrored, root
from imgtool.features.sparse import LEVELS, learn_dictionary, llc_codes, max_pool, sparse_codes
from imgtool.image.color import MAX_CHANNELS
from imgtool.names import unknown_name

CONTRAST = 0.005  # of pixels in 0..1: flatter patches say nothing and are left out, as VLFeat's phow zeroes them
WHOLE = ("1x1",)
_MIRROR = np.array([-1, 1], np.float32)  # of places


class Encoding(NamedTuple):
    """How the projected descriptors (N, D) of a cell become one vector.

    sums: what adds up over descriptors. vector: what the sums of so many descriptors give. numbers: its length.
    """

    sums: Callable[[np.ndarray, Codebook], np.ndarray]
    vector: Callable[[np.ndarray, int, Codebook], np.ndarray]
    numbers: Callable[[Codebook], int]


ENCODINGS = {
    "fisher": Encoding(
        lambda data, book: fisher_sums(data, *_mixture(book, data)),
        lambda sums, count, book: unit(signed_root(fisher_of_sums(sums, count, *_mixture(book, sums)))),
        lambda book: 2 * book.means.size,
    ),
    "vlad": Encoding(
        lambda data, book: vlad(data, book.means, normalized=False),
        lambda sums, _, book: unit(signed_root(sums)),
        lambda book: book.means.size,
    ),
    "bow": Encoding(
        lambda data, book: np.bincount(nearest_means(data, book.means), minlength=len(book.means)),
        lambda sums, count, book: unit(np.sqrt(sums)).astype(np.float32),
        lambda book: len(book.means),
    ),
}
SOLVERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {"feature-sign": sparse_codes, "llc": llc_codes}
MAX_DESCRIPTORS = 1 << 24  # of an image: a codebook's settings come from a file
PER_COMPONENT = 500  # descriptors at least; a mixture fitted to fewer describes the images it was fitted to, not others


@dataclass(frozen=True)
class LocalSettings:
    """How local descriptors are taken: dense SIFT every `step` pixels with bins of these sizes, smoothed for each.

    color: the channels that are described, as `phow` takes them.
    """

    step: int = 4
    bins: tuple[int, ...] = (4, 6, 8)
    window: str = "flat"
    root: bool = True
    color: str = "gray"

    def __post_init__(self) -> None:
        """Refuse settings that describe no grid."""
        if self.step < 1 or not self.bins or min(self.bins) < 1 or max(self.bins) > 256:
            raise ParameterError(f"step must be at least 1 and bins 1 to 256, got {self.step} and {self.bins}")
        if self.window not in WINDOWS:
            raise unknown_name("window", self.window, WINDOWS)
        if self.color not in COLORS:
            raise unknown_name("color", self.color, COLORS)

    def describe(self, image: ArrayLike) -> Descriptors:
        """Return the image's descriptors that have contrast. Raises ImageError where there would be too many."""
        height, width = np.shape(image)[:2]
        count = -(-height // self.step) * -(-width // self.step) * len(self.bins)
        if count > MAX_DESCRIPTORS:
            raise ImageError(f"has {count} places for descriptors; there may be {MAX_DESCRIPTORS}")
        found = phow(image, step=self.step, sizes=self.bins, window=self.window, contrast=CONTRAST, color=self.color)
        kept = found.norms >= CONTRAST
        values = found.values[kept]
        return Descriptors(found.frames[kept], root(values) if self.root else values, found.norms[kept])

    def to_meta(self) -> dict[str, Any]:
        """Return the settings as JSON has them."""
        meta = {**asdict(self), "bins": list(self.bins)}
        if self.color == "gray":  # codebooks from before there was a choice do not name it
            del meta["color"]
        return meta

    @classmethod
    def of(cls, codebook: Codebook | Dictionary) -> LocalSettings:
        """Return the settings by which a codebook was fitted. Raises DataError when it does not say."""
        meta = codebook.meta.get("sift")
        kinds = {"step": int, "bins": list, "window": str, "root": bool, "color": str}
        if (
            not isinstance(meta, dict)
            or {"color": "", **meta}.keys() != kinds.keys()
            or any(type(value) is not kinds[key] for key, value in meta.items())
            or any(type(size) is not int for size in meta["bins"])
        ):
            raise DataError("the codebook does not say how its descriptors were taken")
        try:
            return cls(**{**meta, "bins": tuple(meta["bins"])})
        except ParameterError as error:
            raise DataError(f"the codebook's settings are wrong: {error}") from None


def encode(
    image: ArrayLike,
    codebook: Codebook,
    *,
    encoding: str = "fisher",
    levels: Sequence[str] = WHOLE,
    mirror: bool = False,
) -> np.ndarray:
    """Return one vector of an image, float32 of unit length; zeros for a flat image.

    encoding: `fisher` (cells * 2 K D), the improved Fisher vector; `vlad` (cells * K D) with signed square roots; `bow`
    (cells * K), the square roots of the words' shares. levels: of a spatial pyramid, as `1x1`, `2x2`, `3x1`; the vector
    of each cell has unit length, then the whole. mirror: the vector is that of the descriptors of the image and of its
    mirror image together, the same for both.
    """
    _require(encoding, ENCODINGS, "encoding")
    found, where = _describe(image, codebook, mirror=mirror)
    data, kind = codebook.project(found, where), ENCODINGS[encoding]
    sums, counts = [kind.sums(data[:0], codebook)] * count_cells(levels), np.zeros(count_cells(levels), int)
    for rows, cells in groups(where, levels):
        part = kind.sums(data[rows], codebook)
        for cell in cells:
            sums[cell] = sums[cell] + part
            counts[cell] += len(rows)
    vectors = [kind.vector(total, int(count), codebook) for total, count in zip(sums, counts, strict=True)]
    return unit(np.concatenate(vectors)) if len(vectors) > 1 else vectors[0]


def _mixture(codebook: Codebook, like: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return means, variances and priors in the type of an array."""
    parts = codebook.means, codebook.covariances, codebook.priors
    return tuple(part.astype(like.dtype, copy=False) for part in parts)  # type: ignore[return-value]


def encode_sparsely(
    image: ArrayLike,
    dictionary: Dictionary,
    *,
    solver: str = "feature-sign",
    levels: Sequence[str] = LEVELS,
    mirror: bool = False,
) -> np.ndarray:
    """Return the largest code of each atom in each cell (cells * K), float32 of unit length; zeros for a flat image.

    solver: `feature-sign`, the sparse codes of ScSPM, or `llc`, faster. mirror: as for `encode`.
    """
    _require(solver, SOLVERS, "solver")
    found, where = _describe(image, dictionary, mirror=mirror)
    return max_pool(SOLVERS[solver](found, dictionary.atoms), where, levels=levels)


def _require(name: str, known: Mapping[str, object], kind: str) -> None:
    """Raise ParameterError unless the name is known."""
    if name not in known:
        raise unknown_name(kind, name, known)


def _describe(
    image: ArrayLike, codebook: Codebook | Dictionary, *, mirror: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors (N, 128) or, of color, (N, 384), as a codebook was fitted to, and their places (N, 2).

    mirror: those of the mirror image follow.
    """
    array = image_array(image, max_channels=MAX_CHANNELS)
    found = LocalSettings.of(codebook).describe(array)
    where = places(found.frames, *array.shape[:2])
    if not mirror:
        return found.values, where
    return np.concatenate([found.values, mirrored(found.values)]), np.concatenate([where, where * _MIRROR])


def length(codebook: Codebook, levels: Sequence[str] = WHOLE, *, encoding: str = "fisher") -> int:
    """Return how many numbers `encode` gives."""
    return ENCODINGS[encoding].numbers(codebook) * count_cells(levels)


def fit_to_images(
    images: Iterable[np.ndarray],
    count: int,
    *,
    local: LocalSettings,
    components: int,
    dimensions: int,
    with_places: bool = False,
    samples: int = 100_000,
    starts: int = 1,
    iterations: int = 100,
    per_component: int = PER_COMPONENT,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Codebook:
    """Fit a codebook to descriptors drawn from images.

    per_component: descriptors at least; there are fewer components where there are not so many. Raises DataError when
    there are too few descriptors.
    """
    values, where = _draw_descriptors(images, count, local, samples, seed, progress)
    return fit_codebook(
        values,
        components=min(components, max(len(values) // per_component, 1)),
        dimensions=dimensions,
        seed=seed,
        places=where if with_places else None,
        starts=starts,
        iterations=iterations,
        meta={"sift": local.to_meta(), "seed": seed, "images": count},
    )


def fit_dictionary(
    images: Iterable[np.ndarray],
    count: int,
    *,
    local: LocalSettings,
    atoms: int,
    samples: int = 100_000,
    seed: int = 0,
    progress: Callable[[int, int, str], None] | None = None,
) -> Dictionary:
    """Learn a dictionary from descriptors drawn from images. Raises DataError when there are fewer than atoms.

    progress: of the learning, once the images are read.
    """
    values, _ = _draw_descriptors(images, count, local, samples, seed)
    if len(values) < atoms:
        raise DataError(f"{len(values)} descriptors are too few for {atoms} atoms; give more or larger images")
    meta = {"sift": local.to_meta(), "seed": seed, "images": count}
    return Dictionary(learn_dictionary(values, atoms=atoms, seed=seed, progress=progress), meta)


def _draw_descriptors(
    images: Iterable[np.ndarray],
    count: int,
    local: LocalSettings,
    samples: int,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Return descriptors (N, 128) and their places (N, 2), about `samples` in all and equally many of each image.

    count: how many images come; progress is told the number of each as it is done. An image that cannot be described
    is passed over.
    """
    generator = np.random.default_rng(seed)
    share = -(-samples // max(count, 1))
    values, where = [np.zeros((0, 128 * COLORS[local.color]), np.float32)], [np.zeros((0, 2), np.float32)]

    def described(image: np.ndarray) -> tuple[Descriptors, tuple[int, ...]] | None:
        try:
            return local.describe(image), image.shape[:2]
        except ParameterError:
            raise
        except ImgtoolError:
            return None

    for number, each in enumerate(ordered_map(described, images, processors()), 1):
        if each is None:
            continue
        found, shape = each
        drawn = generator.choice(len(found.values), min(share, len(found.values)), replace=False)
        values.append(found.values[drawn])
        where.append(places(found.frames[drawn], *shape))
        if progress:
            progress(number)
    return np.concatenate(values), np.concatenate(where)
