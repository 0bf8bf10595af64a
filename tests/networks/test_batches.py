"""Batches: the same wherever the images lie."""

import dataclasses

import numpy as np
import pytest

torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

from trainings import CHANGES, RECIPE, samples  # noqa: E402

from imgtool.networks import batches_torch  # noqa: E402
from imgtool.networks.batches_torch import all_on, as_images, epoch_batches  # noqa: E402
from imgtool.networks.distributed import Group  # noqa: E402
from imgtool.networks.launch import Launch  # noqa: E402


@pytest.mark.parametrize("epoch", [0, 3])
def test_batches_of_images_that_are_on_the_device_already_are_the_same_bits(epoch, monkeypatch):
    monkeypatch.setattr(batches_torch, "COPIED_IMAGES", 7)
    data = samples(50)
    pixels = all_on("cpu", data.images, free_bytes=4 * data.images.nbytes)
    assert torch.equal(pixels, torch.from_numpy(data.images))
    how = {"seed": 3, "epoch": epoch}
    pairs = zip(
        epoch_batches(data, RECIPE, CHANGES, **how),
        epoch_batches(data, RECIPE, CHANGES, pixels=pixels, **how),
        strict=True,
    )
    for (images, labels, _), (others, their_labels, _) in pairs:
        assert torch.equal(images, others)
        assert torch.equal(labels, their_labels)


def test_only_what_fits_a_gpu_is_kept_there():
    images = samples(50).images
    assert all_on("cpu", images) is None
    assert all_on("cpu", images, free_bytes=4 * images.nbytes - 1) is None


def test_pixels_become_numbers_from_0_to_1():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3) * 11
    expected = pixels.transpose(0, 3, 1, 2).astype(np.float32) / 255
    np.testing.assert_array_equal(as_images(torch.from_numpy(pixels)), expected)


@pytest.mark.parametrize("count", [2, 3, 7])
def test_processes_share_a_batch_without_a_repeat_and_change_images_as_one_does(count):
    data = samples(50)
    recipe = dataclasses.replace(RECIPE, batch=5)
    together = dataclasses.replace(RECIPE, batch=5 * count)
    how = {"seed": 3, "epoch": 1}
    whole = list(epoch_batches(data, together, CHANGES, **how))
    groups = [Group(Launch(rank, count, rank)) for rank in range(count)]
    shares = [list(epoch_batches(data, recipe, CHANGES, group=group, **how)) for group in groups]
    for (images, labels, n), *parts in zip(whole, *shares, strict=True):
        assert n == len(labels) == sum(len(part[1]) for part in parts)
        assert {part[2] for part in parts} == {n}
        torch.testing.assert_close(torch.cat([part[0] for part in parts]), images)
        assert torch.equal(torch.cat([part[1] for part in parts]), labels)
    assert sum(len(labels) for _, labels, _ in whole) == 50
