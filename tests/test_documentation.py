"""The examples in README and docs are run, and their output compared.

A `console` block holds commands after `$ ` and what they print on a terminal, a `python` block holds statements. The
blocks of a page run in order, in a folder with a copy of `sample_images/`. `python tests/test_documentation.py` writes
the output anew.
"""

import os
import pty
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import imgtool
import site_pages
from locations import ROOT

FOLDERS = [ROOT / "docs", ROOT / "docs/networks", ROOT / "docs/dev"]
PAGES = [ROOT / "README.md", *(page for folder in FOLDERS for page in sorted(folder.glob("*.md")))]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PYTHON = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands_of(block):
    """Yield (command, expected output) pairs."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        while command.endswith("\\"):
            line, _, expected = expected.partition("\n")
            command = f"{command}\n{line}"
        yield command, expected


def run(command, folder):
    """Run a command line in bash on a terminal of 110 columns; return what it prints."""
    own = Path(sys.executable).parent
    environment = {
        **os.environ,
        "PATH": f"{own}:{os.environ['PATH']}",
        "COLUMNS": "110",
        "NO_COLOR": "1",
        "TERM": "dumb",
    }
    child, terminal = pty.openpty()
    process = subprocess.Popen(
        ["bash", "-c", command], stdin=terminal, stdout=terminal, stderr=terminal, cwd=folder, env=environment
    )
    os.close(terminal)
    output = b""
    while True:
        try:
            data = os.read(child, 65536)
        except OSError:  # Linux says so when the other end is closed
            break
        if not data:
            break
        output += data
    process.wait(60)
    os.close(child)
    return output.decode().replace("\r\n", "\n")


def folder_for_examples(parent):
    folder = Path(parent) / "clone"
    shutil.copytree(ROOT / "sample_images", folder / "sample_images")
    return folder


LECTURE = ROOT / "docs/lecture.md"
PICTURE = re.compile(r"\]\((images/(?:lecture/)?(\S+))\)")


def pictures(page, folder):
    """Yield each picture of the lecture's page: where it lies, and where its command wrote it."""
    for target, name in PICTURE.findall(page.read_text()) if page == LECTURE else ():
        yield page.parent / target, folder / name


def looks_the_same(kept, made):
    """Tell whether two files show the same picture: lossy formats and letters may differ a little elsewhere."""
    before, after = imgtool.read(kept).astype(int), imgtool.read(made).astype(int)
    return before.shape == after.shape and (abs(before - after) > 24).mean() < 0.01


NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")
SESSION = """
import doctest, sys
names, failed = {"__name__": "page"}, 0
for block in sys.argv[1:]:
    if ">>> " not in block:
        exec(block, names)
        continue
    session = doctest.DocTestParser().get_doctest(block, names, "page", None, 0)
    failed += doctest.DocTestRunner(optionflags=doctest.ELLIPSIS).run(session, clear_globs=False).failed
    names.update(session.globs)
sys.exit(failed)
"""
CELLS = re.compile(r"\s{2,}|\s*\|\s*")
TABLES_WITH_TIMES = ("imgtool compare", "imgtool evaluate")
SPEED = re.compile(r"  \d+ images/s(  \d\S* (s|min|h) left)?$", re.MULTILINE)  # of an epoch of training
# Names of columns such as "train s", "ms/image", and of others whose last digit is another on other machines.
TAKEN = re.compile(r"\b\d+\.\d+ ms\b")  # of a method that is explained
TIME = re.compile(r"\b(s|ms|peak|batch)\b|log loss|ECE")
TOLD = re.compile(r"^.*: top-1 error .* models$", re.MULTILINE)  # of each model at once, above the table


def without_times(text):
    """Return the cells of tables, without those of columns whose name says that they are times."""
    text = TOLD.sub(r"\g<0>\n", text)
    return [each for part in text.split("\n\n") for each in _part_without_times(part) if "much faster" not in each[0]]


