"""Time of descriptors beside the C programs that define them, in one interleaved run on one thread.

    OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 python benchmarks/c_programs.py [--vlfeat FILE] [--only WORD]

Rows of HOGDescriptor need OpenCV 4 (5 has none), those of VLFeat its library, for instance Debian's:

    apt-get download libvlfeat1 && dpkg -x libvlfeat1_*.deb vlfeat   # vlfeat/usr/lib/*/libvl.so.1

Each row: median milliseconds of processor time of imgtool and of the C program, the median of the ratio of both, taken
in turn, and the largest difference of their numbers. Images are sample_images/camera.png and astronaut.jpg, enlarged
to 512x512; VLFeat is given them as floats already.
"""

from __future__ import annotations

import argparse
import ctypes
import os
import statistics
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import numpy as np

from imgtool.features.dalal_triggs import dalal_triggs
from imgtool.features.fisher import fisher_vector
from imgtool.features.sift import dense_sift
from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs

Work = Callable[[], np.ndarray]
Case = tuple[str, Work, Work]
SAMPLES = Path(__file__).parents[1] / "sample_images"
SIDE = 512
_FLAT_WINDOW, _FRAMES = 13, 16  # where VlDsiftFilter holds them, in ints
_DESCRIPTORS = 80  # where it holds the pointer to them, in bytes
_FLOAT, _IMPROVED = 1, 3  # VL_TYPE_FLOAT, VL_FISHER_FLAG_IMPROVED


def photograph(name: str, flag: int) -> np.ndarray:
    """Return a sample image of 512x512 pixels, uint8."""
    image = cv2.imread(str(SAMPLES / name), flag)
    return np.asarray(cv2.resize(image, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC))


def images() -> dict[str, np.ndarray]:
    """Return images by the name of their kind."""
    gray = photograph("camera.png", cv2.IMREAD_GRAYSCALE)
    return {"gray": gray, "color": photograph("astronaut.jpg", cv2.IMREAD_COLOR), "float32": gray.astype(np.float32)}


def opencv_cases() -> Iterator[Case]:
    if not hasattr(cv2, "HOGDescriptor"):
        return
    for signed in (False, True):
        sides = [(SIDE, SIDE), (16, 16), (8, 8), (8, 8)]
        peer = cv2.HOGDescriptor(*sides, 9, 1, -1, 0, 0.2, False, 64, signed)
        for kind, image in images().items():
            eight = np.asarray(image, np.uint8)  # which it takes alone
            yield (
                f"dalal-triggs {kind}{' signed' if signed else ''}",
                lambda image=image, signed=signed: dalal_triggs(image, signed=signed),
                lambda image=eight, peer=peer: peer.compute(image),
            )


class VLFeat:
    """VLFeat's C library."""

    def __init__(self, path: str) -> None:
        self._library = ctypes.CDLL(path)
        self._library.vl_set_num_threads(1)
        for name in ("vl_hog_new", "vl_dsift_new_basic"):
            getattr(self._library, name).restype = ctypes.c_void_p
        for name in ("height", "width", "dimension"):
            getattr(self._library, f"vl_hog_get_{name}").restype = ctypes.c_size_t

    def hog(self, planes: np.ndarray, variant: int, *, bilinear: bool) -> np.ndarray:
        """Return (cell rows, cell columns, numbers). variant: 0 for Dalal and Triggs, 1 for UoCTTI."""
        library, (channels, height, width) = self._library, planes.shape
        hog = ctypes.c_void_p(library.vl_hog_new(variant, ctypes.c_size_t(9), 0))
        library.vl_hog_set_use_bilinear_orientation_assignments(hog, int(bilinear))
        library.vl_hog_put_image(hog, _pointer(planes), *map(ctypes.c_size_t, (width, height, channels, 8)))
        shape = [getattr(library, f"vl_hog_get_{name}")(hog) for name in ("dimension", "height", "width")]
        result = np.empty(shape, np.float32)
        library.vl_hog_extract(hog, _pointer(result))
        library.vl_hog_delete(hog)
        return result.transpose(1, 2, 0)

    def dense_sift(self, image: np.ndarray, *, flat: bool) -> np.ndarray:
        """Return descriptors of 128 numbers, one every 4 pixels, of bins of 4."""
        filter = ctypes.c_void_p(self._library.vl_dsift_new_basic(image.shape[1], image.shape[0], 4, 4))
        ctypes.cast(filter, ctypes.POINTER(ctypes.c_int))[_FLAT_WINDOW] = int(flat)
        self._library.vl_dsift_process(filter, _pointer(image))
        count = ctypes.cast(filter, ctypes.POINTER(ctypes.c_int))[_FRAMES]
        place = ctypes.c_void_p.from_address(int(filter.value or 0) + _DESCRIPTORS)
        found = np.ctypeslib.as_array(ctypes.cast(place, ctypes.POINTER(ctypes.c_float)), (count, 128)).copy()
        self._library.vl_dsift_delete(filter)
        return found

    def fisher(self, data: np.ndarray, means: np.ndarray, variances: np.ndarray, priors: np.ndarray) -> np.ndarray:
        """Return the improved Fisher vector."""
        result = np.empty(2 * means.size, np.float32)
        sizes = [ctypes.c_size_t(each) for each in (means.shape[1], len(means), len(data))]
        self._library.vl_fisher_encode(
            _pointer(result), _FLOAT, _pointer(means), *sizes[:2], _pointer(variances), _pointer(priors),
            _pointer(data), sizes[2], _IMPROVED,
        )  # fmt: skip
        return result


