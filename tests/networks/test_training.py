"""Training in PyTorch: steps, epochs, checkpoints, and what stops it."""

import dataclasses
import os
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import scipy.special

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from trainings import CHANGES, RECIPE, STILL, KilledError, samples  # noqa: E402

from imgtool.errors import DataError, TrainingError  # noqa: E402
from imgtool.events import Epoch, FirstBatch, Step  # noqa: E402
from imgtool.networks.batches_torch import Normalization, as_images  # noqa: E402
from imgtool.networks.declaration import Sequence  # noqa: E402
from imgtool.networks.history import best_epoch  # noqa: E402
from imgtool.networks.layers import Dropout, Flatten, Linear, ReLU  # noqa: E402
from imgtool.networks.lenet import lenet  # noqa: E402
from imgtool.networks.recipe import Recipe  # noqa: E402
from imgtool.networks.samples import Samples  # noqa: E402
from imgtool.networks.schedules import one_cycle  # noqa: E402
from imgtool.networks.torch_backend import arrays_of, build  # noqa: E402
from imgtool.networks.training import (  # noqa: E402
    default_threads,
    epoch_batches,
    loss_and_error,
    predict,
    train,
)


def test_it_learns_and_the_same_seed_learns_the_same_bits():
    runs = []
    for _ in range(2):
        module = build(lenet(3, 1), seed=1)
        history = train(module, samples(), RECIPE, CHANGES, seed=5, validation=samples(seed=9))
        runs.append((arrays_of(module), [{**row, "seconds": 0, "images_per_second": 0} for row in history]))
    assert history[-1]["loss"] < history[0]["loss"]
    assert history[-1]["error"] < history[0]["error"]
    assert loss_and_error(module, samples(seed=9))[1] < 0.2
    assert runs[0][1] == runs[1][1]
    for name, array in runs[0][0].items():
        np.testing.assert_array_equal(array, runs[1][0][name])