def _part_without_times(text):
    """Return the cells of one table, which begins with its columns' names."""
    lines = [cells for line in text.splitlines() if (cells := [c for c in CELLS.split(line.strip()) if c])]
    timed = {index for index, name in enumerate(lines[0] if lines else []) if TIME.search(name)}
    width = len(lines[0]) if lines else 0
    return [[cell for index, cell in enumerate(line) if len(line) != width or index not in timed] for line in lines]


def matches(command, expected, actual):
    """Tell whether the page says what is printed: the same text, and fractions that differ by less than 1 %."""
    expected, actual = (SPEED.sub("", text) for text in (expected, actual))
    if command.startswith("imgtool explain conv"):
        expected, actual = (TAKEN.sub("ms", text) for text in (expected, actual))
    if command.startswith(TABLES_WITH_TIMES):
        return without_times(expected) == without_times(actual)
    words = [[" ".join(part.split()) for part in NUMBER.split(text)] for text in (expected, actual)]
    numbers = [[float(number) for number in NUMBER.findall(text)] for text in (expected, actual)]
    return words[0] == words[1] and numbers[0] == pytest.approx(numbers[1], rel=0.01, abs=1e-3)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX terminals")
@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_examples_print_what_the_page_says(page, tmp_path):
    folder = folder_for_examples(tmp_path)
    for block in BLOCK.findall(page.read_text()):
        for command, expected in commands_of(block):
            if "jq" in command and not shutil.which("jq"):
                continue  # the page says what it needs; the command before the pipe is tested elsewhere
            if re.search(r"train|compare|features fit", command):
                pytest.importorskip("sklearn", reason=f"{page.name} has examples that need the extra 'classic'")
                pytest.importorskip("torch", reason=f"{page.name} has examples that need the extra 'torch'")
            if "--curves" in command:
                pytest.importorskip("matplotlib", reason=f"{page.name} has examples that need the extra 'report'")
            actual = run(command, folder)
            assert matches(command, expected, actual), (
                f"$ {command}\n--- the page says\n{expected}\n--- it prints\n{actual}"
            )
    for kept, made in pictures(page, folder):
        assert looks_the_same(kept, made), kept


@pytest.mark.parametrize(
    "page", [page for page in PAGES if PYTHON.search(page.read_text())], ids=lambda page: page.name
)
def test_python_blocks_run(page, tmp_path):
    """Statements run as they stand; what a session (`>>> `) shows is compared."""
    for package, extra in (("sklearn", "classic"), ("torch", "torch")):
        pytest.importorskip(package, reason=f"{page.name} has examples that need the extra '{extra}'")
    folder = folder_for_examples(tmp_path)
    command = [sys.executable, "-c", SESSION, *PYTHON.findall(page.read_text())]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("said", "same"),
    [
        ("b  16.7%  9.9\na   33.3%   0.1", True),
        ("a  33.3%  0.1\nb  16.7%  9.9", False),
        ("b  16.8%  0.1\na  33.3%  0.1", False),
    ],
    ids=["other times", "another winner", "another error"],
)
def test_tables_are_compared_but_for_their_times(said, same):
    head = "model  top-1 error  train s\n"
    assert matches("imgtool compare x", f"{head}b  16.7%  0.1\na  33.3%  0.9", head + said) == same


def test_times_of_methods_may_differ_but_not_what_they_give():
    said = "result 5.0\ndirect  0.035 ms  how"
    assert matches("imgtool explain conv", said, said.replace("0.035", "12.7"))
    assert not matches("imgtool explain conv", said, said.replace("5.0", "6.0"))
    assert not matches("imgtool hog", said, said.replace("0.035", "12.7"))


def test_every_command_is_in_the_documentation():
    from imgtool.cli.main import COMMANDS

    text = "".join(page.read_text() for page in PAGES)
    for name in COMMANDS:
        assert f"imgtool {name}" in text, name


