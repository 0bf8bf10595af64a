"""Time of descriptors against their peers, in one interleaved run on one thread.

    OPENBLAS_NUM_THREADS=1 python benchmarks/descriptors.py [--only WORD] [--rounds N]
    python benchmarks/descriptors.py --check

Each row: median milliseconds of imgtool and of its peer, and the ratio of the medians; below 1 is faster. Images are
scikit-image's astronaut, resized. `--check` compares benchmarks/gist_numpy.py with the reference arrays.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cv2
import gist_numpy
import numpy as np
import skimage
from skimage.feature import fisher_vector as skimage_fisher
from skimage.feature import hog as skimage_hog
from skimage.transform import resize as skimage_resize
from sklearn.decomposition import sparse_encode
from sklearn.mixture import GaussianMixture

from imgtool.features.codebook import Dictionary
from imgtool.features.dalal_triggs import dalal_triggs
from imgtool.features.encoding import LocalSettings, encode_sparsely, fit_dictionary
from imgtool.features.fisher import fisher_vector
from imgtool.features.gist import gist
from imgtool.features.hog import cell_histograms, hog
from imgtool.features.search import nearest
from imgtool.features.sift import dense_sift
from imgtool.features.sparse import PENALTY
from imgtool.features.uoctti import uoctti, vlfeat_dalal_triggs

Work = Callable[[], Any]
REFERENCE = Path(__file__).parents[1] / "tests" / "reference"


def photograph(height: int, width: int, channels: int = 1) -> np.ndarray:
    """Return a photograph of this size, uint8."""
    image = skimage_resize(skimage.data.astronaut(), (height, width), anti_aliasing=True)
    image = np.rint(image * 255).astype(np.uint8)
    return image if channels == 3 else cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)


def cases() -> Iterator[tuple[str, Work, str, Work]]:
    """Yield what is measured: (name, imgtool, the peer's name, the peer)."""
    yield from hog_cases()
    yield from gist_cases()
    yield from local_cases()
    yield from sparse_cases()
    yield from search_cases()


def hog_cases() -> Iterator[tuple[str, Work, str, Work]]:
    for name, height, width in (("512x512", 512, 512), ("500x333", 333, 500), ("3840x2160", 2160, 3840)):
        gray, color = photograph(height, width), photograph(height, width, 3)
        for kind, image in {
            "uint8": gray,
            "float32": (gray / 255).astype(np.float32),
            "float64": gray / 255,
            "color": color,
        }.items():
            axis = -1 if image.ndim == 3 else None

            def peer(image: np.ndarray = image, axis: int | None = axis) -> Any:
                return skimage_hog(image, 9, (8, 8), (2, 2), channel_axis=axis)

            yield f"hog {name} {kind}", lambda image=image: hog(image), "skimage", peer
            if kind == "uint8":
                yield f"hog cells alone {name}", lambda image=image: cell_histograms(image), "skimage", peer
                yield f"hog dalal-triggs {name}", lambda image=image: dalal_triggs(image), "skimage", peer
                yield f"hog uoctti {name}", lambda image=image: uoctti(image), "skimage", peer
                yield f"hog vlfeat {name}", lambda image=image: vlfeat_dalal_triggs(image), "skimage", peer


def gist_cases() -> Iterator[tuple[str, Work, str, Work]]:
    for orientations in ((8, 8, 8, 8), (8, 8, 4)):
        image, bank = photograph(256, 256), gist_numpy.gabor_bank(256, orientations)
        name = f"gist 256x256 {','.join(map(str, orientations))}"
        yield (
            name,
            lambda image=image, o=orientations: gist(image, orientations=o),
            "numpy.fft",
            lambda image=image, bank=bank: gist_numpy.gist(image, bank),
        )


def local_cases() -> Iterator[tuple[str, Work, str, Work]]:
    image = photograph(512, 512)
    # 15,625 places every 4 pixels. OpenCV's bins have 1.5 times the keypoint's size, so 4 pixels: only with this size
    # are its descriptors those of bins of 4 (mean cosine 0.9994; 0.72 with twice the size, and 3.5 times the time).
    places = [cv2.KeyPoint(6.0 + 4 * x, 6.0 + 4 * y, 8 / 3) for y in range(125) for x in range(125)]
    sift = cv2.SIFT_create()
    yield (
        "dense SIFT 512x512",
        lambda: dense_sift(image, step=4, bin_size=4),
        "cv2.SIFT",
        lambda: sift.compute(image, places),
    )
    rng = np.random.default_rng(0)
    data, means = rng.standard_normal((5000, 80)), rng.standard_normal((256, 80))
    data, means = data.astype(np.float32), means.astype(np.float32)
    variances, priors = np.ones_like(means), np.full(256, 1 / 256, np.float32)
    for kind in (np.float32, np.float64):  # scikit-learn fits a mixture in the type of its data
        mixture = _mixture(*(part.astype(kind) for part in (means, variances, priors)))
        yield (
            "fisher K=256 D=80 n=5000",
            lambda: fisher_vector(data, means, variances, priors),
            f"skimage, mixture in {kind.__name__}",
            lambda mixture=mixture: skimage_fisher(data, mixture, improved=True),
        )


def sparse_cases() -> Iterator[tuple[str, Work, str, Work]]:
    """Images of 200 x 200 pixels and 1,024 atoms, SIFT included: as Yang et al. take it, and as the commands do."""
    image = photograph(200, 200)
    plain, usual = LocalSettings(step=6, bins=(4,), window="gaussian", root=False), LocalSettings()

    def peer() -> Any:
        return sparse_encode(plain.describe(image).values, atoms(plain).atoms, algorithm="lasso_lars", alpha=PENALTY)

    yield "sparse codes, one bin size, step 6", lambda: encode_sparsely(image, atoms(plain)), "scikit-learn", peer
    yield (
        "sparse codes, three bin sizes, step 4",
        lambda: encode_sparsely(image, atoms(usual)),
        "imgtool's llc",
        lambda: encode_sparsely(image, atoms(usual), solver="llc"),
    )


@cache
def atoms(local: LocalSettings) -> Dictionary:
    """Return a dictionary learned from the whole photograph."""
    return fit_dictionary([photograph(512, 512)], 1, local=local, atoms=1024, samples=15_000)


def search_cases() -> Iterator[tuple[str, Work, str, Work]]:
    rng = np.random.default_rng(0)
    features = rng.random((100_000, 512), np.float32)
    query = features[7]

    def plainly() -> Any:
        lengths = np.linalg.norm(features, axis=1) * np.linalg.norm(query)
        return np.argsort(-(features @ query) / lengths)[:10]

    for metric in ("cosine", "euclidean", "intersection"):
        yield f"search 100,000 x 512 {metric}", lambda m=metric: nearest(features, query, metric=m), "numpy", plainly


def _mixture(means: np.ndarray, variances: np.ndarray, priors: np.ndarray) -> GaussianMixture:
    """Return scikit-learn's mixture with these parameters."""
    mixture = GaussianMixture(len(means), covariance_type="diag")
    mixture.means_, mixture.covariances_, mixture.weights_ = means, variances, priors
    mixture.precisions_cholesky_ = 1 / np.sqrt(variances)
    return mixture


def measure(mine: Work, peer: Work, rounds: int) -> tuple[float, float]:
    """Return the median seconds of both, called in turn."""
    seconds: tuple[list[float], list[float]] = ([], [])
    mine(), peer()
    for _ in range(rounds):
        for work, times in zip((mine, peer), seconds, strict=True):
            begin = time.perf_counter()
            work()
            times.append(time.perf_counter() - begin)
    return statistics.median(seconds[0]), statistics.median(seconds[1])


def check() -> None:
    """Say how far the plain port of GIST is from LMgist."""
    images, arrays = np.load(REFERENCE / "images.npz"), np.load(REFERENCE / "gist.npz")
    for orientations in ((8, 8, 8, 8), (8, 8, 4), (6, 6, 6, 6, 6)):
        expected = arrays[f"exact_camera_256_s256_o{''.join(map(str, orientations))}"]
        actual = gist_numpy.gist(images["camera_256"], gist_numpy.gabor_bank(256, orientations))
        off = np.abs(actual - expected).max() / np.abs(expected).max()
        print(f"{orientations}: {off:.1e} of the largest number")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name holds this word")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    if arguments.check:
        check()
        return
    if os.environ.get("OPENBLAS_NUM_THREADS") != "1":
        parser.error("set OPENBLAS_NUM_THREADS=1: one thread is compared with one")
    cv2.setNumThreads(1)
    print(f"OpenCV {cv2.__version__}, scikit-image {skimage.__version__}, NumPy {np.__version__}")
    print(f"{'':<34} {'imgtool ms':>10} {'peer ms':>9} {'ratio':>7}  peer")
    for name, mine, peer_name, peer in cases():
        if arguments.only in name:
            slow = "3840" in name or "sparse" in name
            rounds = max(3, arguments.rounds // 4) if slow else arguments.rounds
            ours, theirs = measure(mine, peer, rounds)
            print(f"{name:<34} {1e3 * ours:10.1f} {1e3 * theirs:9.1f} {ours / theirs:7.3f}  {peer_name}", flush=True)


if __name__ == "__main__":
    main()