def test_training_imports_no_compiler():
    """The first optimizer of torch.optim imports sympy and 800 other modules."""
    program = """if True:
        import sys, numpy as np
        from imgtool.networks.lenet import lenet
        from imgtool.networks.recipe import Augmentation, Recipe
        from imgtool.networks.samples import Samples
        from imgtool.networks.torch_backend import build
        from imgtool.networks.training import train
        samples = Samples(np.zeros((4, 32, 32, 1), np.uint8), np.arange(4) % 2, (0.5,), (0.5,))
        train(build(lenet(2, 1)), samples, Recipe(epochs=1), Augmentation(), validation=samples)
        print(sorted({"sympy", "torch._dynamo", "torch._inductor"} & set(sys.modules)))
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


ADAMW = dataclasses.replace(RECIPE, optimizer="adamw", learning_rate=0.002, schedule="step", drop_epochs=2)


@pytest.mark.parametrize("recipe", [RECIPE, ADAMW], ids=["sgd", "adamw"])
@pytest.mark.parametrize("steps", [2, 5, 9])
@pytest.mark.parametrize("validation", [None, samples(seed=9)], ids=["", "validation"])
def test_a_killed_training_resumes_and_ends_with_the_same_bits(tmp_path, steps, validation, recipe):
    whole = build(lenet(3, 1), seed=1)
    train(whole, samples(), recipe, CHANGES, seed=5, validation=validation)

    def kill(event):
        if isinstance(event, Step) and 3 * (event.epoch - 1) + event.step == steps:
            raise KilledError

    cut = build(lenet(3, 1), seed=1)
    with pytest.raises(KilledError):
        train(cut, samples(), recipe, CHANGES, seed=5, checkpoint=tmp_path / "c", events=kill, validation=validation)
    again = build(lenet(3, 1), seed=1)
    train(again, samples(), recipe, CHANGES, seed=5, checkpoint=tmp_path / "c", validation=validation)
    for name, array in arrays_of(whole).items():
        np.testing.assert_array_equal(array, arrays_of(again)[name])


@pytest.mark.slow
def test_N3_killed_five_times_it_ends_with_the_same_bits(tmp_path):
    program = """if True:
        import sys
        from pathlib import Path
        sys.path.insert(0, sys.argv[1])
        from test_training import *
        module = build(lenet(3, 1), seed=1)
        recipe = dataclasses.replace(RECIPE, epochs=30)
        train(module, samples(480), recipe, CHANGES, checkpoint=Path(sys.argv[2]) / "c", validation=samples(seed=9))
        np.savez(Path(sys.argv[2]) / "weights.npz", **arrays_of(module))
    """
    results = []
    for kills in (0, 5):
        folder = tmp_path / str(kills)
        folder.mkdir()
        for kill in range(kills):
            process = subprocess.Popen([sys.executable, "-c", program, os.path.dirname(__file__), str(folder)])
            before = written(folder)
            while process.poll() is None and written(folder) == before:
                time.sleep(0.0005)
            time.sleep(0.01 * kill)  # at another place of the epoch that follows
            process.kill()
            assert process.wait() != 0, "it was done before it could be killed"
        subprocess.run([sys.executable, "-c", program, os.path.dirname(__file__), str(folder)], check=True)
        results.append(np.load(folder / "weights.npz"))
    for name in results[0]:
        np.testing.assert_array_equal(results[0][name], results[1][name])


def written(folder):
    """Return when the checkpoint was last written."""
    return (folder / "c").stat().st_mtime_ns if (folder / "c").exists() else 0


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"seed": 1}, "seed 0 there, 1 here"),
        ({"threads": 3}, "threads 1 there, 3 here"),
        ({"module": lambda: build(lenet(3, 1), seed=2)}, "other first weights"),
        ({"module": lambda: build(lenet(3, 1, activation="tanh"), seed=1)}, "other network"),
        ({"recipe": dataclasses.replace(RECIPE, learning_rate=0.5)}, "learning_rate 0.02 there, 0.5 here"),
        ({"recipe": ADAMW}, "optimizer sgd there, adamw here, schedule one-cycle there, step here, other tensors"),
        ({"augmentation": STILL}, "horizontal_flip True there, False here"),
        ({"samples": samples(seed=1)}, "other training images"),
        ({"validation": samples(seed=2)}, "other validation images"),
    ],
)
def test_a_checkpoint_of_another_training_is_refused_and_stays(tmp_path, change, line):
    own = {"samples": samples(), "recipe": RECIPE, "augmentation": CHANGES, "checkpoint": tmp_path / "c"}
    train(build(lenet(3, 1), seed=1), **own)
    before = (tmp_path / "c").read_bytes()
    module = change.get("module", lambda: build(lenet(3, 1), seed=1))
    with pytest.raises(DataError, match="another training: .*" + re.escape(line)):
        train(**{**own, **change, "module": module()})
    assert (tmp_path / "c").read_bytes() == before


def test_the_threads_of_the_checkpoint_are_gone_on_with(tmp_path):
    def kill(event):
        if isinstance(event, Epoch) and event.epoch == 2:
            raise KilledError

    with pytest.raises(KilledError):
        train(build(lenet(3, 1)), samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c", threads=2, events=kill)
    module, seen = build(lenet(3, 1)), []
    module.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    train(module, samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c")
    assert set(seen) == {2}


def softmax_gradient(weight, bias, inputs, labels, smoothing):
    """Return the mean cross-entropy with smoothed labels and its gradients, in NumPy's float64."""
    logits = inputs @ weight.T + bias
    logarithms = logits - scipy.special.logsumexp(logits, axis=1, keepdims=True)
    target = (1 - smoothing) * np.eye(len(bias))[labels] + smoothing / len(bias)
    error = (np.exp(logarithms) - target) / len(labels)
    return -(target * logarithms).sum(1).mean(), [error.T @ inputs, error.sum(0)]


