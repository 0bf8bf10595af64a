"""Images in memory: the statistics of their channels."""

import numpy as np
import pytest

from imgtool.networks import samples
from imgtool.networks.samples import Samples, channel_statistics


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
