"""A command's help as a manual page, for `man`: roff from the same options, texts and headings as the help."""

from __future__ import annotations

from collections.abc import Iterator

import click

import imgtool
from imgtool.cli.command import option_groups

EXIT_STATUS = (
    "0: all well; 1: an input failed, the others are done; 2: wrong usage, a missing extra or device; 130: interrupted."
)
ENVIRONMENT = (
    "An option is set by its own spelling: IMGTOOL_COMMAND_OPTION for one command, such as IMGTOOL_CLASSIFY_MODEL, or "
    "IMGTOOL_OPTION for all, such as IMGTOOL_JOBS. Values of an option that may be repeated are separated as in PATH."
)


def manual_page(ctx: click.Context) -> str:
    """Return the manual page of the command that a context is for, in roff."""
    return "\n".join(_lines(ctx)) + "\n"


def _lines(ctx: click.Context) -> Iterator[str]:
    """Yield the lines of the page."""
    command, name = ctx.command, ctx.command_path
    title, (summary, examples, rest) = name.replace(" ", "-"), _parts(command)
    yield f'.TH "{title.upper()}" 1 "" "imgtool {imgtool.__version__}"'
    yield from (".SH NAME", rf"{_escape(title)} \- {_escape(summary.rstrip('.'))}")
    usage = " ".join(command.collect_usage_pieces(ctx))
    yield from (".SH SYNOPSIS", rf"\fB{_escape(name)}\fR {_escape(usage)}")
    if examples:
        yield from (".SH EXAMPLES", ".nf", *map(_escape, examples), ".fi")
    if rest:
        yield ".SH DESCRIPTION"
        for each in rest:
            yield from (".PP", _escape(each))
    if isinstance(command, click.Group):
        yield ".SH COMMANDS"
        for each in command.list_commands(ctx):
            found = command.get_command(ctx, each)
            yield from _entry(f"{name} {each}", found.get_short_help_str(300) if found else "")
    for heading, options in option_groups(command, ctx):
        yield f'.SH "{heading.upper()}"'
        for option in options:
            spelled, text = option.get_help_record(ctx) or ("", "")
            yield from _entry(spelled, text)
    if command.epilog and "\b" in command.epilog:
        table = command.epilog.partition("\b\n")[2].splitlines()
        yield from (".SH BORDERS", ".nf", *map(_escape, table), ".fi")
    yield from (".SH ENVIRONMENT", _escape(ENVIRONMENT), ".SH EXIT STATUS", _escape(EXIT_STATUS))


def _parts(command: click.Command) -> tuple[str, list[str], list[str]]:
    """Return the first line of a command's help, its examples, and the rest."""
    paragraphs = (command.help or "").split("\n\n")
    examples = [line.strip() for each in paragraphs if each.startswith("\b") for line in each.splitlines()[1:]]
    texts = [" ".join(each.split()) for each in paragraphs if not each.startswith("\b")]
    return texts[0], examples, texts[1:]


def _entry(term: str, text: str) -> Iterator[str]:
    """Yield a term with its text."""
    yield from (".TP", rf"\fB{_escape(term)}\fR", _escape(text))


def _escape(text: str) -> str:
    """Return text in which nothing is a request or an escape of roff."""
    text = text.replace("\\", r"\e").replace("-", r"\-").replace("'", r"\(aq")
    return rf"\&{text}" if text.startswith(".") else text