def descend(parameters, inputs, labels, steps):
    """Return parameters, losses and gradients' norms of Nesterov's momentum with weight decay, in NumPy's float64.

    Sutskever et al., ICML 2013, in PyTorch's form: the gradient is shortened to 5, the decay added, then the momentum.
    """
    velocity, losses, norms = [0.0, 0.0], [], []
    for step in range(steps):
        loss, gradients = softmax_gradient(*parameters, inputs, labels, 0.2)
        norms.append(np.sqrt(sum((gradient**2).sum() for gradient in gradients)))
        losses.append(loss)
        rate = 0.02 * one_cycle(step / steps, 0.05)
        changes = [
            gradient * min(1, 5 / norms[-1]) + 0.05 * p for gradient, p in zip(gradients, parameters, strict=True)
        ]
        velocity = [0.9 * v + change for v, change in zip(velocity, changes, strict=True)]
        parameters = [p - rate * (change + 0.9 * v) for p, change, v in zip(parameters, changes, velocity, strict=True)]
    return parameters, losses, norms


@pytest.mark.parametrize(("std", "long"), [(2.0, False), (0.02, True)])
@pytest.mark.parametrize("epochs", [6, 2, 1])
def test_steps_equal_the_formulas_by_hand(std, long, epochs):
    """Six steps: one an epoch, or more, then with one image repeated, so that every batch has the same gradient."""
    data = dataclasses.replace(samples(24), deviation=(std,))
    if epochs < 6:
        data = dataclasses.replace(data, images=data.images[[0] * 24], labels=data.labels[[0] * 24])
    recipe = Recipe(epochs, 24 * epochs // 6, learning_rate=0.02, weight_decay=0.05, label_smoothing=0.2)
    module = build(Sequence(flatten=Flatten(), fc=Linear(1024, 3)))
    parameters = [arrays_of(module)[name].astype(float) for name in ("fc.weight", "fc.bias")]
    inputs = (data.images.reshape(24, -1) / 255 - 0.4) / std
    (weight, bias), losses, norms = descend(parameters, inputs, data.labels, 6)
    assert (norms[0] > 5) == long

    history = train(module, data, recipe, STILL)
    expected = np.reshape(losses, (epochs, -1)).mean(axis=1)
    np.testing.assert_allclose([entry["loss"] for entry in history], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(arrays_of(module)["fc.weight"], weight, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(arrays_of(module)["fc.bias"], bias, rtol=1e-3, atol=1e-5)


def watched_module(seen):
    """A linear network that keeps what it is shown."""
    module = build(Sequence(flatten=Flatten(), fc=Linear(16, 3)))
    module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].clone()))
    return module


@pytest.mark.parametrize("size", [4, 7, 100])
def test_an_epoch_shows_each_image_once_in_an_order_of_its_own(size):
    images = np.arange(21, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 1), np.uint8)
    data, orders = Samples(images, np.arange(21) % 3, (0.0,), (1 / 255,)), []
    for seed in (0, 1):
        seen: list = []
        train(watched_module(seen), data, Recipe(epochs=2, batch=size), STILL, seed=seed)
        assert max(map(len, seen)) <= size
        orders += np.split(np.concatenate([part[:, 0, 0, 0].numpy().round() for part in seen]), 2)
    for order in orders:
        assert sorted(order) == list(range(21))
    assert len({tuple(order) for order in orders}) == 4


def test_colors_are_shifted_along_the_axes_of_the_training_images():
    data = dataclasses.replace(samples(400), mean=(0.0,), deviation=(1.0,))
    seen: list = []
    module = build(Sequence(flatten=Flatten(), fc=Linear(1024, 3)))
    module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].clone()))
    train(module, data, Recipe(epochs=1, batch=400), dataclasses.replace(STILL, pca_color=0.1))
    order = np.random.default_rng([0, 0]).permutation(400)
    shift = seen[0][:, 0].numpy() - data.images[order, :, :, 0] / 255
    inner = np.array([np.median(each) for each in shift])
    assert inner.std() == pytest.approx(0.1 * (data.images / 255).std(), rel=0.1)


