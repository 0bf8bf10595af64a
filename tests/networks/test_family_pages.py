"""What the pages of docs/networks/ hold beside the examples, which tests/test_documentation.py runs."""

import re
import shlex

import pytest

from imgtool.networks.catalogue import CATALOGUE
from locations import ROOT

FOLDER = ROOT / "docs" / "networks"
PAGES = sorted(set(FOLDER.glob("*.md")) - {FOLDER / "index.md"})
TRAINING = "Train it, and get published weights"
PARTS = ["The paper's table", "Here", "Where they depart", "Counts", TRAINING, "Exercise", "Answer"]
ELSEWHERE = {"two-layer", "lenet", "efficientnet-lite0", "efficientnet-lite1", "efficientnet-lite2"}
DRAWINGS_BYTES = 300_000
# What a command says that lacks nothing but files or a network.
LACKS = "no such file or folder|is not on this machine|IMGTOOL_OFFLINE is set"


def commands_not_run():
    """Return the command lines of indented blocks."""
    texts = [page.read_text().replace(" \\\n        ", " ") for page in PAGES]
    return [command for text in texts for command in re.findall(r"(?m)^    (imgtool .*)$", text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_page_has_the_same_parts(page):
    text = page.read_text()
    assert re.findall(r"(?m)^## (.*)$", text) == PARTS
    assert f"](../images/block_{page.stem}.png)" in text


def test_every_network_of_the_catalogue_has_a_page():
    rows = re.findall(r"(?m)^\| \[.*$", (FOLDER / "index.md").read_text())
    names = {name for row in rows for name in named(re.findall(r"`([\w.-]+)`", row))}
    assert names == CATALOGUE.keys() - ELSEWHERE


def named(words):
    """Return the names that a row lists: the first whole, of others perhaps only the number, `_bn` for all with it."""
    stem = words[0].rstrip("0123456789")
    names = [word if word[0].isalpha() else f"{stem}{word}" for word in words if word != "_bn"]
    return [*names, *(f"{name}_bn" for name in names if "_bn" in words)]


@pytest.mark.parametrize("command", commands_not_run(), ids=lambda command: command[:60])
def test_commands_that_are_not_run_are_right(command, run, tmp_path, monkeypatch):
    """Names, options and settings are known and their values allowed; all that is missing is data or weights."""
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    monkeypatch.chdir(tmp_path)
    for variable in ("IMGTOOL_CACHE", "TORCH_HOME"):
        monkeypatch.setenv(variable, str(tmp_path))
    monkeypatch.setenv("IMGTOOL_OFFLINE", "1")
    done = run(*shlex.split(command)[1:])
    assert done.status == 1, done.err
    assert re.search(LACKS, done.err)


def test_the_drawings_are_small_and_each_is_shown():
    files = {*(ROOT / "docs" / "images").glob("block_*.png")}
    assert {path.name for path in files} == {f"block_{page.stem}.png" for page in PAGES}
    assert sum(path.stat().st_size for path in files) < DRAWINGS_BYTES
