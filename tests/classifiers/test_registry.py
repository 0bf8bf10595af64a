"""Names to classifiers."""

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.classifiers.protocol import Trainable
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, DeviceError, MissingExtraError, ParameterError
from imgtool.parameters import Parameters, parameter


@dataclass(frozen=True)
class ConstantParameters(Parameters):
    """What a user's own class can vary."""

    favorite: int = parameter(0, "The class that every image gets.", low=0, high=99)


class Constant(Trainable):
    """A user's own class: says the same of every image."""

    groups = {"architecture": ConstantParameters()}  # noqa: RUF012

    def fit(self, dataset, *, seed=0, device="cpu", resume=None, events=None):
        self.record_training(dataset, seed=seed, history=[])
        return self

    def prepare(self, image):
        return image

    def features(self, batch):
        return np.zeros((len(batch), 1), np.float32)

    def decide(self, features):
        return np.eye(len(self.classes))[[self.parameters.favorite] * len(features)]

    def arrays(self):
        return {"nothing": np.zeros(1, np.float32)}

    def restore(self, arrays):
        if arrays.keys() != {"nothing"}:
            raise DataError("weights do not fit")


class Point:
    """What importlib.metadata gives for an entry point of a package that is installed."""

    name = "constant"

    @staticmethod
    def load():
        return Constant


@pytest.fixture
def installed(monkeypatch):
    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point] if group == "imgtool.models" else [])


@pytest.fixture
def dataset():
    return Dataset([np.full((4, 4), value, np.uint8) for value in (0, 9, 99)], np.array([0, 1, 2]), ("a", "b", "c"))


@pytest.mark.usefixtures("installed")
def test_a_users_own_class_is_created_saved_and_opened_by_name(dataset, tmp_path):
    assert "constant" in registry.names()
    model = registry.create("constant", favorite="2").fit(dataset)
    model.save(tmp_path / "own")
    again = registry.open_model(str(tmp_path / "own"))
    assert type(again) is Constant
    np.testing.assert_array_equal(again.scores([dataset.image(0)]), [[0, 0, 1]])
    with pytest.raises(ParameterError, match="no backend torch"):
        registry.open_model(str(tmp_path / "own"), backend="torch")


def test_a_model_of_a_class_that_is_not_installed_is_refused(dataset, tmp_path):
    Constant("constant").fit(dataset).save(tmp_path / "own")
    with pytest.raises(DataError, match="unknown kind 'constant'"):
        registry.open_model(str(tmp_path / "own"))


@pytest.mark.parametrize("name", registry.DEFAULT_WEIGHTS)
def test_a_bare_name_opens_the_weights_that_ship(name):
    assert registry.locate(name).name == f"{name}@{registry.DEFAULT_WEIGHTS[name]}"
    assert registry.open_model(name).name == name


@pytest.mark.parametrize(
    ("name", "said"),
    [("alexnett", "did you mean alexnet"), ("lenet@mnsit", "lenet@mnist"),
     ("alexnet@imagenette2", "alexnet@imagenette"),
     ("two-layer", "these ship: alexnet@imagenette"), ("hog-svm", "no trained 'hog-svm'"),
     ("", "there are two-layer, lenet, alexnet")],
)  # fmt: skip
def test_an_unknown_name_is_answered_with_the_known_ones(name, said):
    with pytest.raises(ParameterError, match=said) as caught:
        registry.open_model(name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["./nowhere", "../nowhere", "/nowhere/model", "."])
def test_a_path_without_a_model_is_refused(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"model\.json is missing"):
        registry.open_model(name)


@pytest.mark.parametrize("name", ["lenet", "two-layer", "lenet@mnist"])
def test_a_name_of_a_folder_here_and_of_a_model_that_comes_along_is_refused(name, dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.create("two-layer", epochs=1).fit(dataset).save(Path(name))
    for use in (registry.open_model, registry.is_trained, registry.locate):
        with pytest.raises(ParameterError, match=f"^{name} is a folder here and a model of imgtool: ./{name} is the"):
            use(name)
    assert registry.open_model(f"./{name}").name == registry.open_model(tmp_path / name).name == "two-layer"


def test_a_folder_is_opened_with_and_without_a_slash(dataset, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    registry.create("two-layer", epochs=1, side=4).fit(dataset).save(Path("mine"))
    for name in ("mine", "mine/", "./mine", str(tmp_path / "mine")):
        assert registry.open_model(name).classes == ("a", "b", "c")


@pytest.mark.parametrize(
    ("options", "error"),
    [({"device": "cuda:99"}, (DeviceError, MissingExtraError)), ({"device": "gpu"}, ParameterError),
     ({"backend": "jax"}, ParameterError)],
)  # fmt: skip
def test_backends_and_devices_that_are_not_there_are_refused(options, error):
    with pytest.raises(error, match=next(iter(options.values()))):
        registry.open_model("lenet", **options)


def test_numpy_on_a_gpu_is_refused(monkeypatch):
    monkeypatch.setattr(registry, "resolve", lambda device: device)
    with pytest.raises(ParameterError, match="runs on the CPU"):
        registry.open_model("lenet", device="cuda", backend="numpy")


def test_a_backend_that_is_not_installed_is_told_once(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda *_: None)
    with pytest.raises(MissingExtraError, match=r"torch>=2"):
        registry.open_model("lenet", backend="torch")


def test_names_are_told_without_importing_a_model():
    code = (
        "import sys; from imgtool.classifiers import registry;registry.names(); registry.shipped(); print(*sys.modules)"
    )
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    heavy = {"torch", "sklearn", "scipy", "cv2", "imgtool.classifiers.network", "imgtool.classifiers.classic"}
    assert not heavy & set(loaded)
