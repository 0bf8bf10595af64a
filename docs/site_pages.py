"""The pages that are made from the program itself: one for each command, and the reference of the public functions.

`docs/conf.py` writes them before Sphinx reads its sources; they are not committed. `python docs/site_pages.py SITE`
says which commands, options and public names a built site lacks. Nothing here needs Sphinx.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import click

import imgtool
from imgtool.cli.main import COMMANDS, program

MARKUP = re.compile(r"([\\`*_{}\[\]<>#$|~])")
CODE = re.compile(r"(?<![\w-])(--?[a-z][a-z-]*|'imgtool [^']*')")
# Help names a default at its end: "Taps to take.  [4]", "Of a codebook [default: the one that ships]."
DEFAULT = re.compile(r"\s*\[(?:([^\[\]]+)\]|default: ([^\[\]]+)\]\.)$")
OWN_HELP = "--help"


def plain(text: str) -> str:
    """Return text so that Markdown shows it as it stands, options and command lines as code."""
    parts = CODE.split(text)
    return "".join(f"`{part.strip(chr(39))}`" if index % 2 else _escape(part) for index, part in enumerate(parts))


def _escape(text: str) -> str:
    return MARKUP.sub(r"\\\1", text)


def walk(name: str, command: click.Command) -> Iterator[tuple[str, click.Command]]:
    """Yield a command's full name and itself, then those of its subcommands."""
    yield name, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for each in command.list_commands(context):
            found = command.get_command(context, each)
            assert found is not None
            yield from walk(f"{name} {each}", found)


def commands() -> Iterator[tuple[str, click.Command]]:
    """Yield the full names of all commands and subcommands, and themselves."""
    context = click.Context(program)
    for name in COMMANDS:
        command = program.get_command(context, name)
        assert command is not None
        yield from walk(f"imgtool {name}", command)


def paragraphs(text: str | None) -> Iterator[tuple[str, bool]]:
    """Yield the paragraphs of a command's help or epilog, and whether each is shown line by line."""
    for part in re.split(r"\n\s*\n", inspect.cleandoc(text or "")):
        literal = "\b" in part
        lines = [line for line in part.replace("\b", "").splitlines() if line.strip()]
        if lines:
            yield ("\n".join(lines), literal)


def examples(command: click.Command) -> list[str]:
    """Return the command lines that a command's help shows."""
    lines = [line.strip() for text, literal in paragraphs(command.help) if literal for line in text.splitlines()]
    return [line for line in lines if re.search(r"(^|\| )imgtool ", line)]


def options(command: click.Command) -> list[click.Option]:
    """Return a command's options, without that for help."""
    found = [each for each in command.params if isinstance(each, click.Option) and not each.hidden]
    return [each for each in found if OWN_HELP not in each.opts]


def spellings(option: click.Option) -> list[str]:
    """Return how an option is spelled, its opposite too."""
    return [*option.opts, *option.secondary_opts]


def command_page(name: str) -> str:
    """Return the page of one command and its subcommands."""
    context = click.Context(program)
    command = program.get_command(context, name)
    assert command is not None
    parts = [
        _section(each, found, 1 if index == 0 else 2)
        for index, (each, found) in enumerate(walk(f"imgtool {name}", command))
    ]
    return "\n\n".join(parts) + "\n"


def _section(name: str, command: click.Command, level: int) -> str:
    """Return a command's summary, usage, examples, explanation, options, and what stands at its help's end."""
    summary, *rest = map(_paragraph, paragraphs(command.help))
    usage = " ".join([name, *command.collect_usage_pieces(click.Context(command, info_name=name))])
    parts = [f"{'#' * level} {name}", summary, f"```text\n{usage}\n```", *rest]
    if found := options(command):
        parts += [f"{'#' * (level + 1)} Options", f"```{{program}} {name}\n```", *map(_option, found)]
    return "\n\n".join([*parts, *map(_paragraph, paragraphs(command.epilog))])


def _paragraph(paragraph: tuple[str, bool]) -> str:
    """Return a paragraph in Markdown: text, command lines, or lines that stand as they are."""
    text, literal = paragraph
    if not literal:
        return plain(text)
    if "imgtool " not in text:
        return f"```text\n{text}\n```"
    return "```console\n" + "\n".join(f"$ {line.strip()}" for line in text.splitlines()) + "\n```"


def _metavar(option: click.Option) -> str:
    """Return what stands for an option's value."""
    if isinstance(option.type, (click.IntRange, click.FloatRange)):
        return option.metavar or "N"
    return option.metavar or option.make_metavar(click.Context(program))


