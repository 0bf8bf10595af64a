"""The settings of training and augmentation as data."""

import json
import subprocess
import sys

import pytest

from imgtool.errors import DataError, ParameterError
from imgtool.networks.recipe import Augmentation, Recipe


@pytest.mark.parametrize("kind", [Recipe, Augmentation])
def test_fields_have_sentences_for_meanings_and_defaults_in_their_range(kind):
    for name, (default, meaning) in kind.meanings().items():
        assert meaning.text.endswith("."), name
        assert len(meaning.text) <= 70, name
        if isinstance(default, str):
            assert default in meaning.choices
        elif not isinstance(default, bool):
            assert meaning.low <= default <= meaning.high


@pytest.mark.parametrize(
    "value",
    [Recipe(epochs=3, learning_rate=0.5, bf16=True, optimizer="adamw", schedule="step"), Augmentation(shift=0.2)],
)
def test_they_go_to_json_and_back(value):
    assert type(value).from_json(json.loads(json.dumps(value.to_json()))) == value


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    [(Recipe, "epochs", 0), (Recipe, "batch", 1.5), (Recipe, "learning_rate", 0.0), (Recipe, "momentum", 1.0),
     (Recipe, "weight_decay", 2), (Recipe, "warm_up", 1), (Recipe, "label_smoothing", -0.1), (Recipe, "bf16", 1),
     (Recipe, "training_side", 1025), (Recipe, "optimizer", "adam"), (Recipe, "schedule", ""), (Recipe, "schedule", 1),
     (Recipe, "drop_epochs", 0), (Recipe, "freeze", "all"), (Recipe, "drop_factor", 0.0),
     (Recipe, "channels_last", "yes"), (Augmentation, "horizontal_flip", 0), (Augmentation, "shift", 1.1),
     (Augmentation, "min_crop_area", 0.0), (Augmentation, "max_aspect_ratio", 0.9),
     (Augmentation, "color_jitter", float("nan")),
     (Augmentation, "pca_color", 1.5)],
)  # fmt: skip
def test_values_outside_their_range_are_refused(kind, name, value):
    with pytest.raises(ParameterError, match=f"^{name} must be "):
        kind(**{name: value})
    with pytest.raises(DataError, match=f"^{name} must be "):
        kind.from_json({**kind().to_json(), name: value})


def test_recipes_need_neither_pytorch_nor_numpy():
    check = "import sys, imgtool.networks.recipe; sys.exit(bool({'torch', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0
