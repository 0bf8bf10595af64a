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


@dataclass(frozen=True)
class Survey:
    """Whether anything in an image is transparent, and the largest magnitude of a finite pixel that is seen."""

    transparent: bool
    peak: float


def survey(image: Rows, seen: Callable[[np.ndarray], np.ndarray] | None) -> Survey:
    """Look at a whole image. seen: from some rows to their colors that count, None where no peak is wanted."""
    transparent, peak = False, 0.0
    step = max(1, SURVEY_PIXELS // image.shape[1])
    for begin in range(0, image.shape[0], step):
        rows = image[begin : begin + step]
        transparent = transparent or (has_alpha(rows.shape) and not is_opaque(rows[:, :, -1]))
        if seen is not None:
            low, high = extremes_of(seen(rows))
            peak = max(peak, -float(low), float(high)) if low <= high else peak
    return Survey(transparent, peak)


def visible(image: np.ndarray) -> np.ndarray:
    """Return the color of an image, 0 where nothing of it is seen."""
    color, alpha = split_alpha(image)
    if alpha is None:
        return color
    return np.where((alpha > 0) if color.ndim == 2 else (alpha > 0)[:, :, None], color, color.dtype.type(0))


@dataclass(frozen=True)
class ImageFilter:
    """What is done to images, whatever they hold.

    apply: from color to numbers; weigh: from color and alpha to weighted numbers, None where transparent images are
    seen on white; taps_size: the sum of absolute taps, 0 for filters whose results have no rounding noise; signed:
    numbers lie around 0; peak: the largest pixel of the image, where it is known.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    weigh: Callable[[np.ndarray, np.ndarray], Weighted] | None
    range: str
    depth: str
    taps_size: float
    signed: bool
    peak: float = 0.0

    def strip_filter(self, reach: int, *, wraps: bool, narrow: bool) -> StripFilter:
        """Return the filter for strips of any image; the parameters are those of StripFilter."""
        measure = self._extremes if self.range == "stretch" else None
        plain = StripFilter(self._opaque_values, self._opaque_pixels, reach, wraps, measure, narrow)
        return replace(plain, adapt=lambda image: self._adapt(plain, image))

    def _adapt(self, plain: StripFilter, image: Rows) -> StripFilter:
        """Return the filter for one image."""
        clear, measures = has_alpha(image.shape), self.range == "stretch"
        if not (clear or measures):
            return plain
        seen = visible if self.weigh else flatten
        found = survey(image, seen if measures and self.taps_size else None)
        own = replace(self, peak=found.peak)
        measure = own._extremes if measures else None
        if clear and not self.weigh:
            flat = own._flat_pixels if found.transparent else own._pixels
            return replace(plain, values=own._flat_values, pixels=flat, measure=measure)
        if found.transparent:
            measure = own._visible_extremes if measures else None
            return replace(plain, values=own._values, pixels=own._weighted_pixels, measure=measure, narrow=False)
        return replace(plain, pixels=own._opaque_pixels, measure=measure)

    def _opaque_values(self, image: np.ndarray) -> np.ndarray:
        """Return the numbers of an image without alpha, or one whose alpha changes nothing."""
        return self.apply(split_alpha(image)[0])

    def _flat_values(self, image: np.ndarray) -> np.ndarray:
        """Return the numbers of an image that is seen on white."""
        return self.apply(flatten(image))

    def _values(self, image: np.ndarray) -> np.ndarray:
        """Return the numbers of an image with alpha, and how much of each pixel there is as the last channel."""
        color, alpha = split_alpha(image)
        assert self.weigh is not None
        assert alpha is not None
        found = self.weigh(color, alpha)
        return np.dstack([found.colors, found.shares]).astype(np.float32 if image.dtype == np.float32 else np.float64)

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