def _range(kind: click.IntRange | click.FloatRange) -> str:
    """Return a range in words."""
    low, high = kind.min, kind.max
    if low is not None and high is not None:
        return f"From {low} to {high}."
    if low is None:
        return f"At most {high}." if not kind.max_open else f"Below {high}."
    return f"At least {low}." if not kind.min_open else f"Above {low}."


def _option(option: click.Option) -> str:
    """Return an option as Sphinx describes one: how it is spelled, what it takes, its default."""
    metavar = "" if option.is_flag else f" {_metavar(option)}"
    heading = ", ".join(f"{each}{metavar}" for each in spellings(option))
    text, default = option.help or "", None
    if found := DEFAULT.search(text):
        text, default = text[: found.start()].rstrip(".") + ".", found[1] or found[2]
    lines = [plain(text)]
    kind = option.type
    if isinstance(kind, click.Choice) and not all(str(each) in text for each in kind.choices):
        lines.append(f"One of {', '.join(f'`{each}`' for each in kind.choices)}.")
    if isinstance(kind, (click.IntRange, click.FloatRange)):
        lines.append(_range(kind))
    if default is None and option.secondary_opts:
        default = (option.opts if option.default else option.secondary_opts)[-1]
    if default is None and not option.is_flag and isinstance(option.default, (int, float, str)):
        default = str(option.default)
    if default:
        lines.append(f"Default: {plain(default)}.")
    if option.multiple and "may be repeated" not in " ".join(lines).lower():
        lines.append("May be repeated.")
    return f"```{{option}} {heading}\n{' '.join(lines)}\n```"


def command_index() -> str:
    """Return the page that lists the commands."""
    rows = [f"| [{name}]({name}.md) | {plain(text)} |" for name, text in COMMANDS.items()]
    table = "\n".join(["| command | what it does |", "| --- | --- |", *rows])
    tree = "\n".join(["```{toctree}", ":hidden:", "", *COMMANDS, "```"])
    text = "Each page is made from the command itself, as `imgtool COMMAND --help` is."
    return f"# Commands\n\n{text}\n\n{table}\n\n{tree}\n"


def public_names() -> list[str]:
    """Return the names that `import imgtool` offers."""
    return [name for name in getattr(imgtool, "__all__", ()) if not name.startswith("_")]


def reference_page() -> str:
    """Return the reference of the public functions, classes and errors."""
    kinds: dict[str, list[str]] = {"Functions": [], "Classes": [], "Errors": [], "Values": []}
    for name in public_names():
        kinds[_kind(getattr(imgtool, name))].append(name)
    parts = ["# Python reference", "What `import imgtool` offers. Each name is imported when it is first asked for."]
    for kind, names in kinds.items():
        if names:
            directives = "\n\n".join(_directive(kind, name) for name in names)
            parts.append(f"## {kind}\n\n```{{eval-rst}}\n{directives}\n```")
    return "\n\n".join(parts) + "\n"


def _kind(value: object) -> str:
    if inspect.isclass(value):
        return "Errors" if issubclass(value, BaseException) else "Classes"
    return "Functions" if callable(value) else "Values"


def _directive(kind: str, name: str) -> str:
    if kind == "Classes":
        return f".. autoclass:: imgtool.{name}\n   :members:"
    return {"Functions": ".. autofunction::", "Errors": ".. autoexception::", "Values": ".. autodata::"}[
        kind
    ] + f" imgtool.{name}"


def pages() -> dict[str, str]:
    """Return all generated pages, by their path below docs/."""
    found = {f"commands/{name}.md": command_page(name) for name in COMMANDS}
    return {"commands/index.md": command_index(), **found, "reference/index.md": reference_page()}


def write(folder: Path) -> None:
    """Write the generated pages below a folder; those that are the same are left as they are."""
    for name, text in pages().items():
        path = folder / name
        path.parent.mkdir(exist_ok=True)
        if not path.exists() or path.read_text("utf-8") != text:
            path.write_text(text, "utf-8")


def missing_from(site: Path) -> list[str]:
    """Return the commands, options and public names that the HTML of a built site lacks."""
    lacking = []
    for name, command in commands():
        page = (site / "commands" / f"{name.split()[1]}.html").read_text("utf-8")
        wanted = {
            name: f"{name}<",
            **{f"{name} {each}": f">{each}<" for option in options(command) for each in spellings(option)},
        }
        lacking += [each for each, text in wanted.items() if text not in page]
    reference = (site / "reference" / "index.html").read_text("utf-8")
    return lacking + [name for name in public_names() if f'id="imgtool.{name}"' not in reference]


if __name__ == "__main__":
    lacking = missing_from(Path(sys.argv[1]))
    print(
        "\n".join(f"not in the site: {each}" for each in lacking)
        or "every command, option and public name is in the site"
    )
    sys.exit(bool(lacking))
