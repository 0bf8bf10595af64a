"""The examples in README and docs are run, and their output compared.

A `console` block holds commands after `$ ` and what they print on a terminal. Blocks run in order, in a copy of the
repository's `sample_images/`. `python tests/test_documentation.py` writes the output anew.
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

from locations import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


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


NUMBER = re.compile(r"-?\d+\.\d+(?:e[+-]\d+)?")
UNTIMED = ("imgtool compare", "imgtool evaluate")


def without_numbers(text):
    """What `compare` prints, less its times and, since they depend on the machine's arithmetic, its errors."""
    return "\n".join(sorted(re.sub(r"-?[\d.]+(-[\d.]+)?%?", "N", " ".join(line.split())) for line in text.splitlines()))


def matches(command, expected, actual):
    """Tell whether the page says what is printed: the same text, and fractions that differ by less than 1 %."""
    if command.startswith(UNTIMED):
        return without_numbers(expected) == without_numbers(actual)
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
            actual = run(command, folder)
            assert matches(command, expected, actual), (
                f"$ {command}\n--- the page says\n{expected}\n--- it prints\n{actual}"
            )


def test_every_command_is_in_the_documentation():
    from imgtool.cli.main import COMMANDS

    text = "".join(page.read_text() for page in PAGES)
    for name in COMMANDS:
        assert f"imgtool {name}" in text, name


def test_links_between_pages_lead_somewhere():
    for page in [*PAGES, ROOT / "CONTRIBUTING.md", ROOT / "sample_images/README.md"]:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} -> {target}"


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


if __name__ == "__main__":
    for each in [ROOT / name for name in sys.argv[1:]] or PAGES:
        rewrite(each)