def test_images_come_in_the_size_of_the_recipe():
    seen: list = []
    train(watched_module(seen), samples(6), Recipe(epochs=1, training_side=4), CHANGES)
    assert {tuple(part.shape[1:]) for part in seen} == {(1, 4, 4)}


@pytest.mark.parametrize("channels_last", [True, False])
def test_images_and_weights_lie_in_memory_as_the_recipe_says(channels_last):
    seen: list = []
    module = build(lenet(3, 3))
    module.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    color = dataclasses.replace(samples(), images=samples().images.repeat(3, axis=3))
    history = train(module, color, Recipe(epochs=2, channels_last=channels_last), CHANGES)
    assert {each.is_contiguous(memory_format=torch.channels_last) for each in seen} == {channels_last}
    assert module.conv1.weight.is_contiguous(memory_format=torch.channels_last) == channels_last
    other = train(build(lenet(3, 3)), color, Recipe(epochs=2, channels_last=not channels_last), CHANGES)
    assert history[-1]["loss"] == pytest.approx(other[-1]["loss"], rel=1e-4)


@pytest.mark.parametrize(("bf16", "dtype"), [(False, torch.float32), (True, torch.bfloat16)])
def test_products_are_in_bfloat16_only_where_asked_for(bf16, dtype):
    module, found = build(lenet(3, 1)), set()
    module.conv1.register_forward_hook(lambda _, __, output: found.add(output.dtype))
    train(module, samples(8), Recipe(epochs=1, bf16=bf16), CHANGES)
    assert found == {dtype}
    assert {parameter.dtype for parameter in module.parameters()} == {torch.float32}


def test_the_epoch_of_least_error_on_validation_images_is_kept_and_watching_changes_nothing():
    network = Sequence(flatten=Flatten(), fc1=Linear(1024, 16), relu=ReLU(), drop=Dropout(0.6), fc2=Linear(16, 3))
    validation, epochs = samples(seed=9), ([], [])
    for seen, watched in zip(epochs, (None, validation), strict=True):
        module = build(network)

        def keep(event, seen=seen, module=module):
            if isinstance(event, Epoch):
                seen.append((arrays_of(module), event))

        history = train(module, samples(), RECIPE, CHANGES, seed=2, validation=watched, events=keep)
    for (alone, _), (weights, _) in zip(*epochs, strict=True):
        for name, array in alone.items():
            np.testing.assert_array_equal(array, weights[name])
    errors = [(event.validation_error, event.validation_loss) for _, event in epochs[1]]
    assert errors == [(row["validation_error"], row["validation_loss"]) for row in history]
    best = errors.index(min(errors))
    assert best + 1 == best_epoch(history)
    for name, array in arrays_of(module).items():
        np.testing.assert_array_equal(array, epochs[1][best][0][name])
    assert loss_and_error(module, validation) == pytest.approx(errors[best][::-1], rel=1e-5)  # perhaps on more threads
    np.testing.assert_array_equal(predict(module, validation), predict(module, validation))


def test_loss_and_error_are_those_of_the_formulas():
    module, data = build(lenet(3, 1)), samples(300)
    logits = predict(module, data).astype(float)
    loss = -scipy.special.log_softmax(logits, axis=1)[np.arange(300), data.labels].mean()
    assert loss_and_error(module, data) == pytest.approx((loss, (logits.argmax(1) != data.labels).mean()))


