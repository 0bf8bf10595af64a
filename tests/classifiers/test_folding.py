"""Batch normalization of AlexNet and LeNet: trained with it, stored without."""

import numpy as np
import pytest

from imgtool.classifiers.export import export_model, fold_into_convolutions
from imgtool.classifiers.registry import create, open_model
from imgtool.datasets.dataset import Dataset
from imgtool.errors import ParameterError

# Parameters of ten classes of color images: torchvision's AlexNet with its last layer changed, and LeNet's 62,006.
PLAIN = {"lenet": 62_006, "alexnet": 57_044_810}
CHANNELS = {"lenet": 6 + 16, "alexnet": 64 + 192 + 384 + 256 + 256}
SMALL = {"lenet": {}, "alexnet": {"rank": 4, "side": 70}}


def squares(count=24, side=72, seed=0):
    """Return noise that is brighter on the left, or above."""
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % 2
    images = generator.integers(0, 150, (count, side, side, 3), np.uint8)
    for image, label in zip(images, labels, strict=True):
        (image if label else image.swapaxes(0, 1))[: side // 2] += 100
    return Dataset(list(images), labels, ("left", "above"))


@pytest.mark.parametrize("name", PLAIN)
def test_each_convolution_has_a_weight_and_a_bias_more_a_channel(name):
    assert create(name).network(10).parameters() == PLAIN[name]
    assert create(name, batch_norm=True).network(10).parameters() == PLAIN[name] + 2 * CHANNELS[name]


@pytest.mark.parametrize("name", SMALL)
@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_folded_it_is_the_plain_network_with_the_same_scores(name, backend, tmp_path):
    if backend == "torch" or name == "alexnet":
        pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    model = create(name, batch_norm=True, epochs=2, batch=8, **SMALL[name])
    model.trainer = backend if name == "lenet" else "torch"
    if model.trainer == "numpy":
        model.change("augmentation", type(model.augmentation)(horizontal_flip=False))
    model.fit(squares(), seed=3).save(tmp_path / "m")
    export_model(tmp_path / "m", tmp_path / "folded", fold=True)
    folded = open_model(tmp_path / "folded")
    assert folded.settings["batch_norm"] is False
    assert folded.network().arrays() == create(name, **SMALL[name]).network(2).arrays()
    images = squares(10, seed=9).items
    np.testing.assert_allclose(folded.scores(images), model.scores(images), atol=1e-5)
    statistics = [array for key, array in model.arrays().items() if key.endswith("running_mean")]
    assert all(np.abs(each).max() > 1e-3 for each in statistics)  # so that folding had something to do


def test_what_has_nothing_to_fold_says_so(tmp_path):
    for model in (open_model("lenet@mnist"), open_model("sift-fv-svm@imagenette"), create("resnet18")):
        with pytest.raises(ParameterError, match=f"fold: {model.name} has no batch normalization"):
            fold_into_convolutions(model)