def _pointer(array: np.ndarray) -> ctypes.c_void_p:
    return ctypes.c_void_p(array.ctypes.data)


def vlfeat_cases(path: str) -> Iterator[Case]:
    peer = VLFeat(path)
    for number, (name, function) in enumerate((("vlfeat-dalal-triggs", vlfeat_dalal_triggs), ("uoctti", uoctti))):
        for kind, image in images().items():
            planes = np.ascontiguousarray(np.moveaxis(np.atleast_3d(image), 2, 0), np.float32)
            for bilinear in (False, True):
                yield (
                    f"{name} {kind}{' bilinear' if bilinear else ''}",
                    lambda f=function, image=image, b=bilinear: f(image, bilinear=b),
                    lambda n=number, planes=planes, b=bilinear: peer.hog(planes, n, bilinear=b),
                )
    image = images()["gray"]
    floats = image.astype(np.float32)
    for window in ("flat", "gaussian"):
        yield (
            f"dense SIFT {window}",
            lambda w=window: dense_sift(image, step=4, bin_size=4, window=w, vlfeat_angles=True).values,
            lambda w=window: peer.dense_sift(floats, flat=w == "flat"),
        )
    rng = np.random.default_rng(0)
    data, means = (rng.standard_normal((count, 80)).astype(np.float32) for count in (5000, 256))
    mixture = means, np.ones_like(means), np.full(256, 1 / 256, np.float32)
    yield (
        "Fisher K=256 D=80 N=5000",
        lambda: fisher_vector(data, *mixture),
        lambda: peer.fisher(data, *mixture),
    )


def measure(mine: Work, peer: Work, rounds: int) -> tuple[float, float, float]:
    """Return the median milliseconds of both, called in turn, and the median of their ratio."""
    times = []
    for _ in range(rounds):
        pair = []
        for work in (mine, peer):
            begin = time.process_time()
            work()
            pair.append(1e3 * (time.process_time() - begin))
        times.append(pair)
    ours, theirs = (statistics.median(each) for each in zip(*times, strict=True))
    return ours, theirs, statistics.median(one / other for one, other in times)


def difference(mine: Work, peer: Work) -> float:
    """Return the largest difference, relative to the largest number."""
    ours, theirs = np.ravel(mine()), np.ravel(peer())
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max()) if ours.size == theirs.size else np.nan


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vlfeat", metavar="FILE", help="VLFeat's shared library")
    parser.add_argument("--only", default="", help="rows whose name holds this word")
    parser.add_argument("--rounds", type=int, default=31)
    arguments = parser.parse_args()
    if {os.environ.get(f"{name}_NUM_THREADS") for name in ("OPENBLAS", "OMP")} != {"1"}:
        parser.error("set OPENBLAS_NUM_THREADS=1 and OMP_NUM_THREADS=1: one thread is compared with one")
    cv2.setNumThreads(1)
    print(f"OpenCV {cv2.__version__}, NumPy {np.__version__}, VLFeat {arguments.vlfeat or 'not given'}")
    print(f"{'':<36} {'imgtool ms':>10} {'C ms':>8} {'ratio':>7} {'difference':>11}")
    for name, mine, peer in (*opencv_cases(), *(vlfeat_cases(arguments.vlfeat) if arguments.vlfeat else ())):
        if arguments.only in name:
            off = difference(mine, peer)
            ours, theirs, ratio = measure(mine, peer, arguments.rounds)
            print(f"{name:<36} {ours:10.2f} {theirs:8.2f} {ratio:7.2f} {off:11.1e}", flush=True)


if __name__ == "__main__":
    main()
