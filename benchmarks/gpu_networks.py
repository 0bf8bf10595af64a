"""Networks on a GPU: how fast they learn and label, and whether they compute what the CPU computes.

    PYTHONPATH=. python benchmarks/gpu_networks.py [MNIST] [--device cuda] [--tiny]

MNIST is a folder with its four IDX files; without it, its row is not measured. All is done in one run of less than six
minutes. The table says what was found, what is wanted, and whether that holds; speeds are goals, and the exit status is
1 only where a number is wrong. --tiny runs everything with small images for a moment, on the CPU too, which says
nothing of speed. A GPU's memory is made short on purpose and given back.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from imgtool.classifiers.network import NetworkClassifier
from imgtool.classifiers.registry import open_model
from imgtool.datasets.formats import load_dataset
from imgtool.device import resolve
from imgtool.events import Epoch, Event, SmallerBatch
from imgtool.image.read import read
from imgtool.networks.alexnet import alexnet
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples
from imgtool.networks.speed import Load
from imgtool.networks.speed_torch import device_name, inference_rate, training_rate
from imgtool.networks.torch_backend import module_with
from imgtool.networks.training import train

SAMPLES = Path(__file__).parents[1] / "sample_images"
STILL = Augmentation(horizontal_flip=False)
LEARNING = Recipe(epochs=6, batch=512, learning_rate=0.1, weight_decay=5e-4, warm_up=0.2)  # of LeNet in seconds
ENOUGH = 0.01  # of the test images wrong


class Row(NamedTuple):
    """One line of the table. holds: None where nothing was measured, or a speed is only wished for."""

    what: str
    found: str
    wanted: str
    holds: bool | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("mnist", type=Path, nargs="?")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true")
    arguments = parser.parse_args()
    device, begin = resolve(arguments.device), time.perf_counter()
    print("python benchmarks/gpu_networks.py", *sys.argv[1:])
    print(f"{device_name(device)}, PyTorch {torch.__version__}, {datetime.datetime.now(datetime.UTC):%Y-%m-%d}")
    checks: list[Callable[[], Iterator[Row]]] = [
        lambda: learning(arguments.mnist, device, tiny=arguments.tiny),
        lambda: speeds(device, tiny=arguments.tiny),
        lambda: agreement(device),
        lambda: resuming(device),
        lambda: short_memory(device),
    ]
    failed = False
    for row in (row for check in checks for row in check()):
        failed |= row.holds is False
        state = {True: "yes", False: "NO", None: "-"}[row.holds]
        print(f"{row.what:60} {row.found:>26}  {row.wanted:28} {state}", flush=True)
    print(f"{time.perf_counter() - begin:.0f} s in all")
    sys.exit(int(failed))


def learning(mnist: Path | None, device: str, *, tiny: bool) -> Iterator[Row]:
    """LeNet until 99 % of MNIST's test images are right; what the first steps set up is not counted."""
    if mnist is None or not any(mnist.glob("train-images*")):
        yield Row("LeNet to 99 % of MNIST", "no MNIST: not measured", "0.5 s", None)
        return
    data = load_dataset(mnist)
    assert data.test is not None
    model = NetworkClassifier("lenet")
    samples = model.samples(data.train.subset(np.arange(1000)) if tiny else data.train)
    test = replace(samples, images=data.test.items, labels=data.test.labels.astype(np.int64))
    test = replace(test, images=model.preprocessing.prepare_stack(np.asarray(test.images)))
    network = model.network(10)
    for recipe in (replace(LEARNING, epochs=1), LEARNING):
        module, seconds, errors = module_with(network, draw_arrays(network, 0)), [0.0], [1.0]

        def hear(event: Event, seconds: list[float] = seconds, errors: list[float] = errors) -> None:
            if isinstance(event, Epoch) and min(errors) > ENOUGH:
                seconds.append(seconds[-1] + event.seconds)
                errors.append(event.validation_error or 0.0)

        train(module, samples, recipe, STILL, device=device, validation=test, events=hear)
    text = f"{seconds[-1]:.2f} s, {len(errors) - 1} epochs, {100 * (1 - errors[-1]):.2f} %"
    yield Row("LeNet to 99 % of MNIST", text, "0.5 s", None if tiny else errors[-1] <= ENOUGH)


