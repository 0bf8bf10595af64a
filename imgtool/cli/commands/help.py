"""`imgtool help`."""

from __future__ import annotations

import click

from imgtool.cli import options
from imgtool.cli.tables import emit

EXAMPLES = """
imgtool help filter
imgtool help features fit
imgtool help --man filter | man -l -
"""


@options.command("help", examples=EXAMPLES)
@click.argument("names", nargs=-1, metavar="[COMMAND]...")
@click.option("--man", is_flag=True, help="Print a manual page (roff).")
@click.pass_context
def command(ctx: click.Context, names: tuple[str, ...], man: bool) -> None:
    """Show the help of a command.

    Without a command: all commands.
    """
    from imgtool.cli.manual import manual_page

    assert ctx.parent is not None
    found = ctx.parent
    for name in names:
        group = found.command
        if not isinstance(group, click.Group):
            raise click.UsageError(f"{found.command_path} has no commands of its own")
        _, each, _ = group.resolve_command(found, [name])
        assert each is not None
        found = click.Context(each, found, info_name=name, max_content_width=found.max_content_width)
    emit(manual_page(found) if man else found.get_help() + "\n")
