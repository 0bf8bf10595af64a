"""`imgtool models`."""

import json

import pytest

from imgtool.classifiers import registry
from imgtool.classifiers.storage import save_folder
from imgtool.cli.main import execute

SHIPPED = registry.shipped()


def test_list_names_what_ships_and_what_can_be_trained(capsys):
    assert execute(["models", "list", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [row["model"] for row in rows] == [*SHIPPED, *registry.names()]
    for row in rows[: len(SHIPPED)]:
        assert row["classes"] == 10
        assert 0.7 <= row["accuracy"] <= 1
        assert row["n"] >= 3925


@pytest.mark.parametrize("name", SHIPPED)
def test_show_prints_the_card_and_the_description(name, capsys):
    assert execute(["models", "show", name]) == 0
    assert capsys.readouterr().out == (registry.SHIPPED / name / "CARD.md").read_text("utf-8")
    assert execute(["models", "show", name, "--json"]) == 0
    description = json.loads(capsys.readouterr().out)
    assert len(description["classes"]) == 10
    assert description == json.loads((registry.SHIPPED / name / "model.json").read_text())


def test_show_of_a_trained_model_says_what_it_is(tmp_path, capsys):
    data = {"images": 3, "sha256": "0" * 64}
    description = {"name": "two-layer", "classes": ["a", "b\x1b[31m"], "settings": {}, "data": data, "seed": 4}
    save_folder(tmp_path / "model", {**description, "history": []}, {})
    assert execute(["models", "show", str(tmp_path / "model")]) == 0
    shown = capsys.readouterr().out
    assert "two-layer" in shown
    assert "\x1b" not in shown


def test_verify_finds_every_shipped_model_whole(capsys):
    assert execute(["models", "verify"]) == 0
    captured = capsys.readouterr()
    assert [line.split(":")[0] for line in captured.out.splitlines()] == SHIPPED
    assert captured.err == ""


def test_verify_names_the_broken_one_and_goes_on(tmp_path, capsys):
    assert execute(["models", "verify", str(tmp_path), "lenet"]) == 1
    captured = capsys.readouterr()
    assert captured.out.startswith("lenet: whole, 10 classes, sha256 ")
    assert captured.err == f"imgtool: {tmp_path}: is no model: model.json is missing\n"


def test_layers_adds_up(capsys):
    assert execute(["models", "layers", "lenet@mnist", "--format", "jsonl"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert rows[0]["output"] == "6x28x28"
    assert rows[-1]["parameters"] == sum(row["parameters"] for row in rows[:-1]) == 62_006 - 2 * 25 * 6
    assert execute(["models", "layers", "sift-fv-svm"]) == 2
    assert "no network" in capsys.readouterr().err


@pytest.mark.parametrize("command", ["show", "verify", "layers"])
def test_an_unknown_name_is_answered_with_the_known_ones(command, capsys):
    assert execute(["models", command, "alexnett"]) in (1, 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert "did you mean alexnet" in captured.err
