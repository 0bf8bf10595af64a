"""Training against bare PyTorch loops: LeNet on MNIST and what surrounds its loop, AlexNet, images in a file.

    python benchmarks/training.py MNIST [--images N] [--rounds N] [--threads 1 2] [--clock wall|processor]
    python benchmarks/training.py --alexnet SIDE [SIDE ...] [--steps N] [--rounds N]
    python benchmarks/training.py --reading SIDE [--steps N]

MNIST is a folder with its four IDX files. The bare loop has the same batch, augmentation and schedule: `affine_grid`
and `grid_sample`, channels_last, the fused SGD of torch.optim with Nesterov's momentum, no sum of losses until the
epoch's end; it neither scales gradients down nor counts errors nor watches that the loss is finite. Both take turns in
one process, and the table gives medians of an epoch and of the ratios of neighbors. --clock processor counts the time
of the processor instead, which other programs disturb less; it says nothing of two threads.

Then the seconds of what surrounds the loop, each in a process of its own, the median of five.

--alexnet: steps of AlexNet on random images, with bf16 and channels_last here, and in plain eager float32 by
torch.optim.SGD there; both on one thread, in turns, by the processor's time; medians of the ratios of neighbors.

--reading: AlexNet on images of 2 GB in a file that the system has dropped from memory; how long training waits for
them, as a share of the time of all steps.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

BATCH, RATE, MOMENTUM, DECAY, SHIFT, WARM_UP = 64, 0.01, 0.9, 5e-4, 0.1, 0.05
IMAGES = "import numpy as np; images = np.random.default_rng(0).integers(0, 256, (60000, 32, 32, 1), np.uint8)"
ALEXNET_BATCH = 32
FILE_BYTES = 2 * 10**9
START_UPS = 5  # of processes
SURROUNDINGS = {
    "import of PyTorch": ("", "import torch"),
    "first optimizer of torch.optim": (
        "import torch; layer = torch.nn.Linear(2, 2)",
        "torch.optim.SGD(layer.parameters(), 0.1, 0.9, nesterov=True, fused=True)",
    ),
    "our first optimizer": (
        "import torch; layer = torch.nn.Linear(2, 2); from imgtool.networks.optimizers_torch import Nesterov, Recipe",
        "Nesterov(layer, Recipe())",
    ),
    "channel statistics by mean and squares": (
        IMAGES,
        "images.mean(dtype=np.float64), (images.astype(np.float32) ** 2).mean(dtype=np.float64)",
    ),
    "our channel statistics": (
        f"{IMAGES}; from imgtool.networks.samples import channel_statistics",
        "channel_statistics(images)",
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, nargs="?")
    parser.add_argument("--alexnet", type=int, nargs="+", metavar="SIDE")
    parser.add_argument("--reading", type=int, metavar="SIDE")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--clock", choices=["wall", "processor"], default="wall")
    arguments = parser.parse_args()
    if arguments.alexnet or arguments.reading:
        print("python", os.path.relpath(__file__), *sys.argv[1:])
        compare_alexnets(arguments) if arguments.alexnet else measure_reading(arguments)
        return
    if arguments.mnist is None:
        parser.error("name the folder of MNIST, --alexnet or --reading")
    if not any(arguments.mnist.glob("train-images*")):
        print(f"{arguments.mnist}: holds no MNIST (train-images-idx3-ubyte.gz and the others): nothing is measured")
        return
    print("python", os.path.relpath(__file__), *sys.argv[1:])
    compare_epochs(arguments)
    print()
    for name, (setup, statement) in SURROUNDINGS.items():
        print(f"{name:40} {seconds_alone(setup, statement):8.3f} s")


def compare_epochs(arguments: argparse.Namespace) -> None:
    """Print a row for each number of threads."""
    import torch

    torch.set_num_threads(1)
    print(f"PyTorch {torch.__version__}, {arguments.images} images, {arguments.clock} time, {arguments.rounds} rounds")
    print("threads       bare       ours    ratio   lowest  highest")
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    ours, bare = candidates(arguments.mnist, arguments.images)
    for threads in arguments.threads:
        pairs = []
        for turn in range(arguments.rounds + 1):
            order = (ours, bare) if turn % 2 else (bare, ours)
            taken = {run: seconds(run, threads, clock) for run in order}
            pairs.append((taken[ours], taken[bare]))
        ratios = sorted(own / other for own, other in pairs[1:])  # the first round warms up
        own, other = (statistics.median(each) for each in zip(*pairs[1:], strict=True))
        middle = statistics.median(ratios)
        print(f"{threads:7} {other:8.3f} s {own:8.3f} s {middle:8.3f} {ratios[0]:8.3f} {ratios[-1]:8.3f}", flush=True)


def seconds(run: Callable[[int], None], threads: int, clock: Callable[[], float]) -> float:
    """Return the time of one epoch."""
    start = clock()
    run(threads)
    return clock() - start


def candidates(mnist: Path, count: int) -> tuple[Callable[[int], None], Callable[[int], None]]:
    """Return one epoch of our loop and of the bare one, each a function of the threads."""
    import numpy as np
    import torch

    from imgtool.datasets.formats import load_dataset
    from imgtool.image.resize import fit_crop
    from imgtool.networks.lenet import lenet
    from imgtool.networks.recipe import Augmentation, Recipe
    from imgtool.networks.samples import Samples, channel_statistics
    from imgtool.networks.torch_backend import build
    from imgtool.networks.training import train

    data = load_dataset(mnist).train
    images = np.stack([fit_crop(data.image(index), 32, 32) for index in range(min(count, len(data)))])
    images = images.reshape(len(images), 32, 32, 1)
    samples = Samples(images, data.labels[: len(images)].astype(np.int64), *channel_statistics(images))
    recipe = Recipe(1, BATCH, learning_rate=RATE, momentum=MOMENTUM, weight_decay=DECAY, warm_up=WARM_UP)
    change = Augmentation(horizontal_flip=False, shift=SHIFT)

    def ours(threads: int) -> None:
        train(build(lenet(10, 1)), samples, recipe, change, threads=threads)

    def bare(threads: int) -> None:
        torch.set_num_threads(threads)
        bare_epoch(build(lenet(10, 1)), samples)

    return ours, bare


def bare_epoch(module, samples) -> float:
    """Train for one epoch as one would without a library; return the mean loss."""
    import torch
    from torch.nn import functional

    from imgtool.networks.schedules import one_cycle

    module = module.to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.SGD(module.parameters(), RATE, MOMENTUM, weight_decay=DECAY, nesterov=True, fused=True)
    images, labels = torch.from_numpy(samples.images).permute(0, 3, 1, 2), torch.from_numpy(samples.labels)
    mean, deviation = samples.mean[0], samples.deviation[0]
    generator = torch.Generator().manual_seed(0)
    batches = torch.randperm(len(labels), generator=generator).split(BATCH)
    total = torch.zeros(())
    for step, indices in enumerate(batches):
        for group in optimizer.param_groups:
            group["lr"] = RATE * one_cycle(step / len(batches), WARM_UP)
        batch = images[indices].float().div_(255)
        theta = torch.zeros(len(indices), 2, 3)
        theta[:, 0, 0] = theta[:, 1, 1] = 1
        theta[:, :, 2] = (torch.rand(len(indices), 2, generator=generator) * 2 - 1) * 2 * SHIFT
        grid = functional.affine_grid(theta, list(batch.shape), align_corners=False)
        batch = functional.grid_sample(batch, grid, padding_mode="border", align_corners=False)
        batch = ((batch - mean) / deviation).contiguous(memory_format=torch.channels_last)
        loss = functional.cross_entropy(module(batch), labels[indices])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        total += loss.detach()
    return total.item() / len(batches)


def random_samples(count: int, side: int):
    """Return random color images of ten classes."""
    import numpy as np

    from imgtool.networks.samples import Samples

    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, side, side, 3), np.uint8)
    return Samples(images, rng.integers(0, 10, count), (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))


def compare_alexnets(arguments: argparse.Namespace) -> None:
    """Print a row for each side of the images."""
    import torch

    from imgtool.networks.alexnet import alexnet
    from imgtool.networks.recipe import Augmentation, Recipe
    from imgtool.networks.torch_backend import build
    from imgtool.networks.training import train

    print(f"PyTorch {torch.__version__}, batches of {ALEXNET_BATCH}, {arguments.steps} steps, processor time")
    print("side   plain float32  bf16, channels_last    ratio   lowest  highest")
    recipe = Recipe(1, ALEXNET_BATCH, learning_rate=1e-4, bf16=True, channels_last=True)
    for side in arguments.alexnet:
        samples = random_samples(ALEXNET_BATCH * arguments.steps, side)
        ours, plain = build(alexnet(10)), build(alexnet(10))
        optimizer = torch.optim.SGD(plain.parameters(), 1e-4, MOMENTUM, weight_decay=DECAY, nesterov=True)
        runs = (
            lambda _, ours=ours, samples=samples: train(
                ours, samples, recipe, Augmentation(horizontal_flip=False), threads=1
            ),
            lambda _, plain=plain, samples=samples, optimizer=optimizer: plain_epoch(plain, samples, optimizer),
        )
        pairs = []
        for turn in range(arguments.rounds + 1):
            taken = {run: seconds(run, 1, time.process_time) for run in (runs if turn % 2 else runs[::-1])}
            pairs.append((taken[runs[0]], taken[runs[1]]))
        ratios = sorted(other / own for own, other in pairs[1:])
        own, other = (statistics.median(each) / arguments.steps for each in zip(*pairs[1:], strict=True))
        middle = statistics.median(ratios)
        print(f"{side:4} {other:9.3f} s/step {own:13.3f} s/step {middle:8.2f} {ratios[0]:8.2f} {ratios[-1]:8.2f}")


def plain_epoch(module, samples, optimizer) -> None:
    """Go through the images as one would who thinks of nothing but the network."""
    import torch
    from torch.nn import functional

    torch.set_num_threads(1)
    module.train()
    images, labels = torch.from_numpy(samples.images).permute(0, 3, 1, 2), torch.from_numpy(samples.labels)
    for indices in torch.randperm(len(labels)).split(ALEXNET_BATCH):
        batch = (images[indices].float() / 255 - 0.5) / 0.25
        loss = functional.cross_entropy(module(batch), labels[indices])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def measure_reading(arguments: argparse.Namespace) -> None:
    """Print how long training waits for images in a file."""
    import tempfile
    from dataclasses import replace

    import numpy as np

    from imgtool.networks.alexnet import alexnet
    from imgtool.networks.recipe import Augmentation, Recipe
    from imgtool.networks.samples import Samples
    from imgtool.networks.torch_backend import build
    from imgtool.networks.training import train

    side, waits = arguments.reading, []
    count = FILE_BYTES // (side**2 * 3)

    class Timed(Samples):
        def batches(self, parts):
            few = super().batches(parts[: arguments.steps])
            while True:
                start = time.perf_counter()
                if (found := next(few, None)) is None:
                    return
                waits.append(time.perf_counter() - start)
                yield found

    with tempfile.TemporaryFile(dir=".") as file:
        chunk = np.random.default_rng(0).integers(0, 256, 1 << 24, np.uint8).tobytes()
        for begin in range(0, count * side**2 * 3, len(chunk)):
            file.write(chunk[: count * side**2 * 3 - begin])
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        images = np.memmap(file, np.uint8, "r", shape=(count, side, side, 3))
        known = replace(random_samples(1, side), images=images, labels=np.arange(count) % 10)
        samples = Timed(known.images, known.labels, known.mean, known.deviation)
        module, start = build(alexnet(10)), time.perf_counter()
        recipe = Recipe(1, ALEXNET_BATCH, learning_rate=1e-4, bf16=True)
        steps = arguments.steps
        with contextlib.suppress(ValueError):  # the epoch ends after so many steps
            train(module, samples, recipe, Augmentation(), threads=1)
        total = time.perf_counter() - start
    print(f"{count} images of {side} pixels, {FILE_BYTES / 1e9:.1f} GB; batches of {ALEXNET_BATCH}, {steps} steps")
    print(f"{total / steps:.3f} s a step; waiting {sum(waits) / total:.2%} of the time, the first batch included")


def seconds_alone(setup: str, statement: str) -> float:
    """Return the seconds of a statement in a fresh process, the median of some."""
    program = f"import time\n{setup}\nstart = time.perf_counter()\n{statement}\nprint(time.perf_counter() - start)"
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])}
    return statistics.median(
        float(subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True).stdout)
        for _ in range(START_UPS)
    )


if __name__ == "__main__":
    main()
