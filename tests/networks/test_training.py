"""Training and augmentation in PyTorch."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from imgtool.errors import DataError, TrainingError  # noqa: E402
from imgtool.networks import training  # noqa: E402
from imgtool.networks.augment import Augmentation, augment  # noqa: E402
from imgtool.networks.lenet import lenet  # noqa: E402
from imgtool.networks.torch_layers import build, load_weights, weights_of  # noqa: E402
from imgtool.networks.training import Recipe, Samples, accuracy, schedule, train  # noqa: E402


def samples(n=48, seed=0):
    """Three classes that differ in which third is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, n)
    images = rng.integers(0, 90, (n, 32, 32, 1), dtype=np.uint8)
    for image, label in zip(images, labels, strict=True):
        image[label * 10 : label * 10 + 10] += 150
    return Samples(images, labels, (0.4,), (0.3,))


RECIPE = Recipe(epochs=4, batch=16, rate=0.02, augmentation=Augmentation(shift=0.05, zoom=0.8, stretch=1.2, jitter=0.2))


def test_it_learns_and_the_same_seed_learns_the_same_bits():
    runs = []
    for _ in range(2):
        module = build(lenet(3, 1), seed=1)
        history = train(module, samples(), RECIPE, seed=5, held_out=samples(seed=9))
        runs.append((weights_of(module), history))
    assert history[-1]["loss"] < history[0]["loss"]
    assert accuracy(module, samples(seed=9)) > 0.8
    assert runs[0][1] == runs[1][1]
    for name, array in runs[0][0].items():
        np.testing.assert_array_equal(array, runs[1][0][name])


class KilledError(Exception):
    pass


@pytest.mark.parametrize("steps", [2, 5, 9])
def test_a_killed_training_resumes_and_ends_with_the_same_bits(tmp_path, steps):
    whole = build(lenet(3, 1), seed=1)
    train(whole, samples(), RECIPE, seed=5)

    def kill(done, total, message):
        if done == steps:
            raise KilledError

    cut = build(lenet(3, 1), seed=1)
    with pytest.raises(KilledError):
        train(cut, samples(), RECIPE, seed=5, checkpoint=tmp_path / "c", progress=kill)
    again = build(lenet(3, 1), seed=1)
    train(again, samples(), RECIPE, seed=5, checkpoint=tmp_path / "c")
    for name, array in weights_of(whole).items():
        np.testing.assert_array_equal(array, weights_of(again)[name])


def test_checkpoint_of_another_training_is_refused(tmp_path):
    train(build(lenet(3, 1)), samples(), RECIPE, checkpoint=tmp_path / "c")
    with pytest.raises(DataError, match="another training"):
        train(build(lenet(3, 1)), samples(), dataclasses.replace(RECIPE, rate=0.5), checkpoint=tmp_path / "c")
    assert [path.name for path in tmp_path.iterdir()] == ["c"]


def test_a_loss_that_is_not_finite_stops_in_one_line():
    module = build(lenet(3, 1))
    with torch.no_grad():
        module.fc3.bias[0] = float("nan")
    with pytest.raises(TrainingError, match="epoch 1 at step 1"):
        train(module, samples(), RECIPE)


def test_rate_rises_then_falls_as_a_cosine():
    assert schedule(0.025, 0.05) == pytest.approx(0.5)
    assert schedule(0.05, 0.05) == pytest.approx(1)
    assert schedule(0.525, 0.05) == pytest.approx(0.5)
    assert schedule(1, 0.05) == pytest.approx(0)


def test_samples_are_normalised():
    few = samples()
    batch = few.normalised(few.batch(np.arange(4)))
    expected = (few.images[:4, :, :, 0] / 255 - 0.4) / 0.3
    np.testing.assert_allclose(batch[:, 0].numpy(), expected, atol=1e-5)


def generator():
    return torch.Generator().manual_seed(0)


def test_without_changes_images_stay():
    images = torch.rand(3, 3, 8, 9)
    images = images[:, :, :, :8]
    same = augment(images, Augmentation(mirror=False), generator())
    np.testing.assert_allclose(same.numpy(), images.numpy(), atol=1e-6)


def test_mirror_changes_left_and_right_of_about_half():
    images = torch.rand(200, 1, 6, 6)
    changed = augment(images, Augmentation(mirror=True), generator())
    mirrored = [torch.allclose(a, b.flip(2), atol=1e-5) for a, b in zip(changed, images, strict=True)]
    kept = [torch.allclose(a, b, atol=1e-5) for a, b in zip(changed, images, strict=True)]
    assert all(a != b for a, b in zip(mirrored, kept, strict=True))
    assert 70 < sum(mirrored) < 130


def test_windows_stay_inside_and_shifts_reach_as_far_as_told():
    ramp = torch.linspace(0, 1, 64).expand(300, 1, 64, 64).clone()
    cut = augment(ramp, Augmentation(mirror=False, zoom=0.25), generator())
    assert (cut[:, 0, 0, -1] - cut[:, 0, 0, 0]).min() > 0.4
    assert cut.min() >= 0
    assert cut.max() <= 1
    moved = augment(ramp, Augmentation(mirror=False, shift=0.1), generator())
    centers = moved[:, 0, 0, 32] - ramp[0, 0, 0, 32]
    assert 0.08 < centers.abs().max() < 0.11


def test_jitter_stays_within_black_and_white():
    changed = augment(torch.rand(20, 3, 4, 4), Augmentation(mirror=False, jitter=0.5), generator())
    assert 0 <= changed.min() <= changed.max() <= 1


def test_weights_that_do_not_fit_are_refused():
    module = build(lenet(3, 1))
    weights = weights_of(module)
    with pytest.raises(DataError, match="missing"):
        load_weights(module, {name: array for name, array in weights.items() if name != "fc3.bias"})
    with pytest.raises(DataError, match="fc3"):
        load_weights(module, {**weights, "fc3.bias": np.zeros(4, np.float32)})


def test_hostile_checkpoint_executes_nothing(tmp_path, monkeypatch):
    import os
    import pickle

    class Hostile:
        def __reduce__(self):
            return (os.mkdir, ("executed",))

    monkeypatch.chdir(tmp_path)
    for data in (pickle.dumps(Hostile(), 2), b"no checkpoint", b""):
        (tmp_path / "c").write_bytes(data)
        with pytest.raises(DataError, match="no checkpoint"):
            train(build(lenet(3, 1)), samples(), RECIPE, checkpoint=tmp_path / "c")
    torch.save({"identity": Hostile()}, tmp_path / "c")
    with pytest.raises(DataError, match="no checkpoint"):
        training._resume(tmp_path / "c", {}, build(lenet(3, 1)), None)
    assert not (tmp_path / "executed").exists()