def speeds(device: str, *, tiny: bool) -> Iterator[Row]:
    """AlexNet at 224 pixels; on a GPU with large batches, which it needs to be busy."""
    network = alexnet(10 if tiny else 1000, rank=8 if tiny else None)
    side, batch = (64, 2) if tiny else (224, 1024 if device != "cpu" else 32)
    load = Load(network, draw_arrays(network, 0), (3, side, side), batch, 0.0 if tiny else 5.0)
    for bf16 in (False, True):
        precision = "bf16" if bf16 else "float32"
        goals = ("25,000", "100,000") if bf16 else ("", "")
        for what, measure, goal in zip(("training", "inference"), (training_rate, inference_rate), goals, strict=True):
            name = f"AlexNet {side}, batch {batch}, {what}, {precision}"
            yield Row(
                name, f"{measure(load, device, bf16=bf16):,.0f} images/s", f"{goal} images/s" if goal else "", None
            )


def agreement(device: str) -> Iterator[Row]:
    """Scores of the networks that ship, of the sample images, against those of NumPy on the CPU."""
    images = [read(SAMPLES / name) for name in ("cat.jpg", "coffee.png", "astronaut.jpg", "rocket_turned.jpg")]
    images += [read(path) for path in sorted((SAMPLES / "textures").glob("*/*.png"))[::4]]
    for name in ("efficientnet-lite0@imagenet", "alexnet@imagenette", "lenet@cifar10"):
        expected = open_model(name, backend="numpy").scores(images)
        for precision, allowed in (("float32", 1e-3), ("bf16", 0.2)):
            scores = open_model(name, device=device, backend="torch", precision=precision).scores(images)
            apart = float(abs(scores - expected).max())
            same = int((scores.argmax(1) == expected.argmax(1)).sum())
            text = f"{apart:.1e}, {same} of {len(images)} labels"
            yield Row(f"{name}, {precision}: scores as on the CPU", text, f"at most {allowed:g}", apart <= allowed)


def resuming(device: str) -> Iterator[Row]:
    """A training that is cut off and goes on, against one that is not."""
    generator = np.random.default_rng(0)
    labels = generator.integers(0, 3, 300)
    images = (
        generator.integers(0, 120, (300, 32, 32, 1), dtype=np.uint8)
        + (labels * 60).astype(np.uint8)[:, None, None, None]
    )
    samples, recipe = Samples(images, labels, (0.4,), (0.3,)), Recipe(epochs=4, batch=30)
    network = lenet(3, channels=1)

    class CutError(Exception):
        pass

    def cut(event: Event) -> None:
        if isinstance(event, Epoch) and event.epoch == 2:
            raise CutError

    def run(checkpoint: Path | None = None, events: Callable[[Event], None] | None = None) -> list[dict[str, float]]:
        module = module_with(network, draw_arrays(network, 0))
        return train(module, samples, recipe, STILL, device=device, checkpoint=checkpoint, events=events)

    with tempfile.TemporaryDirectory() as folder:
        checkpoint, whole = Path(folder) / "checkpoint", run()
        with contextlib.suppress(CutError):
            run(checkpoint, cut)
        resumed = run(checkpoint)
    apart = max(abs(one["loss"] - other["loss"]) for one, other in zip(whole, resumed, strict=True))
    yield Row("training that goes on: losses as without a cut", f"{apart:.1e}", "at most 0.05", apart <= 0.05)


def short_memory(device: str) -> Iterator[Row]:
    """A batch for which the GPU's memory does not suffice, where a share of it is forbidden."""
    what = "exhausted memory halves the batch"
    if device == "cpu":
        yield Row(what, "no GPU: not measured", "once or more, then trained", None)
        return
    images = np.zeros((64, 224, 224, 3), np.uint8)
    samples, smaller = Samples(images, np.zeros(64, np.int64), (0.5,) * 3, (0.5,) * 3), list[int]()
    network = alexnet(2, rank=4)
    module = module_with(network, draw_arrays(network, 0))
    share = 350e6 / torch.cuda.get_device_properties(device).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(share, torch.device(device).index or 0)
    try:
        history = train(
            module, samples, Recipe(epochs=1, batch=64), STILL, device=device,
            events=lambda event: smaller.append(event.batch) if isinstance(event, SmallerBatch) else None,
        )  # fmt: skip
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0, torch.device(device).index or 0)
    holds = bool(smaller) and len(history) == 1
    yield Row(what, f"to {', '.join(map(str, smaller)) or 'none'}", "once or more, then trained", holds)


if __name__ == "__main__":
    main()
