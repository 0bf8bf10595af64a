"""The classes that docs/own_models.md shows are fitted, stored, opened and compared like those that ship."""

import re
import shutil
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from imgtool.classifiers import registry
from imgtool.errors import DataError, ParameterError
from imgtool.image import read
from locations import ROOT, SAMPLES

PAGE = (ROOT / "docs" / "own_models.md").read_text()
OWN, WRAPPER = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
WITH_TORCHVISION, WITH_TIMM, USED = re.findall(r"```py\n(.*?)```", PAGE, re.DOTALL)
PHOTOS = {"tabby": "cat.jpg", "espresso": "coffee.png"}  # class -> image


@pytest.fixture
def installed(monkeypatch):
    names = {"__name__": "my_package"}
    exec(OWN, names)

    class Point:
        name, load = "brightness", staticmethod(lambda: names["Brightness"])

    monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [Point] if group == "imgtool.models" else [])


@pytest.mark.usefixtures("installed")
def test_it_takes_part_in_all_commands(run, tmp_path):
    textures, folder = SAMPLES / "textures", tmp_path / "model"
    assert run("train", textures, "--model", "brightness", "--set", "sharpness=50", "-o", folder).status == 0
    model = registry.open_model(folder)
    assert model.settings == {"sharpness": 50.0}
    image = textures / "grass" / "grass_00.png"
    scores = model.scores([read(image)])
    np.testing.assert_allclose(scores.sum(), 1, rtol=1e-5)
    row = run("classify", "-q", "--model", folder, image).rows[0]
    assert row["score"] == pytest.approx(float(scores.max()), rel=1e-5)
    rows = run("compare", "-q", textures, "--model", "brightness", "--model", folder, "--format", "json").rows
    assert {each["model"] for each in rows[0]["models"]} == {"brightness", str(folder)}
    assert "error" not in rows[0]["models"][0]
    assert [each["setting"] for each in run("train", "--model", "brightness", "--settings").rows] == ["sharpness"]
    with pytest.raises(ParameterError, match="sharpness must be from"):
        registry.create("brightness", sharpness=-1)
    with pytest.raises(DataError, match="weights do not fit"):
        model.restore({"means": np.zeros(2)})
    assert Path(folder, "model.json").is_file()


@pytest.fixture
def stand_ins(monkeypatch):
    """Packages of the names of torchvision and timm, whose networks are small and drawn, and download nothing."""
    torch = pytest.importorskip("torch", reason="the extra 'torch' is not installed")

    def network(*_, **__):
        torch.manual_seed(len(made))
        made.append(torch.nn.Sequential(torch.nn.AvgPool2d(4), torch.nn.Flatten(), torch.nn.Linear(48, 1000)))
        return made[-1]

    def transform(image):
        return torch.from_numpy(np.array(image.resize((16, 16)))).permute(2, 0, 1) / 255

    made = []
    weights = SimpleNamespace(IMAGENET1K_V2=SimpleNamespace(transforms=lambda: transform))
    data = SimpleNamespace(
        resolve_model_data_config=lambda module: {"module": module}, create_transform=lambda module: transform
    )
    own = {
        "torchvision": {},
        "torchvision.models": {"ResNet50_Weights": weights, "resnet50": network},
        "timm": {"create_model": network, "data": data},
    }
    for name, content in own.items():
        package = ModuleType(name)
        package.__dict__.update(content)
        monkeypatch.setitem(sys.modules, name, package)
    return made, transform


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """The folder photos/, with a class of ImageNet for each of two images, in the current folder."""
    for label, name in PHOTOS.items():
        (tmp_path / "photos" / label).mkdir(parents=True)
        shutil.copy(SAMPLES / name, tmp_path / "photos" / label)
    monkeypatch.chdir(tmp_path)


@pytest.mark.usefixtures("photos")
def test_modules_of_other_packages_label_and_are_measured(stand_ins, capsys):
    made, transform = stand_ins
    names = {}
    for block in (WRAPPER, WITH_TORCHVISION, WITH_TIMM, USED):
        exec(block, names)
    printed, classes = capsys.readouterr().out, names["known"].classes
    for label, name in sorted(PHOTOS.items()):
        with Image.open(SAMPLES / name) as image:
            square = transform(image.convert("RGB"))[None]
        said = [classes[int(module(square).argmax())] for module in made]
        assert f"{Path('photos', label, name)} {said}\n" in printed
    for model in ("torchvision-resnet50", "timm-convnext", "efficientnet-lite0"):
        assert re.search(rf"(?m)^\| {model}.* \| \d+\.\d ?%", printed), printed


def test_the_wrapper_has_ten_lines():
    lines = WRAPPER[WRAPPER.index("class ") :].splitlines()
    assert len([line for line in lines if line.strip()]) == 10


@pytest.mark.parametrize("package", ["torchvision", "timm"])
def test_scores_are_those_of_the_module_itself(package):
    """With the packages' own modules and transforms, and weights that are drawn."""
    other = pytest.importorskip(package)
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    if package == "timm":
        module = other.create_model("resnet18", pretrained=False)
        transform = other.data.create_transform(**other.data.resolve_model_data_config(module))
    else:
        from torchvision.models import ResNet18_Weights, resnet18

        module, transform = resnet18(weights=None), ResNet18_Weights.DEFAULT.transforms()
    check_scores(module, transform, 1000)


def test_scores_are_softmax_of_the_logits(stand_ins):
    torch = pytest.importorskip("torch")
    _, transform = stand_ins
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 8, 3), torch.nn.BatchNorm2d(8), torch.nn.Dropout(0.5), torch.nn.AdaptiveAvgPool2d(1)
    check_scores(torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(8, 5)), transform, 5)


def check_scores(module, transform, count):
    """Assert that the page's class gives the softmax of a module's logits, for images of any kind."""
    import torch

    names = {}
    exec(WRAPPER, names)
    model = names["TorchClassifier"]("own", module, transform, [str(index) for index in range(count)])
    gray, color = read(SAMPLES / "coins.png"), read(SAMPLES / "coffee.png")
    found = model.scores([gray, color, (gray.astype(np.uint16) * 257)])
    module.eval()
    for image, scores in zip((gray, color, gray), found, strict=True):
        with torch.no_grad():
            logits = module(transform(Image.fromarray(image).convert("RGB"))[None])
        np.testing.assert_allclose(scores, logits.softmax(1)[0], rtol=1e-4, atol=1e-6)
