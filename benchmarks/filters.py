# ruff: noqa: E402 - libraries look at the environment for their threads when they are imported
"""Convolution and gradient magnitude against OpenCV, SciPy, scikit-image, Pillow and libvips, on one thread.

    python benchmarks/filters.py [--quick] [--only TEXT] [--seconds S] [--other-python PATH]
    python benchmarks/filters.py --threads [--only TEXT]

Every row is one filter on one image: its candidates take turns in one process, and the table gives medians of
processor time, and the ratio of ours to the fastest peer that is right: within 0.51 level of the float64 result for 8
bits, within 1e-5 of its largest value for floats. A peer that does not know a border is measured as pad, filter,
crop. One that takes more than 3 times as long as ours is asked twice, than 20 times once. The last lines give the
worst and best ratio of each group.

--only takes the rows whose name contains the text; --other-python runs the same by another interpreter, one with the
other major version of OpenCV, in a process of its own; --threads measures two threads against one at 3840x2160, by the
clock on the wall.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VIPS_CONCURRENCY"):
    os.environ.setdefault(variable, "1")
sys.path.insert(0, str(Path(__file__).parents[1]))

import cv2
import numpy as np
import scipy.ndimage
import scipy.signal

from imgtool.filters.borders import BORDERS
from imgtool.filters.convolve import convolve, margins
from imgtool.filters.engine.magnitude import magnitude_by
from imgtool.filters.engine.padded_view import MARGINS, NATIVE
from imgtool.filters.kernels import gaussian, kernel

Clock = Callable[[], float]
Filter = Callable[[np.ndarray], np.ndarray]
SIZES = {"512": (512, 512), "4k": (2160, 3840)}
SOBEL = kernel("sobel-x"), kernel("sobel-y")


class Case(NamedTuple):
    """A kind of filter, its parameter, and what it is done to."""

    kind: str
    parameter: float
    size: str
    dtype: str
    channels: int
    border: str = "reflect"

    @property
    def name(self) -> str:
        color = "gray" if self.channels == 1 else "rgb"
        return f"{self.kind} {self.parameter:g} {self.dtype} {color} {self.size} {self.border}"

    @property
    def group(self) -> str:
        return f"{self.kind} {self.parameter:g} {self.dtype} {self.size}"

    @property
    def taps(self) -> np.ndarray:
        size = int(self.parameter)
        if self.kind == "dense":
            taps = np.random.default_rng(size).standard_normal((size, size))
            return taps / np.abs(taps).sum() * 2
        if self.kind == "gaussian":
            return gaussian(self.parameter)
        return np.full((size, size), 1 / size**2) if self.kind == "box" else SOBEL[0]

    @property
    def result_type(self) -> np.dtype:
        return np.dtype("int16" if self.kind == "sobel" and self.dtype == "uint8" else self.dtype)

    def image(self) -> np.ndarray:
        shape = SIZES[self.size] + ((self.channels,) if self.channels > 1 else ())
        pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        pixels = cv2.GaussianBlur(pixels, (0, 0), 1.0)  # neighbors resemble each other, as in a photograph
        return pixels.astype(self.dtype)


def cases(quick: bool) -> Iterator[Case]:
    kinds = {"dense": (3, 5, 7, 11, 15, 31, 63, 127), "gaussian": (1, 5, 10, 20, 40), "box": (3, 31)}
    if quick:
        kinds = {"dense": (3, 7, 15, 63), "gaussian": (1, 20), "box": (3,)}
    filters = [(kind, each) for kind, parameters in kinds.items() for each in parameters]
    filters += [("sobel", 3), ("magnitude", 3)]
    for size in SIZES:
        for channels in (1,) if quick else (1, 3):
            for dtype in ("uint8", "float32"):
                yield from (Case(*each, size, dtype, channels) for each in filters)
        for dtype in ("uint8", "float32"):
            for each in [("dense", 3), ("gaussian", 5), ("magnitude", 3)] + [("dense", 15), ("box", 3)] * (not quick):
                yield from (Case(*each, size, dtype, 1, border) for border in BORDERS if border != "reflect")


def ours(case: Case, threads: int = 1) -> Filter:
    settings = {"border": case.border, "dtype": case.result_type, "threads": threads}
    if case.kind == "magnitude":
        return lambda image: magnitude_by(image, *SOBEL, **settings)
    taps = case.taps
    return lambda image: convolve(image, taps, **settings)


def reference(case: Case, image: np.ndarray) -> np.ndarray:
    """Return the float64 result by SciPy: a DFT of the whole padded image."""
    kernels = SOBEL if case.kind == "magnitude" else (case.taps,)
    results = []
    for taps in kernels:
        padded = framed(image.astype(np.float64), taps, case.border)
        wide = taps.reshape(*taps.shape, *[1] * (image.ndim - 2))
        results.append(scipy.signal.fftconvolve(padded, wide, mode="valid", axes=(0, 1)))
    return np.hypot(*results) if len(results) > 1 else results[0]


def framed(image: np.ndarray, taps: np.ndarray, border: str) -> np.ndarray:
    (above, below), (left, right) = margins(taps)
    return cv2.copyMakeBorder(image, above, below, left, right, MARGINS[border])


def peers(case: Case) -> dict[str, Filter]:
    """Return what other libraries offer for the filter; those that cannot do it at all are left out."""
    found = opencv(case) | scipy_(case) | skimage_(case)
    if case.dtype == "uint8" and case.channels == 1:
        found |= pillow(case)
    if find_spec("pyvips"):
        found |= vips(case)
    return found


def padding(case: Case, inner: Filter) -> Filter:
    """Pad, filter, crop."""
    (above, _), (left, _) = margins(case.taps)

    def whole(image: np.ndarray) -> np.ndarray:
        height, width = image.shape[:2]
        return inner(framed(image, case.taps, case.border))[above : above + height, left : left + width]

    return whole


def opencv(case: Case) -> dict[str, Filter]:
    border = NATIVE.get(case.border, cv2.BORDER_CONSTANT)
    depth = {"uint8": cv2.CV_8U, "int16": cv2.CV_16S, "float32": cv2.CV_32F}[case.result_type.name]
    taps, size = np.ascontiguousarray(case.taps[::-1, ::-1]), case.taps.shape
    line = cv2.getGaussianKernel(size[0], case.parameter)

    def magnitude(image: np.ndarray) -> np.ndarray:
        gx, gy = (cv2.Sobel(image, cv2.CV_32F, *order, borderType=border) for order in ((1, 0), (0, 1)))
        length = cv2.magnitude(gx.reshape(len(gx), -1), gy.reshape(len(gy), -1)).reshape(image.shape)
        return length if case.dtype == "float32" else cv2.convertScaleAbs(length)

    found: dict[str, dict[str, Filter]] = {
        "dense": {"cv2.filter2D": lambda image: cv2.filter2D(image, depth, taps, borderType=border)},
        "gaussian": {
            "cv2.sepFilter2D": lambda image: cv2.sepFilter2D(image, depth, line, line, borderType=border),
            "cv2.GaussianBlur": lambda image: cv2.GaussianBlur(image, size, case.parameter, borderType=border),
        },
        "box": {"cv2.blur": lambda image: cv2.blur(image, size, borderType=border)},
        "sobel": {"cv2.Sobel": lambda image: cv2.Sobel(image, depth, 1, 0, borderType=border)},
        "magnitude": {"cv2.Sobel, magnitude": magnitude},
    }
    known = case.border in NATIVE
    return {name: each if known else padding(case, each) for name, each in found[case.kind].items()}


def scipy_(case: Case) -> dict[str, Filter]:
    mode, taps = BORDERS[case.border].scipy, case.taps.astype(np.float32)
    sides = (0, 1)

    def by_dft(function: Callable[..., np.ndarray]) -> Filter:
        def run(image: np.ndarray) -> np.ndarray:
            wide = taps.reshape(*taps.shape, *[1] * (image.ndim - 2))
            padded = framed(image.astype(np.float32), taps, case.border)
            return as_type(function(padded, wide, mode="valid", axes=sides), case)

        return run

    def nd(function: Callable[..., np.ndarray], *what: object, **more: object) -> Filter:
        return lambda image: as_type(function(image.astype(np.float32), *what, mode=mode, **more), case)

    def sobel(image: np.ndarray, axis: int) -> np.ndarray:
        return scipy.ndimage.sobel(image.astype(np.float32), axis=axis, mode=mode)

    axes = {} if case.channels == 1 else {"axes": sides}
    dense: dict[str, Filter] = {
        "fftconvolve": by_dft(scipy.signal.fftconvolve),
        "oaconvolve": by_dft(scipy.signal.oaconvolve),
    }
    if case.parameter <= 15:
        wide = taps.reshape(*taps.shape, *[1] * (case.channels > 1))
        dense["ndimage.convolve"] = nd(scipy.ndimage.convolve, wide)
    found: dict[str, dict[str, Filter]] = {
        "dense": dense,
        "gaussian": {
            "ndimage.gaussian_filter": nd(scipy.ndimage.gaussian_filter, case.parameter, truncate=4.0, **axes)
        },
        "box": {"ndimage.uniform_filter": nd(scipy.ndimage.uniform_filter, int(case.parameter), **axes)},
        "sobel": {"ndimage.sobel": lambda image: as_type(sobel(image, 1), case)},
        "magnitude": {"ndimage.sobel, hypot": lambda image: as_type(np.hypot(sobel(image, 1), sobel(image, 0)), case)},
    }
    return found[case.kind]


def skimage_(case: Case) -> dict[str, Filter]:
    from skimage import filters

    mode = BORDERS[case.border].scipy
    if case.kind == "gaussian":
        last = -1 if case.channels > 1 else None
        smooth = {"sigma": case.parameter, "mode": mode, "truncate": 4.0, "preserve_range": True, "channel_axis": last}
        return {"skimage.gaussian": lambda image: as_type(filters.gaussian(image.astype(np.float32), **smooth), case)}
    if (case.kind, case.channels, case.border) != ("sobel", 1, "reflect"):
        return {}
    return {"skimage.sobel_v": lambda image: as_type(4 * filters.sobel_v(image.astype(np.float32)), case)}


def as_type(values: np.ndarray, case: Case) -> np.ndarray:
    if case.result_type.kind == "f":
        return values.astype(case.result_type)
    limits = np.iinfo(case.result_type)
    return np.rint(values).clip(limits.min, limits.max).astype(case.result_type)


def pillow(case: Case) -> dict[str, Filter]:
    from PIL import Image, ImageFilter

    size = int(case.parameter)
    if case.kind == "gaussian":
        wanted = ImageFilter.GaussianBlur(case.parameter)
    elif case.kind == "box":
        wanted = ImageFilter.BoxBlur(size // 2)
    elif case.kind == "dense" and size <= 5:
        wanted = ImageFilter.Kernel((size, size), case.taps[::-1, ::-1].ravel().tolist(), 1)
    else:
        return {}
    return {f"Pillow {type(wanted).__name__}": padding(case, lambda a: np.asarray(Image.fromarray(a).filter(wanted)))}


def vips(case: Case) -> dict[str, Filter]:
    import pyvips

    mask = pyvips.Image.new_from_array(case.taps[::-1, ::-1].tolist())
    line = pyvips.Image.new_from_array([cv2.getGaussianKernel(case.taps.shape[0], case.parameter).ravel().tolist()])

    def run(image: np.ndarray) -> np.ndarray:
        source = pyvips.Image.new_from_array(image)
        if case.kind in ("gaussian", "box"):
            done = source.convsep(line if case.kind == "gaussian" else mask.crop(0, 0, mask.width, 1) * mask.height)
        else:
            done = source.conv(mask, precision="float")
        return as_type(done.numpy(), case)

    return {} if case.kind == "magnitude" else {"vips": padding(case, run)}


def right(case: Case, actual: np.ndarray, expected: np.ndarray) -> bool:
    if case.result_type.kind == "f":
        return bool(np.abs(actual - expected).max() <= 1e-5 * np.abs(expected).max())
    limits = np.iinfo(case.result_type)
    return bool(np.abs(actual - expected.clip(limits.min, limits.max)).max() <= 0.51)


def race(
    candidates: dict[str, Filter], image: np.ndarray, seconds: float, clock: Clock, first: dict[str, float]
) -> dict[str, float]:
    """Let candidates take turns, the first being ours; return the median seconds of each. `first`: those of a call.

    A turn is a call that does not count, for the caches, and then calls for 2 milliseconds or one.
    """
    own = next(iter(candidates))
    asked = [name for name in candidates if first[name] <= 3 * first[own]]
    again = [name for name in candidates if 3 * first[own] < first[name] <= 20 * first[own]]
    medians = first | {name: turn(candidates[name], image, 0, clock) for name in again}
    turns: dict[str, list[float]] = {name: [] for name in asked}
    end = time.perf_counter() + seconds * len(asked)
    while len(turns[own]) < 5 or (time.perf_counter() < end and len(turns[own]) < 200):
        for name in asked if len(turns[own]) % 2 else reversed(asked):
            turns[name].append(turn(candidates[name], image, 0.002, clock))
    return medians | {name: statistics.median(each) for name, each in turns.items()}


def turn(function: Filter, image: np.ndarray, seconds: float, clock: Clock) -> float:
    """Return the seconds of one call, the mean of as many as are made."""
    function(image)
    begin, calls = clock(), 0
    while not calls or clock() - begin < seconds:
        function(image)
        calls += 1
    return (clock() - begin) / calls


def against_peers(wanted: list[Case], seconds: float) -> None:
    groups: dict[str, list[float]] = defaultdict(list)
    print(
        f"{'filter':<44} {'ours ms':>9} {'ratio':>6}  to the fastest right peer; the others' time / ours; x = not right"
    )
    for case in wanted:
        image = case.image()
        expected = reference(case, image)
        candidates = {"ours": ours(case), **peers(case)}
        first, good = {}, set()
        for name, each in candidates.items():
            begin = time.process_time()
            actual = each(image)
            first[name] = time.process_time() - begin
            if right(case, actual, expected):
                good.add(name)
        if "ours" not in good:
            raise SystemExit(f"{case.name}: ours is not right")
        medians = race(candidates, image, seconds, time.process_time, first)
        mine = medians.pop("ours")
        fastest = min(good - {"ours"}, key=medians.__getitem__)
        groups[case.group].append(mine / medians[fastest])
        rest = ", ".join(f"{name} {'' if name in good else 'x'}{medians[name] / mine:.2f}" for name in medians)
        print(f"{case.name:<44} {1000 * mine:9.3f} {mine / medians[fastest]:6.2f}  {fastest}; {rest}", flush=True)
    print(f"\n{'group':<30} worst  best")
    for group, ratios in groups.items():
        print(f"{group:<30} {max(ratios):5.2f} {min(ratios):5.2f}")


def two_threads(wanted: list[Case], seconds: float) -> None:
    print(f"{'filter':<44} {'one ms':>9} {'two ms':>9} {'faster':>7}")
    for case in wanted:
        if case.size == "4k" and case.border == "reflect":
            candidates = {"one": ours(case), "two": ours(case, 2)}
            one, two = race(
                candidates, case.image(), seconds, time.perf_counter, dict.fromkeys(candidates, 1.0)
            ).values()
            print(f"{case.name:<44} {1000 * one:9.2f} {1000 * two:9.2f} {one / two:7.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--only", default="")
    parser.add_argument("--seconds", type=float, default=0.4)
    parser.add_argument("--other-python", metavar="PATH")
    parser.add_argument("--threads", action="store_true")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    libraries = [f"{name} {version(name)}" for name in ("numpy", "scipy", "scikit-image", "Pillow")]
    print(f"OpenCV {cv2.__version__}, {', '.join(libraries)}, {'' if find_spec('pyvips') else 'no '}pyvips", flush=True)
    wanted = [case for case in cases(arguments.quick) if arguments.only in case.name]
    (two_threads if arguments.threads else against_peers)(wanted, arguments.seconds)
    if arguments.other_python:
        rest = [word for word in sys.argv[1:] if word not in ("--other-python", arguments.other_python)]
        subprocess.run([arguments.other_python, __file__, *rest], check=True)


if __name__ == "__main__":
    main()