@pytest.mark.parametrize(
    ("errors", "losses", "best"), [((3, 1, 2), (1, 1, 1), 2), ((1, 1, 2), (5, 4, 1), 2), ((1, 1, 1), (2, 2, 2), 1)]
)
def test_the_best_epoch_has_least_error_then_least_loss_then_comes_first(errors, losses, best):
    rows = [
        {"epoch": number + 1, "loss": -number, "error": -number, "validation_error": error, "validation_loss": loss}
        for number, (error, loss) in enumerate(zip(errors, losses, strict=True))
    ]
    assert best_epoch(rows) == best
    assert best_epoch([{"epoch": 1, "loss": 1.0, "error": 0.0}, {"epoch": 2, "loss": 2.0, "error": 0.5}]) == 2


def test_events_hold_the_mean_loss_so_far_and_the_rows_of_the_history():
    events: list = []
    history = train(build(lenet(3, 1)), samples(10), Recipe(epochs=2, batch=4), CHANGES, events=events.append)
    assert isinstance(events.pop(0), FirstBatch)
    assert [type(event).__name__ for event in events] == ["Step", "Step", "Step", "Epoch"] * 2
    steps = [event for event in events if isinstance(event, Step)]
    unwatched = {"validation_loss": None, "validation_error": None, "resumed": False, "model": ""}
    assert [(event.epoch, event.step) for event in steps] == [(1, 1), (1, 2), (1, 3), (2, 1), (2, 2), (2, 3)]
    assert {(event.epochs, event.steps) for event in steps} == {(2, 3)}
    assert [steps[2].loss, steps[5].loss] == [row["loss"] for row in history]
    for event, row in zip([events[3], events[7]], history, strict=True):
        told = dataclasses.asdict(event)
        assert told == {**row, **unwatched, "batch": None, "epochs": 2}
    rates = [0.01 * one_cycle((epoch + 2 / 3) / 2, 0.05) for epoch in (0, 1)]  # of the last of three steps
    assert [row["learning_rate"] for row in history] == pytest.approx(rates)
    assert 0 < sum(row["seconds"] for row in history) < 60
    assert all(row["images_per_second"] >= 10 / row["seconds"] for row in history)


def test_the_first_batch_is_told_once_as_pixels_of_what_the_network_sees():
    module, seen, told = build(lenet(3, 1)), [], []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    train(module, samples(10), Recipe(epochs=2, batch=4), CHANGES, events=told.append)
    (batch,) = [event for event in told if isinstance(event, FirstBatch)]
    pixels = (seen[0] * 0.3 + 0.4).permute(0, 2, 3, 1).numpy() * 255
    np.testing.assert_allclose(batch.images, pixels, atol=0.501)
    assert (batch.images.dtype, batch.images.shape) == (np.uint8, (4, 32, 32, 1))
    assert len(batch.labels) == 4
    assert isinstance(told[0], FirstBatch)


