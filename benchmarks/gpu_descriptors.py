"""GIST and dense SIFT in batches on a GPU: the same numbers as on the CPU, and how many images a second.

    PYTHONPATH=. python benchmarks/gpu_descriptors.py [--device cuda] [--images 64] [--rounds 5]

Needs NumPy, OpenCV and PyTorch, and no network. First table: the largest difference from NumPy's numbers, for GIST as
a share of the descriptor's largest number, and what is allowed; the exit status is 1 when one is larger. Second table:
images a second by NumPy (one image at a time, NumPy's own threads), and on the device from arrays to arrays; "stays"
is the device alone, images and descriptors staying in its memory; then the memory that PyTorch held on it.
"""

from __future__ import annotations

import argparse
import functools
import platform
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from imgtool.features import sift
from imgtool.features.exact_torch import exact
from imgtool.features.gist import PRESETS, gist
from imgtool.features.gist_torch import gist_batch
from imgtool.features.phow import phow
from imgtool.features.sift import dense_sift
from imgtool.features.sift_torch import dense_sift_batch, descriptors, phow_batch

SAMPLES = Path(__file__).parents[1] / "sample_images"


def photographs(count: int, height: int, width: int) -> np.ndarray:
    """Return (count, height, width, 3) uint8: parts of the sample images, turned and resized, with a little noise."""
    files = [SAMPLES / name for name in ("camera.png", "coffee.png", "cat.jpg", "coins.png")]
    sources = [cv2.imread(str(file)) for file in files]
    rng = np.random.default_rng(0)
    result = []
    for index in range(count):
        source = np.rot90(sources[index % len(sources)], index // len(sources) % 4)
        top, left = (int(rng.integers(0, side // 4)) for side in source.shape[:2])
        part = cv2.resize(
            source[top : top + 3 * len(source) // 4, left:], (width, height), interpolation=cv2.INTER_AREA
        )
        noise = rng.normal(0, 2, part.shape)
        result.append(np.clip(np.rint(part + noise), 0, 255).astype(np.uint8))
    return np.stack(result)


def differences(device: str) -> Iterator[tuple[str, float, float]]:
    """Yield (name, largest difference, allowed) for each kind of batch."""
    color = {size: photographs(8, *size) for size in ((256, 256), (512, 512), (333, 500))}
    gray = {size: images[..., 1] for size, images in color.items()}
    for dtype, allowed in ((torch.float32, 1e-4), (torch.float64, 1e-5)):
        for name, settings in PRESETS.items():
            for size, images in (color if settings["color"] else gray).items():
                expected = np.stack([gist(image, **settings) for image in images])
                off = np.abs(gist_batch(images, device=device, dtype=dtype, **settings) - expected)
                share = (off / expected.max(axis=1, keepdims=True)).max()
                yield f"gist {name} {size[1]}x{size[0]} {dtype}".replace("torch.", ""), share, allowed
    for size, images in gray.items():
        for one, many, settings in (
            (dense_sift, dense_sift_batch, {"step": 4}),
            (dense_sift, dense_sift_batch, {"step": 3, "bin_size": 6, "window": "flat"}),
            (phow, phow_batch, {"step": 4, "sizes": (4, 6, 8)}),
        ):
            pairs = zip(
                many(images, device=device, **settings), (one(image, **settings) for image in images), strict=True
            )
            off = max(float(np.abs(found.values - expected.values).max()) for found, expected in pairs)
            words = " ".join(f"{key}={value}" for key, value in settings.items())
            yield f"{one.__name__} {size[1]}x{size[0]} {words}", off, 1e-4


def seconds(work: Callable[[], Any], rounds: int, device: str = "cpu") -> float:
    """Return the median seconds of a call, after one that warms up."""
    work()
    times = []
    for _ in range(rounds):
        synchronize(device)
        begin = time.perf_counter()
        work()
        synchronize(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times)


def synchronize(device: str) -> None:
    if device != "cpu":
        torch.cuda.synchronize(device)


def rates(device: str, count: int, rounds: int) -> Iterator[tuple[str, float, float, float | None, float]]:
    """Yield (name, images a second by NumPy, on the device, staying there, gigabytes on the device)."""
    for side in (256, 384, 512):
        color = photographs(count, side, side)
        gray = np.ascontiguousarray(color[..., 1])
        lear, three = PRESETS["lear"], {"sizes": (4, 6, 8), "step": 4}
        for name, one, many, images, settings in (
            ("gist lmgist", gist, gist_batch, gray, {}),
            ("gist lear", gist, gist_batch, color, lear),
            ("sift step=4", dense_sift, dense_sift_batch, gray, {}),
            ("sift step=4 sizes=(4, 6, 8)", phow, phow_batch, gray, three),
        ):
            alone = functools.partial(one, **settings)
            together = functools.partial(many, images, device=device, **settings)
            few = images[:8]
            by_numpy = len(few) / seconds(lambda alone=alone, few=few: [alone(image) for image in few], 3)
            if device != "cpu":
                torch.cuda.reset_peak_memory_stats(device)
            on_device = count / seconds(together, rounds, device)
            held = torch.cuda.max_memory_allocated(device) / 1e9 if device != "cpu" else 0.0
            stays = sift_that_stays(gray, device) if many is dense_sift_batch else None
            staying = count / seconds(stays, rounds, device) if stays else None
            yield f"{name} {side}x{side}", by_numpy, on_device, staying, held


def sift_that_stays(images: np.ndarray, device: str) -> Callable[[], None]:
    """Return what describes images that are on the device already, 8 at a time, and leaves the numbers there."""
    on_device = torch.from_numpy(images).to(device, torch.float32)
    left, top = sift.corners(images[0].shape, 4, 4, None)
    weights = sift.bin_weights(4, "gaussian", 2.0)

    def describe() -> None:
        with exact():
            for part in on_device.split(8):
                descriptors(part, left, top, weights, 4)

    return describe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=64, help="in a batch")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    device = arguments.device
    name = torch.cuda.get_device_name(device) if device != "cpu" else platform.processor()
    print(f"PyTorch {torch.__version__} on {name}; OpenCV {cv2.__version__}, NumPy {np.__version__}")
    torch.backends.cuda.matmul.allow_tf32 = True  # what a caller may have set must not matter
    failed = False
    print(f"{'':<52} {'off by':>8} {'allowed':>8}")
    for what, off, allowed in differences(device):
        failed |= not off <= allowed
        print(f"{what:<52} {off:8.1e} {allowed:8.0e}{'' if off <= allowed else '  TOO FAR'}", flush=True)
    print(f"\n{'images/s':<40} {'NumPy':>8} {device:>8} {'times':>7} {'stays':>8} {'GB':>6}")
    for what, by_numpy, on_device, staying, held in rates(device, arguments.images, arguments.rounds):
        there = f"{staying:8.0f}" if staying else f"{'':>8}"
        print(
            f"{what:<40} {by_numpy:8.1f} {on_device:8.0f} {on_device / by_numpy:7.1f} {there} {held:6.2f}", flush=True
        )
    sys.exit(failed)


if __name__ == "__main__":
    main()
