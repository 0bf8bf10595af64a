"""Training by hand: the loss, the step and the loop against PyTorch's."""

from dataclasses import asdict, replace

import numpy as np
import pytest

from imgtool.errors import ParameterError, TrainingError
from imgtool.events import Epoch, FirstBatch, Step
from imgtool.networks.declaration import Dropout, Flatten, Linear, Sequence
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.lenet import lenet
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.numpy_training import Nesterov, cross_entropy, moved, train_by_hand
from imgtool.networks.recipe import MAX_GRADIENT_NORM, Augmentation, Recipe
from imgtool.networks.samples import Samples
from imgtool.networks.schedules import rate_after
from imgtool.networks.two_layer import two_layer

NETWORK = two_layer(3, channels=1, side=6, hidden=8)
STILL = Augmentation(horizontal_flip=False)


def samples(n=90):
    """Three classes that differ in which rows are bright."""
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, n)
    images = rng.integers(0, 120, (n, 6, 6, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label * 2 : label * 2 + 2] += 120
    return Samples(images, labels, (0.4,), (0.3,))


@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_cross_entropy_and_its_gradient_are_pytorchs(smoothing):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((7, 5)) * 10, rng.integers(0, 5, 7)
    theirs = torch.from_numpy(logits).requires_grad_()
    expected = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(labels), label_smoothing=smoothing)
    expected.backward()
    loss, gradient = cross_entropy(logits, labels, smoothing)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-10, atol=1e-15)


@pytest.mark.parametrize("momentum", [0.0, 0.8])
@pytest.mark.parametrize("scale", [0.1, 10.0])  # below and above the largest norm
def test_steps_equal_pytorchs_sgd(momentum, scale):
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal(3)}
    theirs = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in arrays.items()}
    how = {"momentum": momentum, "weight_decay": 0.01}
    sgd = torch.optim.SGD(theirs.values(), lr=0.1, nesterov=momentum > 0, **how)
    ours = Nesterov(arrays, Recipe(**how))
    for step in range(5):
        gradients = {name: scale * rng.standard_normal(array.shape) for name, array in arrays.items()}
        assert ours.step(gradients, 0.1 / (step + 1))
        for name, gradient in gradients.items():
            theirs[name].grad = torch.from_numpy(gradient.copy())
        torch.nn.utils.clip_grad_norm_(theirs.values(), MAX_GRADIENT_NORM)
        sgd.param_groups[0]["lr"] = 0.1 / (step + 1)
        sgd.step()
        for name, array in arrays.items():
            # PyTorch adds 1e-6 to the norm by which it divides larger gradients.
            np.testing.assert_allclose(array, theirs[name].detach().numpy(), rtol=1e-6 if scale > 1 else 1e-10)


def test_a_gradient_that_is_not_finite_takes_no_step():
    arrays = {"w": np.ones(3)}
    descent = Nesterov(arrays, Recipe())
    assert not descent.step({"w": np.array([0.0, np.inf, 1.0])}, 0.1)
    np.testing.assert_array_equal(arrays["w"], np.ones(3))
    assert descent.step({"w": np.zeros(3)}, 0.1)


