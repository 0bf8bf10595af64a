"""Images in memory: the statistics of their channels."""

import numpy as np
import pytest

from imgtool.networks import samples
from imgtool.networks.samples import Samples, channel_statistics, color_axes


@pytest.mark.parametrize("shape", [(9, 8, 7, 3), (1, 1, 1, 1), (300, 16, 16, 4)])
@pytest.mark.parametrize("pixels", [1, 100, 2**22])
def test_channel_statistics_are_means_and_deviations(shape, pixels, monkeypatch):
    monkeypatch.setattr(samples, "HISTOGRAM_PIXELS", pixels)
    images = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    mean, deviation = channel_statistics(images)
    np.testing.assert_allclose(mean, (images / 255).mean(axis=(0, 1, 2)), atol=5.1e-5)
    np.testing.assert_allclose(deviation, np.maximum((images / 255).std(axis=(0, 1, 2)), 1e-3), atol=5.1e-5)


@pytest.mark.parametrize("value", [0, 7, 255])
def test_images_of_one_color_have_a_deviation_above_zero(value):
    mean, deviation = channel_statistics(np.full((2, 3, 3, 2), value, np.uint8))
    assert mean == (round(value / 255, 4),) * 2
    assert deviation == (0.001, 0.001)


def test_more_pixels_than_single_precision_counts_are_counted():
    images = np.zeros((70, 512, 512, 1), np.uint8)  # 18 million, above 2**24
    images[0, 0, 0] = 255
    assert samples._histograms(images)[0, [0, 255]].tolist() == [images.size - 1, 1]


def test_the_digest_changes_with_each_image_label_and_shape():
    images = np.arange(2 * 4 * 4, dtype=np.uint8).reshape(2, 4, 4, 1)
    labels = np.array([0, 1])
    found = {
        Samples(each, known, (0.5,), (0.5,)).digest()
        for each, known in [
            (images, labels),
            (images + np.uint8(1), labels),
            (images, labels[::-1]),
            (images.reshape(2, 2, 8, 1), labels),
        ]
    }
    assert len(found) == 4
    assert Samples(images.copy(), labels.astype(np.int32), (0.1,), (0.2,)).digest() in found


@pytest.mark.parametrize("pixels", [1, 100, 2**18])
@pytest.mark.parametrize("channels", [1, 3])
def test_color_axes_are_those_of_the_covariance(channels, pixels, monkeypatch):
    monkeypatch.setattr(samples, "COLOR_PIXELS", pixels)
    rng = np.random.default_rng(channels)
    mixed = rng.normal(120, 30, (20, 9, 7, channels)) @ rng.normal(0.4, 0.3, (channels, channels))
    images = mixed.clip(0, 255).astype(np.uint8)
    axes = color_axes(images)
    covariance = np.cov(images.reshape(-1, channels).T / 255, bias=True).reshape(channels, channels)
    np.testing.assert_allclose(axes.T @ axes, covariance, rtol=1e-9, atol=1e-12)
    lengths = np.linalg.norm(axes, axis=1)
    np.testing.assert_allclose(axes @ axes.T, np.diag(lengths**2), atol=1e-12)
    assert (np.diff(lengths) <= 0).all()
    assert (axes[range(channels), np.abs(axes).argmax(1)] > 0).all()


def test_images_of_one_color_have_axes_of_no_length():
    assert np.abs(color_axes(np.full((2, 3, 3, 3), 9, np.uint8))).max() < 1e-6


@pytest.mark.parametrize("place", ["memory", "file"])
def test_batches_are_the_images_of_each_part_in_order(place, tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 4, 5, 3), np.uint8)
    if place == "file":
        images.tofile(tmp_path / "images")
        images = np.memmap(tmp_path / "images", np.uint8, "r", shape=images.shape)
    parts = np.array_split(np.random.default_rng(1).permutation(50), 9)
    for shown in (images, images[..., :1]):
        found = list(Samples(shown, np.zeros(50, int), (0.5,), (0.5,)).batches(parts))
        assert len(found) == 9
        for part, batch in zip(parts, found, strict=True):
            np.testing.assert_array_equal(batch, np.asarray(shown)[part])
            assert batch.flags.c_contiguous


@pytest.mark.parametrize("count", [1, 1024, 1025, 2500])
def test_the_digest_does_not_depend_on_how_much_is_hashed_at_once(count, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (count, 2, 2, 1), np.uint8)
    known = Samples(images, np.zeros(count, int), (0.5,), (0.5,))
    first = known.digest()
    monkeypatch.setattr(samples, "HASHED_IMAGES", 10**9)
    assert known.digest() == first
