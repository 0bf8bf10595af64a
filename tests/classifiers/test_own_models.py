"""The class that docs/own_models.md shows is fitted, stored, opened and compared like those that ship."""

import re
from pathlib import Path

import numpy as np
import pytest

from imgtool.classifiers import registry
from imgtool.errors import DataError, ParameterError
from imgtool.image import read
from locations import ROOT, SAMPLES


@pytest.fixture
def installed(monkeypatch):
    page = (ROOT / "docs" / "own_models.md").read_text()
    names = {"__name__": "my_package"}
    exec(re.search(r"```python\n(.*?)```", page, re.DOTALL)[1], names)

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
