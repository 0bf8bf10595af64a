"""The generated pages of the site hold every command, every option and every public name."""

import re

import pytest

import imgtool
import site_pages
from imgtool.cli.main import COMMANDS
from locations import ROOT

LISTED = list(site_pages.commands())


@pytest.fixture(scope="module")
def pages():
    return site_pages.pages()


@pytest.mark.parametrize(("name", "command"), LISTED, ids=[name for name, _ in LISTED])
def test_a_page_has_the_command_its_options_and_its_examples(name, command, pages):
    section = re.search(rf"(?ms)^##? {name}\n(.*?)(?=^##? imgtool|\Z)", pages[f"commands/{name.split()[1]}.md"])[1]
    spelled = re.findall(r"(?m)^```\{option\} (.*)$", section)
    for option in site_pages.options(command):
        assert any(set(site_pages.spellings(option)) <= set(line.replace(",", "").split()) for line in spelled), option
    assert len(spelled) == len(site_pages.options(command))
    for example in site_pages.examples(command):
        assert f"$ {example}\n" in section


def test_help_has_no_option_that_the_page_lacks(run, pages):
    """Against what the user sees, not the objects that the pages are made from."""
    for name in COMMANDS:
        for option in re.findall(r"(?m)^  (?:-\w, )?(--[\w-]+)", run(name, "--help").out):
            assert option == "--help" or option in pages[f"commands/{name}.md"], (name, option)


def test_defaults_and_choices_are_told(pages):
    page = pages["commands/filter.md"]
    assert re.search(r"\{option\} --border NAME\n.*Default: reflect\.", page)
    assert re.search(r"\{option\} --normalize NAME\n.*none, sum or abs.*Default: none\.", page)
    assert re.search(r"\{option\} --quality N\n.*From 1 to 100\.", page)


def test_every_command_is_listed(pages):
    for name, summary in COMMANDS.items():
        assert f"| [{name}]({name}.md) | {summary} |" in pages["commands/index.md"]


def test_the_reference_has_every_public_name(pages):
    for name in site_pages.public_names():
        assert re.search(
            rf"(?m)^\.\. auto(function|class|exception|data):: imgtool\.{name}$", pages["reference/index.md"]
        )
    assert set(site_pages.public_names()) == {each for each in getattr(imgtool, "__all__", ()) if each[0] != "_"}


def test_every_page_is_in_a_table_of_contents():
    """A page that no table of contents lists is in the site, but not in its navigation."""
    docs, listed = ROOT / "docs", {ROOT / "docs" / "index.md"}
    folders = [docs, docs / "networks", docs / "dev"]
    pages = {page for folder in folders for page in folder.glob("*.md")}
    for page in pages:
        for tree in re.findall(r"(?ms)^```\{toctree\}\n(.*?)^```$", page.read_text()):
            listed |= {page.parent / f"{line}.md" for line in tree.splitlines() if line and line[0] != ":"}
    assert {str(page.relative_to(docs)) for page in pages - listed} == set()


def test_generated_pages_are_not_committed():
    ignored = (ROOT / ".gitignore").read_text().splitlines()
    assert {f"/docs/{name.split('/')[0]}/" for name in site_pages.pages()} <= set(ignored)


def test_what_a_built_site_lacks_is_named(tmp_path, pages):
    for name, text in pages.items():
        path = (tmp_path / name).with_suffix(".html")
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    lacking = site_pages.missing_from(tmp_path)  # these are no HTML pages
    assert "imgtool filter --kernel" in lacking
    assert "imgtool models list" in lacking
