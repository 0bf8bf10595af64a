"""What `doctor` finds."""

import json
import tomllib
from pathlib import Path

import pytest

from imgtool import device
from imgtool.cli.commands import doctor
from imgtool.cli.main import execute


def test_it_says_what_is_there(capsys):
    assert execute(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"imgtool", "python", "processors", "gpu", "cache", "packages", "extras"} == found.keys()
    assert found["packages"]["numpy"]
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert set(found["extras"]) == set(project["optional-dependencies"]) - {"all"}
    assert execute(["doctor"]) == 0
    assert "numpy" in capsys.readouterr().out


@pytest.mark.parametrize(("wheels", "warned"), [(1, False), (2, True)])
def test_two_opencv_wheels_are_warned_of(monkeypatch, capsys, wheels, warned):
    there = doctor.OPENCV_WHEELS[:wheels]
    monkeypatch.setattr(doctor, "_version", lambda package: "4.14.0" if package in there else None)
    monkeypatch.setattr(device, "cuda_devices", lambda: 0)
    assert execute(["doctor"]) == 0
    assert ("overwrite" in capsys.readouterr().err) == warned


def test_a_gpu_without_a_build_for_it_is_warned_of(monkeypatch, capsys):
    monkeypatch.setattr(device, "cuda_devices", lambda: 1)
    monkeypatch.setattr(device, "torch_build", lambda: "cpu")
    assert execute(["doctor"]) == 0
    assert "built for the CPU only" in capsys.readouterr().err
