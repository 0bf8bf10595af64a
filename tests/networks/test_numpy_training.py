"""Training by hand: the loss, the step and the loop against PyTorch's."""

from dataclasses import asdict

import numpy as np
import pytest

from imgtool.errors import ParameterError, TrainingError
from imgtool.events import Epoch, FirstBatch, Step
from imgtool.networks.initialization import draw_arrays
from imgtool.networks.numpy_backend import NumpyNetwork
from imgtool.networks.numpy_training import Momentum, cross_entropy, train_by_hand
from imgtool.networks.recipe import Augmentation, Recipe
from imgtool.networks.samples import Samples
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


def test_cross_entropy_and_its_gradient_are_pytorchs():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((7, 5)) * 10, rng.integers(0, 5, 7)
    theirs = torch.from_numpy(logits).requires_grad_()
    expected = torch.nn.functional.cross_entropy(theirs, torch.from_numpy(labels))
    expected.backward()
    loss, gradient = cross_entropy(logits, labels)
    assert loss == pytest.approx(expected.item(), rel=1e-12)
    np.testing.assert_allclose(gradient, theirs.grad.numpy(), rtol=1e-10, atol=1e-15)


def test_momentum_equals_pytorchs_sgd():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    rng = np.random.default_rng(0)
    arrays = {"w": rng.standard_normal((3, 2)), "b": rng.standard_normal(3)}
    theirs = {name: torch.nn.Parameter(torch.from_numpy(array.copy())) for name, array in arrays.items()}
    sgd = torch.optim.SGD(theirs.values(), lr=0.1, momentum=0.8, weight_decay=0.01)
    ours = Momentum(arrays, Recipe(learning_rate=0.1, momentum=0.8, weight_decay=0.01))
    for _ in range(5):
        gradients = {name: rng.standard_normal(array.shape) for name, array in arrays.items()}
        ours.step(gradients)
        for name, gradient in gradients.items():
            theirs[name].grad = torch.from_numpy(gradient)
        sgd.step()
    for name, array in arrays.items():
        np.testing.assert_allclose(array, theirs[name].detach().numpy(), rtol=1e-10)


def test_steps_are_those_of_pytorch():
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    data, recipe = samples(), Recipe(epochs=5, batch=90, learning_rate=0.1, weight_decay=0.01)
    start = draw_arrays(NETWORK, 1)
    ours, history = train_by_hand(NETWORK, start, data, recipe, STILL)
    weights = [torch.nn.Parameter(torch.from_numpy(array.copy())) for array in start.values()]
    inputs = torch.from_numpy((data.images.reshape(90, -1) / np.float32(255) - np.float32(0.4)) / np.float32(0.3))
    sgd, losses = torch.optim.SGD(weights, lr=0.1, momentum=0.9, weight_decay=0.01), []
    for _ in range(5):
        hidden = torch.relu(inputs @ weights[0].T + weights[1])
        loss = torch.nn.functional.cross_entropy(hidden @ weights[2].T + weights[3], torch.from_numpy(data.labels))
        losses.append(loss.item())
        sgd.zero_grad()
        loss.backward()
        sgd.step()
    np.testing.assert_allclose([row["loss"] for row in history], losses, rtol=1e-5)
    for array, expected in zip(ours.values(), weights, strict=True):
        np.testing.assert_allclose(array, expected.detach().numpy(), rtol=1e-4, atol=1e-5)


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
    monkeypatch.setattr(Momentum, "step", lambda self, gradients: None)
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
    assert len(told[0].labels) == 40


def test_events_and_rows_say_the_same():
    events = []
    recipe = Recipe(epochs=2, batch=40)
    _, history = train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), recipe, STILL, events=events.append)
    first = events.pop(0)
    assert [type(event) for event in events] == [Step, Step, Step, Epoch] * 2
    assert isinstance(first, FirstBatch)
    assert [(event.step, event.steps) for event in events[:3]] == [(1, 3), (2, 3), (3, 3)]
    assert events[2].loss == history[0]["loss"] == events[3].loss
    watched = {"validation_loss": None, "validation_error": None, "resumed": False, "model": ""}
    assert [asdict(event) for event in events[3::4]] == [{**row, "epochs": 2, **watched} for row in history]
    assert [(row["epoch"], row["learning_rate"]) for row in history] == [(1, 0.01), (2, 0.01)]
    assert all(row["images_per_second"] == pytest.approx(90 / row["seconds"]) for row in history)


def test_a_loss_that_is_not_finite_stops_in_one_line():
    with pytest.raises(TrainingError, match=r"^the loss is not finite in epoch \d+; try .* than 1e\+06$"):
        train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), Recipe(learning_rate=1e6), STILL)


@pytest.mark.parametrize(
    ("recipe", "augmentation", "name"),
    [(Recipe(label_smoothing=0.1), STILL, "label_smoothing"), (Recipe(bf16=True), STILL, "bf16"),
     (Recipe(training_side=4), STILL, "training_side"), (Recipe(), Augmentation(shift=0.1), "shift"),
     (Recipe(), Augmentation(color_jitter=0.1), "color_jitter")],
)  # fmt: skip
def test_settings_that_it_does_not_know_are_refused(recipe, augmentation, name):
    with pytest.raises(ParameterError, match=f"knows no {name}, got"):
        train_by_hand(NETWORK, draw_arrays(NETWORK, 0), samples(), recipe, augmentation)