@pytest.mark.parametrize("schedule", ["one-cycle", "cosine", "step"])
@pytest.mark.parametrize(("network", "side"), [(NETWORK, 6), (lenet(3, channels=1), 32)], ids=["two-layer", "lenet"])
def test_training_ends_where_pytorchs_ends(network, side, schedule):
    """From the same seed, with validation images: the same rows and, but for rounding, the same weights."""
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    from imgtool.networks.torch_backend import arrays_of, module_with
    from imgtool.networks.training import train

    images = samples().images.repeat(-(-side // 6), axis=1).repeat(-(-side // 6), axis=2)[:, :side, :side]
    data = replace(samples(), images=images)
    watched = replace(data, images=data.images[:31], labels=data.labels[:31])
    recipe = Recipe(epochs=4, batch=20, learning_rate=0.03, schedule=schedule, drop_epochs=2, label_smoothing=0.1)
    start = draw_arrays(network, 1)
    ours, history = train_by_hand(network, start, data, recipe, STILL, seed=7, validation=watched)
    module = module_with(network, start)
    rows = train(module, data, recipe, STILL, seed=7, validation=watched)
    assert [list(row) for row in history] == [list(row) for row in rows]
    for name in ("loss", "error", "learning_rate", "validation_loss", "validation_error"):
        np.testing.assert_allclose([row[name] for row in history], [row[name] for row in rows], rtol=1e-3, atol=1e-6)
    theirs = arrays_of(module)
    apart, way = (
        sum(float(((arrays[name] - other[name]) ** 2).sum()) for name in start) ** 0.5
        for arrays, other in ((ours, theirs), (theirs, start))
    )
    assert apart < (1e-5 if network is NETWORK else 0.01) * way  # LeNet's maxima may change places by rounding


def test_dropout_drops_in_training():
    flat = Sequence(drop=Dropout(0.9), flatten=Flatten(), fc=Linear(36, 3))
    start = draw_arrays(flat, 0)
    runs = [
        train_by_hand(network, start, samples(), Recipe(epochs=3), STILL)[1][-1]["loss"]
        for network in (flat, Sequence(**{name: part for name, part in flat.parts if name != "drop"}))
    ]
    assert runs[0] > 1.2 * runs[1]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ((0, 0), [[0, 1, 2], [3, 4, 5]]), ((1, 0), [[1, 2, 2], [4, 5, 5]]), ((0, -1), [[0, 1, 2], [0, 1, 2]]),
        ((0.5, 0), [[0.5, 1.5, 2], [3.5, 4.5, 5]]), ((-9, 9), [[3, 3, 3], [3, 3, 3]]),
    ],
)  # fmt: skip
def test_moved_images_repeat_their_edge(by, expected):
    image = np.arange(6, dtype=np.float32).reshape(2, 3, 1)
    np.testing.assert_allclose(moved(image, np.array(by))[..., 0], expected)
    np.testing.assert_array_equal(moved(image.repeat(3, 2), np.array(by)), moved(image, np.array(by)).repeat(3, 2))


def test_images_are_moved_up_to_a_share_of_their_side():
    seen = []
    data = Samples(np.zeros((200, 10, 20, 1), np.uint8), np.zeros(200, np.int64), (0.0,), (1.0,))
    data.images[:] = np.arange(0, 200, 10)[None, None, :, None]
    data.images[:] += np.arange(10, dtype=np.uint8)[None, :, None, None]
    network = Sequence(flatten=Flatten(), fc=Linear(200, 2))
    recipe, how = Recipe(epochs=1, batch=200), Augmentation(horizontal_flip=False, shift=0.1)
    train_by_hand(network, draw_arrays(network, 0), data, recipe, how, events=seen.append)
    middle = seen[0].images[:, 5, 10, 0].astype(int) - 105
    assert 15 <= abs(middle).max() <= 21  # two columns are 20 levels, one row is one
    assert middle.min() < 0 < middle.max()


def test_it_learns_and_leaves_the_arrays_it_started_from():
    start = draw_arrays(NETWORK, 0)
    copies = {name: array.copy() for name, array in start.items()}
    arrays, history = train_by_hand(NETWORK, start, samples(), Recipe(epochs=60, batch=30, learning_rate=0.05), STILL)
    assert history[-1]["loss"] < 0.05 < history[0]["loss"]
    assert history[-1]["error"] == 0 < history[0]["error"]
    data = samples()
    inputs = ((data.images / np.float32(255) - np.float32(0.4)) / np.float32(0.3)).transpose(0, 3, 1, 2)
    assert (NumpyNetwork(NETWORK, arrays).forward(inputs).argmax(1) == data.labels).all()
    for name, array in copies.items():
        np.testing.assert_array_equal(array, start[name])


