"""The `imgtool` program: commands are imported late, errors become one line and an exit status.

Exit status: 0 success; 1 an input failed; 2 wrong usage, a missing extra or device; 130 interrupted. A closed
pipe ends the process as SIGPIPE does.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import importlib
import os
import signal
import sys
import threading
from collections.abc import Sequence
from typing import NoReturn

import click

import imgtool
from imgtool.cli import memory
from imgtool.cli.command import Group
from imgtool.cli.messages import ADVICE, complain, explain, one_line
from imgtool.errors import ImgtoolError

# Name -> what `imgtool --help` says of it; the command itself is `command` in imgtool/cli/commands/NAME.py. The
# lines stand here so that help imports no command; a test holds that each equals its command's own first line.
COMMANDS = {
    "filter": "Convolve images with a kernel.",
    "gradient": "Compute the gradient of images: x, y, magnitude, phase.",
    "convert": "Change color space, depth, size or format.",
    "info": "Print size, depth and statistics of images.",
    "hog": "Describe images by histograms of oriented gradients.",
    "gist": "Describe images by their GIST.",
    "sift": "Describe images by dense SIFT.",
    "fisher": "Describe images by Fisher vectors or other encodings of dense SIFT.",
    "embed": "Describe images by a layer of a network.",
    "features": "Fit codebooks; search, merge and convert feature files.",
    "classify": "Label images with networks and classic models.",
    "train": "Train a model on a data set.",
    "evaluate": "Measure trained models on a labeled data set.",
    "compare": "Split, train and compare models, with statistics.",
    "models": "List, show, check and export models.",
    "explain": "Show a step of a network with its numbers.",
    "doctor": "Report versions, extras and devices on this machine.",
    "completion": "Print a shell's completion script.",
    "help": "Show the help of a command.",
}

EXAMPLES = """\b
  imgtool filter --kernel sobel-x photo.jpg
  imgtool gradient --show picture photo.jpg -o edges.png
  imgtool hog photo.jpg | jq .shape
  imgtool classify photos/
  imgtool compare photos/ --model sift-fv-svm --model alexnet
"""


class LazyGroup(Group):
    """A group that imports a command's module only when that command is asked for."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the order of the processing steps, not alphabetically."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command's module and return its `command`."""
        if cmd_name not in COMMANDS:
            return None
        module = importlib.import_module(f"imgtool.cli.commands.{cmd_name}")
        command: click.Command = module.command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands from the table above."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


def show_version(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print the version and end."""
    if wanted:
        click.echo(f"imgtool {imgtool.__version__}")
        ctx.exit()


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80},
    epilog="Each command: imgtool help COMMAND. Shell completion: imgtool completion --help",
    help="From a photograph to a decision: filter, describe, classify and compare images.\n\n" + EXAMPLES,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=show_version,
    help="Print the version.",
)
def program() -> None:
    """Hold the commands; it does nothing itself."""


def execute(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status, with at most one line about what went wrong."""
    try:
        with program.make_context("imgtool", list(arguments)) as context:
            context.meta["arguments"] = list(arguments)
            program.invoke(context)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message())
        return 2
    except click.exceptions.Exit as stop:
        return stop.exit_code
    except click.ClickException as error:
        context_of = getattr(error, "ctx", None)
        where = context_of.command_path if context_of else "imgtool"
        text = one_line(error.format_message())  # click lists names line by line
        complain(f"{where.removeprefix('imgtool').strip()}: {text} (see {where} --help)".lstrip(": "))
        return 2
    except ImgtoolError as error:
        complain(explain(error))
        return error.exit_status
    return 0


def run() -> NoReturn:
    """Entry point of the `imgtool` program."""
    # One thread of each library starts faster and does not fight with --jobs; who wants more sets the variables.
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    os.environ.setdefault("OPENCV_FOR_THREADS_NUM", "1")
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    memory.watch(tidy_up)
    try:
        if instruction := os.environ.get("_IMGTOOL_COMPLETE"):
            leave(complete(instruction))
        leave(execute(sys.argv[1:]))
    except BrokenPipeError:
        die_of_closed_pipe()
    except Exception as error:
        end_of(error)


def end_of(error: Exception) -> NoReturn:
    """Say in one line why nothing can go on, and end."""
    if memory.is_short(error):
        memory.end(tidy_up)
    if isinstance(error, OSError):
        closed = error.errno == errno.EBADF
        reason = "is closed" if closed else (error.strerror or str(error)).lower()
        complain(f"{error.filename or 'standard output'}: {reason}")
        abandon(1)
    if os.environ.get("IMGTOOL_TRACEBACK"):  # a defect of imgtool itself: still one line, unless asked for the rest
        raise error
    complain(f"internal error: {type(error).__name__}: {one_line(str(error))} (IMGTOOL_TRACEBACK=1 shows where)")
    leave(1)


def complete(instruction: str) -> int:
    """Print what a shell's completion asks for; nothing where the line before the cursor is wrong."""
    from click.shell_completion import shell_complete

    try:
        return shell_complete(program, {}, "imgtool", "_IMGTOOL_COMPLETE", instruction)
    except click.ClickException:
        return 0


def end_on_interrupt() -> None:
    """Have Ctrl-C end the process at once, with status 130.

    A thread waits for it. Python's own KeyboardInterrupt comes to the main thread only, after long work in C, and an
    import or a decoder in which it comes may pass it on as another error.
    """
    pipe, wakeup = os.pipe()
    if hasattr(os, "set_blocking"):
        os.set_blocking(wakeup, False)
    signal.set_wakeup_fd(wakeup)

    def wait() -> None:
        os.read(pipe, 1)
        say_what_is_left()
        abandon(130)

    with contextlib.suppress(RuntimeError):  # where memory is too short for a thread
        threading.Thread(target=wait, daemon=True).start()
    signal.signal(signal.SIGINT, lambda *_: None)


def say_what_is_left() -> None:
    """Take the progress bar off the terminal, and say what can be gone on with: a feature file, a training."""
    if progress := sys.modules.get("imgtool.cli.progress"):
        progress.clear()
    lines = list[str]()
    if files := sys.modules.get("imgtool.datasets.feature_file.resumable"):
        lines += [f"{line}; {ADVICE['resume']}" for line in files.interruption_lines()]
    if interruptions := sys.modules.get("imgtool.cli.interruptions"):
        lines += interruptions.interruption_lines()
    stream = sys.stderr
    with contextlib.suppress(OSError):
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for other threads, which write on until all ends
    for line in lines:
        complain(line, stream)


def leave(status: int) -> NoReturn:
    """End with a status, standard output flushed and what libraries want done at the end done.

    The interpreter's own end, which takes apart each module, is left out: it takes as long as a small image.
    """
    try:
        sys.stdout.flush()
    except OSError:
        if not status:  # else what could not be written was told, and still waits to be
            raise
    atexit._run_exitfuncs()
    abandon(status)


def abandon(status: int) -> NoReturn:
    """End at once, waiting for no thread and flushing nothing; remove what this process left half written."""
    tidy_up()
    os._exit(status)


def tidy_up() -> None:
    """Clear the progress bar of this process and remove its temporary files, if it came to have any.

    Other threads may still be at work, and miss these files; nobody is to hear of it.
    """
    if progress := sys.modules.get("imgtool.cli.progress"):
        progress.clear()
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - the process is about to end
    if temporaries := sys.modules.get("imgtool.batch.temporaries"):
        temporaries.remove_own_temporaries()


def die_of_closed_pipe() -> NoReturn:
    """End as a process does that writes into a closed pipe, so that shells see the usual status."""
    tidy_up()
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGPIPE)
    os._exit(1)
