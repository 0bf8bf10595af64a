"""Training that starts from a network that ships."""

import numpy as np
import pytest

import imgtool
from imgtool.classifiers.registry import open_model
from imgtool.datasets.formats import load_dataset
from imgtool.errors import ParameterError
from locations import SAMPLES

INIT = "efficientnet-lite0@imagenet"


def test_the_last_layer_of_the_network_of_a_thousand_classes_learns_others():
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    few = load_dataset(SAMPLES / "textures").train.subset(np.arange(0, 48, 6))
    how = {"freeze": "all-but-last", "epochs": 4, "batch": 4, "learning_rate": 0.05, "validation_share": 0}
    tuned = imgtool.train(few, "efficientnet-lite0", init=INIT, augment=False, **how)
    assert tuned.classes == ("brick", "grass", "gravel")
    before, (head, _) = open_model(INIT).arrays(), tuned.network().head()
    others = {name for name in tuned.arrays() if not name.startswith(f"{head}.")}
    assert len(others) == len(before) - 2
    for name in others:
        np.testing.assert_array_equal(tuned.arrays()[name], before[name])
    labels = tuned.scores([few.image(index) for index in range(len(few))]).argmax(1)
    np.testing.assert_array_equal(labels, few.labels)


@pytest.mark.parametrize("model", ["lenet", "efficientnet-lite0"])
def test_what_nobody_has_trained_is_not_frozen(model):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    with pytest.raises(ParameterError, match="freeze=all-but-last needs weights to start from"):
        imgtool.train(SAMPLES / "textures", model, freeze="all-but-last")