def test_tests_of_each_guarantee_are_where_the_page_says():
    """A test that is renamed or moved away from docs/reliability.md is found here."""
    rows = re.findall(r"^\| ([FDNC]\d+) \|.*\| (.*) \|$", (ROOT / "docs/reliability.md").read_text(), re.MULTILINE)
    assert len(rows) > 20
    for row, tests in rows:
        found = ""
        for place in map(ROOT.joinpath, re.findall(r"tests/[\w/]+(?:\.py)?", tests)):
            text = "".join(path.read_text() for path in ([place] if place.is_file() else place.glob("*.py")))
            assert f"def test_{row}_" in text, f"{row}: {place}"
            found += text
        for name in re.findall(r"`(test_\w+?)\.\.\.`", tests):
            assert f"def {name}" in found, f"{row}: {name}"


def test_rows_of_the_lecture_that_were_measured_elsewhere_are_those_of_that_page():
    text = LECTURE.read_text()
    rows = re.findall(r"(?m)^\| .*(?:ReLU|`).*\|$", text)
    assert len(rows) == 6
    assert set(rows) <= set((ROOT / "docs/training.md").read_text().splitlines())


def test_pictures_that_differ_are_told_apart(tmp_path):
    kept = ROOT / "docs/images/lecture/borders.png"
    image, camera = imgtool.read(kept), imgtool.read(ROOT / "sample_images/camera.png")
    imgtool.write(tmp_path / "lossy.jpg", image, quality=95)
    assert looks_the_same(kept, kept)
    assert looks_the_same(kept, tmp_path / "lossy.jpg")
    imgtool.write(tmp_path / "other.png", imgtool.filter_sheet(camera, "box", size=9))
    assert not looks_the_same(kept, tmp_path / "other.png")
    image[8:60, 8:140] = 255 - image[8:60, 8:140]
    imgtool.write(tmp_path / "changed.png", image)
    assert not looks_the_same(kept, tmp_path / "changed.png")


def test_the_lectures_pictures_are_small_and_each_is_shown():
    folder = ROOT / "docs/images/lecture"
    files = {path for path in folder.rglob("*") if path.is_file()}
    shown = {ROOT / "docs" / target for target, _ in PICTURE.findall(LECTURE.read_text())}
    assert {path for path in shown if folder in path.parents} == files
    assert sum(path.stat().st_size for path in files) < 1_500_000


def test_every_topic_of_the_lecture_has_two_exercises_with_answers():
    topics, answers = LECTURE.read_text().split("\n## Answers\n")
    names = re.findall(r"(?m)^\d+\. \[(.*)\]\(#", topics)
    found = re.split(r"(?m)^## (.*)$", topics)[1:]
    assert found[::2] == names
    for number, text in enumerate(found[1::2], 1):
        assert re.findall(r"\*\*Exercise (\d+\.\d+)\.\*\*", text) == [f"{number}.1", f"{number}.2"]
        assert "```console" in text
        assert f"**{number}.1.**" in answers
        assert f"**{number}.2.**" in answers


def test_links_between_pages_lead_somewhere():
    generated = {ROOT / "docs" / name for name in site_pages.pages()}
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "sample_images/README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            place = page.parent / target
            assert place in generated or place.exists(), f"{page.name} -> {target}"


def rewrite(page):
    """Put what the commands print into the page."""
    with tempfile.TemporaryDirectory() as parent:
        folder = folder_for_examples(parent)

        def renewed(block):
            parts = []
            for command, expected in commands_of(block.group(1)):
                actual = run(command, folder)
                keep = matches(command, expected, actual)
                parts.append(f"$ {command}\n{expected if keep else actual}")
            return "```console\n" + "".join(parts) + "```"

        page.write_text(BLOCK.sub(renewed, page.read_text()))
        for kept, made in pictures(page, folder):
            if not kept.exists() or not looks_the_same(kept, made):
                kept.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(made, kept)


if __name__ == "__main__":
    for each in [ROOT / name for name in sys.argv[1:]] or PAGES:
        rewrite(each)
