"""What all commands have in common: the form of their help, options from the environment, hints at the nearest name."""

from __future__ import annotations

import copy
import inspect
import os
import re
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import click
from click.core import ParameterSource

from imgtool.names import nearest

# Heading of the help -> the options under it; what is in none of them says what a command computes.
HEADINGS = {
    "Input": {
        "--files-from", "-0", "--page", "--bands", "--background", "--nodata", "--max-pixels", "--allow-truncated",
        "--resize", "--query", "--skip-bad",
    },
    "Output": {
        "--output", "--to", "--force", "--skip-existing", "--quality", "--compression", "--strip", "--json", "--format",
        "--visualize", "--explain", "--filters", "--report", "--resume", "--curves", "--preview", "--sort", "--cam",
        "--maps", "--work", "--keep", "--by-class", "--confusion", "--predictions", "--mistakes",
    },
    "More": {
        "--jobs", "--device", "--backend", "--precision", "--threads", "--cluster", "--isolate", "--quiet", "--verbose",
        "-h", "--help",
    },
}  # fmt: skip
COMPUTES = "What it computes"
FIRST_SCREEN_LINES = 23  # of a terminal of 24, one being the prompt
NOT_FROM_ENVIRONMENT = {"version", "help", "force", "output", "resume"}
_NAMES_A_FILE = re.compile("FILE|FOLDER|DIR|OUT")  # of what helps show as an option's value

Function = Callable[..., Any]


def command(name: str, *, examples: str, epilog: str = "") -> Callable[[Function], click.Command]:
    """Make a click command whose help shows examples first, then what the function's docstring says.

    epilog: lines shown as they are at the end.
    """

    def decorate(function: Function) -> click.Command:
        summary, _, rest = inspect.cleandoc(function.__doc__ or "").partition("\n\n")
        shown = "\b\n" + "\n".join(f"  {line}" for line in inspect.cleandoc(examples).splitlines())
        text = f"{summary}\n\n{shown}\n\n{rest}".strip()
        end = f"\b\n{epilog}" if epilog else None
        return click.command(name, Command, help=text, short_help=summary.replace("\n", " "), epilog=end)(function)

    return decorate


class Command(click.Command):
    """A command whose options have headings, and can be set in the environment by their own spelling.

    It refuses an empty text for an option: a variable that is not set is no wish for the default.
    """

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        settings["context_settings"] = {"help_option_names": ["--help"]}
        super().__init__(*arguments, **settings)
        self.params.append(_first_screen_option())

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Return what is left of the arguments."""
        for each in self.params:
            if isinstance(each, click.Option):
                _take_from_environment(each, ctx.command_path)
        try:
            rest = super().parse_args(ctx, list(args))
        except click.BadParameter as error:
            if hints := "".join(_hints(error)):
                raise click.BadParameter(error.message.rstrip(".") + hints, error.ctx, error.param) from None
            raise
        self._require_files_once(ctx, args)
        for parameter in self.params:
            if ctx.params.get(parameter.name or "") == "" and not ctx.resilient_parsing:
                raise click.BadParameter("is empty", ctx, parameter)
        return rest

    def _require_files_once(self, ctx: click.Context, args: list[str]) -> None:
        """Refuse two files or folders where one is taken: the first would be neither read nor written, untold."""
        order = [] if ctx.resilient_parsing else self.make_parser(ctx).parse_args(list(args))[2]
        for each, count in Counter(order).items():
            if (
                count > 1
                and isinstance(each, click.Option)
                and not each.multiple
                and _NAMES_A_FILE.search(each.metavar or "")
            ):
                raise click.UsageError(f"{spelling(each)} is given {count} times, and takes one value", ctx)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options under their headings; under one heading where there are few."""
        for heading, options in option_groups(self, ctx):
            with formatter.section(heading):
                formatter.write_dl([record for each in options if (record := each.get_help_record(ctx))])


class Group(click.Group):
    """A command that has commands of its own."""

    command_class = Command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; an unknown one is refused with the nearest name."""
        name, known = args[0], self.list_commands(ctx)
        if name not in known and not name.startswith("-"):
            near = nearest(name, known)
            ctx.fail(f"no such command: {name}{f'; did you mean {near}?' if near else ''}")
        return super().resolve_command(ctx, args)


def spelling(option: click.Parameter) -> str:
    """Return the longest spelling of an option, such as --jobs."""
    return max(option.opts, key=len)


def option_groups(command: click.Command, ctx: click.Context) -> list[tuple[str, list[click.Option]]]:
    """Return the options that the help shows, under their headings, in order."""
    headings = {each: heading for heading, options in HEADINGS.items() for each in options}
    groups: dict[str, list[click.Option]] = {COMPUTES: [], **{heading: [] for heading in HEADINGS}}
    for each in command.get_params(ctx):
        if isinstance(each, click.Option) and not each.hidden:
            groups[headings.get(spelling(each), COMPUTES)].append(each)
    return [(heading, options) for heading, options in groups.items() if options]


def _first_screen_option() -> click.Option:
    """Return the option -h, which shows the first screen of the help."""
    text = "Show the first screen of this message."
    return click.Option(["-h"], is_flag=True, is_eager=True, expose_value=False, callback=_show_first_screen, help=text)


def _show_first_screen(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print as much of the help as a screen holds, whole options only, and end."""
    if not wanted or ctx.resilient_parsing:
        return
    lines = ctx.get_help().splitlines()
    if len(lines) > FIRST_SCREEN_LINES:
        end = FIRST_SCREEN_LINES - 1
        while end and lines[end].startswith(" " * 6):  # in the middle of an option's text
            end -= 1
        lines = [*"\n".join(lines[:end]).rstrip().splitlines(), f"... ({ctx.command_path} --help shows the rest)"]
    click.echo("\n".join(lines))
    ctx.exit()


def _take_from_environment(option: click.Option, path: str) -> None:
    """Have an option's default come from the environment: by the command's name first, then for all commands."""
    name = spelling(option).lstrip("-").replace("-", "_")
    if len(name) < 2 or name in NOT_FROM_ENVIRONMENT or option.is_eager:
        return
    option.envvar = [f"{part}_{name}".upper() for part in (path.replace(" ", "_"), "imgtool")]
    if option.multiple:
        option.type = copy.copy(option.type)
        option.type.envvar_list_splitter = os.pathsep  # type: ignore[misc]


def _hints(error: click.BadParameter) -> Iterator[str]:
    """Yield what is added to a refused value: the name that was meant, and the variable that holds it."""
    parameter, ctx = error.param, error.ctx
    if parameter is None or ctx is None:
        return
    refused = re.match(r"'(.*?)' is not one of", error.message)
    if refused and isinstance(parameter.type, click.Choice) and (near := nearest(refused[1], parameter.type.choices)):
        yield f"; did you mean {near}?"
    if ctx.get_parameter_source(parameter.name or "") == ParameterSource.ENVIRONMENT:
        yield f" (from {next(name for name in parameter.envvar or () if os.environ.get(name))})"