def test_a_training_that_goes_on_tells_again_of_the_epochs_that_were_done(tmp_path):
    class CutError(Exception):
        pass

    def cut(event):
        told.append(event)
        if isinstance(event, Epoch) and event.epoch == 2:
            raise CutError

    told: list = []
    with pytest.raises(CutError):
        train(build(lenet(3, 1)), samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c", events=cut)
    first = [event for event in told if isinstance(event, Epoch)]
    told.clear()
    train(build(lenet(3, 1)), samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c", events=told.append)
    epochs = [event for event in told if isinstance(event, Epoch)]
    assert [(event.epoch, event.resumed) for event in epochs] == [(1, True), (2, True), (3, False), (4, False)]
    assert [dataclasses.replace(event, resumed=False) for event in epochs[:2]] == first
    assert epochs[:2] == told[:2]


def test_batches_of_an_epoch_are_what_the_network_sees_before_normalization():
    module, seen = build(lenet(3, 1)), []
    module.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
    data, recipe = samples(10), Recipe(epochs=2, batch=4)
    train(module, data, recipe, CHANGES, seed=7)
    normalize = Normalization(data)
    for epoch in (0, 1):
        batches = list(epoch_batches(data, recipe, CHANGES, seed=7, epoch=epoch))
        assert sorted(torch.cat([labels for _, labels, _ in batches]).tolist()) == sorted(data.labels.tolist())
        for images, _, _ in batches:
            torch.testing.assert_close(normalize(images), seen.pop(0), rtol=0, atol=0)


def test_the_training_error_is_that_of_the_images_as_they_were_seen():
    seen: list = []
    module = build(Sequence(flatten=Flatten(), fc=Linear(1024, 3)))
    module.register_forward_hook(lambda _, __, output: seen.append(output.detach().argmax(1).numpy()))
    data = dataclasses.replace(samples(), labels=np.ones(48, np.int64))
    history = train(module, data, Recipe(epochs=1, batch=16), CHANGES)
    assert history[0]["error"] == pytest.approx((np.concatenate(seen) != 1).mean())


def test_threads_follow_from_the_multiply_adds_alone_and_are_given_back(monkeypatch):
    assert [default_threads(count) for count in (0, 64 * 660_000, 499_999_999, 500_000_000, 2 * 10**9, 10**15)] == [
        1, 1, 1, 2, 4, 4
    ]  # fmt: skip
    before, seen = torch.get_num_threads(), []
    module = build(Sequence(flatten=Flatten(), fc=Linear(1024, 3)))
    module.register_forward_pre_hook(lambda *_: seen.append(torch.get_num_threads()))
    for settings in ({}, {"threads": 3}, {"multiply_adds": 10**9}, {"multiply_adds": 10**9, "threads": 1}):
        train(module, samples(), Recipe(epochs=1, batch=1000), CHANGES, **settings)
        assert torch.get_num_threads() == before
    assert seen == [1, 3, 4, 1]


def test_the_global_generator_is_left_as_it_was():
    module, state = build(lenet(3, 1)), torch.get_rng_state()
    train(module, samples(), Recipe(epochs=1), CHANGES)
    assert torch.equal(state, torch.get_rng_state())


def test_a_loss_that_is_not_finite_stops_in_one_line():
    module = build(lenet(3, 1))
    with torch.no_grad():
        module.fc3.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="epoch 1 at step 1"):
        train(module, samples(), RECIPE, CHANGES)


def test_a_gradient_that_is_not_finite_leaves_good_weights_and_nothing_that_blocks_a_lower_rate(tmp_path):
    class Steep(torch.autograd.Function):
        """Changes nothing, and from the sixth step on has an infinite gradient."""

        @staticmethod
        def forward(context, x, steps):
            context.steps = steps
            return x.clone()

        @staticmethod
        def backward(context, gradient):
            return gradient * (float("inf") if context.steps >= 6 else 1), None

    class Network(torch.nn.Sequential):
        steps = 0

        def forward(self, x):
            self.steps += 1
            return Steep.apply(super().forward(x), self.steps)

    module = Network(torch.nn.Flatten(), torch.nn.Linear(1024, 3))
    with pytest.raises(TrainingError, match="not finite in epoch 2 at step 3"):
        train(module, samples(), RECIPE, CHANGES, checkpoint=tmp_path / "c")
    assert all(np.isfinite(array).all() for array in arrays_of(module).values())
    assert not list(tmp_path.iterdir())
    gentle = dataclasses.replace(RECIPE, learning_rate=0.001)
    assert len(train(build(lenet(3, 1)), samples(), gentle, CHANGES, checkpoint=tmp_path / "c")) == 4


def test_other_errors_of_pytorch_are_not_taken_for_exhausted_memory():
    with pytest.raises(RuntimeError, match="shape"):
        train(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(7, 3)), samples(), RECIPE, CHANGES)


def test_samples_are_normalized():
    few = samples()
    inputs = Normalization(few)(as_images(torch.from_numpy(few.images[:4])))
    expected = (few.images[:4, :, :, 0] / 255 - 0.4) / 0.3
    np.testing.assert_allclose(inputs[:, 0].numpy(), expected, atol=1e-5)
