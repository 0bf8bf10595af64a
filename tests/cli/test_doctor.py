"""What `doctor` finds."""

import json
import tomllib

import pytest

from imgtool import device
from imgtool.cli.commands import doctor
from imgtool.cli.main import execute
from locations import ROOT


def test_it_says_what_is_there(capsys):
    assert execute(["doctor", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert {"imgtool", "python", "processors", "gpu", "completion", "cache", "packages", "extras"} == found.keys()
    assert found["packages"]["numpy"]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
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


@pytest.mark.parametrize(("installed", "warned"), [({"imgtool-cv"}, False), ({"imgtool-cv", "imgtool"}, True)])
def test_another_program_of_the_same_name_is_warned_of(installed, warned, monkeypatch, run):
    """On PyPI `imgtool` is a signer of firmware images; this distribution has another name, whatever is installed."""
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["name"] == "imgtool-cv"
    monkeypatch.setattr(doctor, "_version", lambda package: "2.5.0" if package in installed else None)
    warning = "the distribution imgtool 2.5.0 is installed here, another program with the same command"
    assert (warning in run("doctor").err) == warned
