"""`imgtool completion`."""

from __future__ import annotations

import os

import click
from click.shell_completion import get_completion_class

from imgtool.cli import options
from imgtool.cli.tables import emit
from imgtool.errors import ParameterError

SHELLS = ("bash", "zsh", "fish")
EXAMPLES = """
eval "$(imgtool completion bash)"
imgtool completion fish > imgtool.fish
"""


@options.command("completion", examples=EXAMPLES)
@click.argument("shell", type=click.Choice(SHELLS), required=False)
def command(shell: str | None) -> None:
    """Print a shell's completion script.

    SHELL is bash, zsh or fish; default: the one that $SHELL names. The first example is a line for
    ~/.bashrc.
    """
    shell = shell or current_shell()
    found = get_completion_class(shell) if shell else None
    if found is None:
        raise ParameterError(f"name a shell: {', '.join(SHELLS)}")
    emit(found(click.Command("imgtool"), {}, "imgtool", "_IMGTOOL_COMPLETE").source() + "\n")


def current_shell() -> str | None:
    """Return the shell that the environment names, None for one without completion."""
    name = os.path.basename(os.environ.get("SHELL", ""))
    return name if name in SHELLS else None
