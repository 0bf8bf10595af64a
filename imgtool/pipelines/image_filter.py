"""A filter as it is applied to one image: alpha, the background, rounding noise, then pixels.

What the image as a whole decides is looked at once, before its first strip: whether anything is transparent, and how
large its largest pixel is. So strips have the bits of the whole image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from imgtool.arrays import cast_rounding
from imgtool.filters.strip_filter import Rows, StripFilter
from imgtool.filters.weighted import Weighted, silence
from imgtool.image.alpha import flatten, has_alpha, is_opaque, join_alpha, split_alpha
from imgtool.image.pixels import DEPTH_TYPES, Extremes, Pixels, extremes_of, to_pixels, white_level

SURVEY_PIXELS = 1 << 20  # looked at at a time
Store = Callable[[np.ndarray, np.ndarray, Extremes | None], Pixels]


@dataclass(frozen=True)
class Survey:
    """Whether anything in an image is transparent, the largest magnitude of a finite pixel, whether any has no data."""

    transparent: bool
    peak: float
    has_holes: bool = False


def survey(
    image: Rows,
    seen: Callable[[np.ndarray], np.ndarray] | None,
    valid: Callable[[np.ndarray], np.ndarray] | None = None,
) -> Survey:
    """Look at a whole image.

    seen: from some rows to their colors that count, None where no peak is wanted; valid: to the mask of pixels that
    hold data, None where all do.
    """
    transparent, peak, has_holes = False, 0.0, False
    step = max(1, SURVEY_PIXELS // image.shape[1])
    for begin in range(0, image.shape[0], step):
        rows = image[begin : begin + step]
        transparent = transparent or (has_alpha(rows.shape) and not is_opaque(rows[:, :, -1]))
        if seen is not None:
            low, high = extremes_of(seen(rows))
            peak = max(peak, -float(low), float(high)) if low <= high else peak
        has_holes = has_holes or (valid is not None and not valid(rows).all())
    return Survey(transparent, peak, has_holes)


def valid_pixels(image: np.ndarray, nodata: float) -> np.ndarray:
    """Return which pixels hold data (height, width): not this value in every channel of color, or NaN in any."""
    color = split_alpha(image)[0]
    if np.isnan(nodata):
        holes = np.isnan(color) if color.dtype.kind == "f" else np.zeros(color.shape, bool)
        return np.asarray(~(holes.any(axis=2) if color.ndim == 3 else holes))
    with np.errstate(over="ignore"):
        value = np.asarray(nodata, color.dtype if color.dtype.kind == "f" else None)
    holes = np.asarray(color == value)
    return np.asarray(~(holes.all(axis=2) if color.ndim == 3 else holes))


def visible(image: np.ndarray) -> np.ndarray:
    """Return the color of an image, 0 where nothing of it is seen."""
    color, alpha = split_alpha(image)
    if alpha is None:
        return color
    return np.where((alpha > 0) if color.ndim == 2 else (alpha > 0)[:, :, None], color, color.dtype.type(0))


def _without(values: np.ndarray, holes: np.ndarray, value: float) -> np.ndarray:
    """Return values, another one in the holes (height, width)."""
    return np.where(holes if values.ndim == 2 else holes[:, :, None], values.dtype.type(value), values)


@dataclass(frozen=True)
class ImageFilter:
    """What is done to images, whatever they hold.

    apply: from color, and the mask of pixels that hold data, to numbers; weigh: from color, alpha and such a mask to
    weighted numbers, None where transparent images are seen on white; taps_size: the sum of absolute taps, 0 for
    filters whose results have no rounding noise; signed: numbers lie around 0; nodata: the value of pixels that hold no
    data and stay as they are; peak: the largest pixel of the image, where it is known.
    """

    apply: Callable[[np.ndarray, np.ndarray | None], np.ndarray]
    weigh: Callable[[np.ndarray, np.ndarray, np.ndarray | None], Weighted] | None
    range: str
    depth: str
    taps_size: float
    signed: bool
    nodata: float | None = None
    peak: float = 0.0

    def strip_filter(self, reach: int, *, wraps: bool, narrow: bool) -> StripFilter:
        """Return the filter for strips of any image; the parameters are those of StripFilter."""
        measure = self._extremes if self.range == "stretch" else None
        plain = StripFilter(self._opaque_values, self._opaque_pixels, reach, wraps, measure, narrow)
        return replace(plain, adapt=lambda image: self._adapt(plain, image))

    def _adapt(self, plain: StripFilter, image: Rows) -> StripFilter:
        """Return the filter for one image."""
        clear, measures = has_alpha(image.shape), self.range == "stretch"
        if not (clear or measures or self.nodata is not None):
            return plain
        found = survey(
            image, self._seen if measures and self.taps_size else None, None if self.nodata is None else self._valid
        )
        own = replace(self, peak=found.peak, nodata=self.nodata if found.has_holes else None)
        extremes, values, pixels = own._extremes, own._opaque_values, own._opaque_pixels
        if clear and not self.weigh:
            values, pixels = own._flat_values, own._flat_pixels if found.transparent else own._pixels
        elif found.transparent:
            extremes, values, pixels = own._visible_extremes, own._values, own._weighted_pixels
        plain = replace(plain, values=values, pixels=pixels, measure=extremes if measures else None)
        if found.has_holes:
            return replace(plain, pixels=own._with_holes(pixels), narrow=False)
        return replace(plain, narrow=plain.narrow and not found.transparent)

    def _valid(self, image: np.ndarray) -> np.ndarray:
        """Return which pixels hold data."""
        assert self.nodata is not None
        return valid_pixels(image, self.nodata)

    def _mask(self, image: np.ndarray) -> np.ndarray | None:
        """Return which pixels hold data, None where all do."""
        return None if self.nodata is None else self._valid(image)

    def _with_holes(self, pixels: Store) -> Store:
        """Return a function that makes pixels, but for those that hold no data, which stay as they are."""

        def make(numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
            holes = ~self._valid(image)
            numbers[holes] = 0
            stored = pixels(numbers, image, extremes)
            stored.pixels[holes] = self._unfiltered(image, stored.pixels.dtype)[holes]
            return stored._replace(nodata=int(holes.sum()))

        return make

    def _unfiltered(self, image: np.ndarray, dtype: np.dtype) -> np.ndarray:
        """Return an image in the type of results, otherwise as it is."""
        color, alpha = split_alpha(image)
        if self.range == "raw":
            color = color.astype(dtype)
        elif color.dtype != dtype:
            color = to_pixels(color.astype(np.float64), "clip", depth=self.depth, like=color.dtype).pixels
        return join_alpha(color, alpha)

    def _seen(self, image: np.ndarray) -> np.ndarray:
        """Return the color that counts: 0 where nothing of it is seen or it is no data."""
        color = visible(image) if self.weigh else flatten(image)
        mask = self._mask(image)
        return color if mask is None else _without(color, ~mask, 0)

    def _opaque_values(self, image: np.ndarray) -> np.ndarray:
        """Return the numbers of an image without alpha, or one whose alpha changes nothing."""
        mask = self._mask(image)
        numbers = self.apply(split_alpha(image)[0], mask)
        return numbers if mask is None or numbers.dtype.kind != "f" else _without(numbers, ~mask, np.nan)

    def _flat_values(self, image: np.ndarray) -> np.ndarray:
        """Return the numbers of an image that is seen on white."""
        return self.apply(flatten(image), None)

    def _values(self, image: np.ndarray) -> np.ndarray:
        """Return the numbers of an image with alpha, and how much of each pixel there is as the last channel."""
        color, alpha = split_alpha(image)
        assert self.weigh is not None
        assert alpha is not None
        mask = self._mask(image)
        found = self.weigh(color, alpha, mask)
        numbers = np.dstack([found.colors, found.shares])
        numbers = numbers.astype(np.float32 if image.dtype == np.float32 else np.float64)
        return numbers if mask is None else _without(numbers, ~mask, np.nan)

    def _extremes(self, numbers: np.ndarray) -> Extremes:
        """Return the extremes that `stretch` goes by."""
        return extremes_of(silence(numbers, self.taps_size, self.peak))

    def _visible_extremes(self, numbers: np.ndarray) -> Extremes:
        """Return those of what is seen of weighted numbers."""
        colors, shares = split_alpha(numbers)
        assert shares is not None
        return self._extremes(np.where((shares > 0) if colors.ndim == 2 else (shares > 0)[:, :, None], colors, np.nan))

    def _pixels(self, numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        """Return the pixels of numbers, for an image whose alpha is not kept."""
        if self.range == "stretch":
            numbers = silence(numbers, self.taps_size, self.peak)
        return to_pixels(numbers, self.range, depth=self.depth, like=image.dtype, signed=self.signed, extremes=extremes)

    def _opaque_pixels(self, numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        """Return the pixels of numbers, with the image's alpha."""
        stored = self._pixels(numbers, image, extremes)
        return stored._replace(pixels=join_alpha(stored.pixels, split_alpha(image)[1]))

    def _flat_pixels(self, numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        """Return the pixels of numbers of what was seen on white."""
        return self._pixels(numbers, image, extremes)._replace(flattened=True)

    def _weighted_pixels(self, numbers: np.ndarray, image: np.ndarray, extremes: Extremes | None) -> Pixels:
        """Return the pixels of weighted numbers; color under alpha 0 is 0."""
        colors, shares = split_alpha(numbers)
        assert shares is not None
        raw = self.range == "raw"
        target = numbers.dtype if raw else DEPTH_TYPES.get(self.depth, image.dtype)
        alpha = cast_rounding(np.nan_to_num(shares) * white_level(target), target)
        hidden = alpha == 0
        colors[hidden] = 0
        stored = self._pixels(colors, image, extremes)
        stored.pixels[hidden] = 0
        return stored._replace(pixels=np.dstack([stored.pixels, alpha]))