def test_only_the_seed_decides():
    runs = [
        train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), Recipe(epochs=2), Augmentation(), seed=seed)[0]
        for seed in (4, 4, 5)
    ]
    for name, array in runs[0].items():
        np.testing.assert_array_equal(array, runs[1][name])
    assert any((array != runs[2][name]).any() for name, array in runs[0].items())


@pytest.mark.parametrize(("flip", "low", "high"), [(True, 70, 130), (False, 0, 0)])
def test_about_half_of_the_images_are_mirrored_where_asked_for(flip, low, high, monkeypatch):
    seen = []
    monkeypatch.setattr(
        NumpyNetwork, "forward", lambda self, x, **_: seen.append(x) or np.zeros((len(x), 3), np.float32)
    )
    monkeypatch.setattr(NumpyNetwork, "backward", lambda self, gradient: None)
    monkeypatch.setattr(Nesterov, "step", lambda self, gradients, rate: True)
    images = np.zeros((200, 6, 6, 1), np.uint8)
    images[:, :, 0] = 255
    data = Samples(images, np.zeros(200, np.int64), (0.0,), (1.0,))
    train_by_hand(NETWORK, draw_arrays(NETWORK, 0), data, Recipe(epochs=1), Augmentation(horizontal_flip=flip))
    assert low <= (np.concatenate(seen)[:, 0, 0, -1] == 1).sum() <= high


def test_the_first_batch_is_told_as_pixels_of_what_the_network_sees(monkeypatch):
    seen, told, forward = [], [], NumpyNetwork.forward
    monkeypatch.setattr(NumpyNetwork, "forward", lambda self, x, **how: seen.append(x) or forward(self, x, **how))
    recipe = Recipe(epochs=1, batch=40)
    train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), recipe, Augmentation(), seed=3, events=told.append)
    pixels = (seen[0].transpose(0, 2, 3, 1) * 0.3 + 0.4) * 255
    np.testing.assert_allclose(told[0].images, pixels, atol=1e-3)
    assert told[0].images.dtype == np.uint8
    assert len(told[0].labels) == 30


def test_events_and_rows_say_the_same():
    events = []
    recipe = Recipe(epochs=2, batch=40)
    _, history = train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), recipe, STILL, events=events.append)
    first = events.pop(0)
    assert [type(event) for event in events] == [Step, Step, Step, Epoch] * 2
    assert isinstance(first, FirstBatch)
    assert [(event.step, event.steps) for event in events[:3]] == [(1, 3), (2, 3), (3, 3)]
    assert events[2].loss == history[0]["loss"] == events[3].loss
    watched = {"validation_loss": None, "validation_error": None, "batch": None, "resumed": False, "model": ""}
    assert [asdict(event) for event in events[3::4]] == [{**row, "epochs": 2, **watched} for row in history]
    assert [(row["epoch"], row["learning_rate"]) for row in history] == [
        (1, rate_after(0 + 2 / 3, recipe)),
        (2, rate_after(1 + 2 / 3, recipe)),
    ]
    assert all(row["images_per_second"] == pytest.approx(90 / row["seconds"], rel=0.2) for row in history)


def test_a_loss_that_is_not_finite_stops_in_one_line():
    with pytest.raises(TrainingError, match=r"^the loss is not finite in epoch \d+ at step \d+; try .* than 1e\+06$"):
        train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), Recipe(learning_rate=1e6), STILL)


@pytest.mark.parametrize(
    ("recipe", "augmentation", "name"),
    [(Recipe(optimizer="adamw"), STILL, "optimizer"), (Recipe(bf16=True), STILL, "bf16"),
     (Recipe(training_side=4), STILL, "training_side"), (Recipe(), Augmentation(min_crop_area=0.5), "min_crop_area"),
     (Recipe(), Augmentation(color_jitter=0.1), "color_jitter")],
)  # fmt: skip
def test_settings_that_it_does_not_know_are_refused(recipe, augmentation, name):
    with pytest.raises(ParameterError, match=f"^training in NumPy has no {name}=.*; backend torch has$"):
        train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), recipe, augmentation)
