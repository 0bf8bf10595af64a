"""The kernel or filter that `imgtool filter` was asked for; the list of them, and a kernel as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli.options import LateChoice, bundle
from imgtool.cli.tables import emit
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.filters.kernels import Entry


@dataclass(frozen=True)
class Chosen:
    """A kernel's taps, or, where taps is None, the parameters of a neighborhood filter; label: its name in records."""

    label: str
    taps: np.ndarray | None
    parameters: dict[str, Any]


def choose(
    name: str | None,
    kernel_file: str | None,
    matrix: str | None,
    size: int | None,
    sigma: float | None,
    truncate: float | None,
    sigma_color: float | None,
    wavelength: float | None,
    angle: float | None,
    aspect: float | None,
    phase: float | None,
    normalize: str,
    print_kernel: bool,
) -> Chosen:
    """Return the one that was asked for, by name, by file or inline. With --print-kernel print it and end."""
    from imgtool.filters.kernel_files import matrix_text
    from imgtool.filters.kernels import normalize_taps

    values = {"size": size, "sigma": sigma, "truncate": truncate, "sigma_color": sigma_color,
              "wavelength": wavelength, "angle": angle, "aspect": aspect, "phase": phase}  # fmt: skip
    given = {key: value for key, value in values.items() if value is not None}
    chosen = _named(name, given) if name is not None else None
    if sum(each is not None for each in (chosen, kernel_file, matrix)) != 1:
        raise ParameterError("name one kernel: --kernel NAME, --kernel-file FILE or --matrix ROWS (--list shows names)")
    chosen = chosen or _written(kernel_file, matrix, given)
    if chosen.taps is None:
        if print_kernel or normalize != "none":
            wrong = "--print-kernel" if print_kernel else "--normalize"
            raise ParameterError(f"{wrong} does not go with --kernel {name}, which is no convolution")
        return chosen
    taps = normalize_taps(chosen.taps, normalize)
    if print_kernel:
        emit(matrix_text(taps))
        raise click.exceptions.Exit(0)
    return Chosen(chosen.label, taps, given)


def _named(name: str, given: dict[str, Any]) -> Chosen:
    """Return what a name stands for."""
    from imgtool.filters.kernels import KERNELS, kernel

    if name in KERNELS:
        return Chosen(name, kernel(name, **given), given)
    from imgtool.filters.neighborhood import NEIGHBORHOODS

    NEIGHBORHOODS[name].check(name, given)
    return Chosen(name, None, given)


def _written(kernel_file: str | None, matrix: str | None, given: dict[str, Any]) -> Chosen:
    """Return the kernel in a file or in the command line."""
    from imgtool.filters.kernel_files import load_kernel, parse_matrix
    from imgtool.filters.kernels import option

    if given:
        raise ParameterError(f"{option(min(given))} goes with --kernel: a matrix has its own size")
    return Chosen("kernel", load_kernel(kernel_file) if kernel_file is not None else parse_matrix(matrix or ""), {})


def all_entries() -> dict[str, Entry]:
    """Return kernels and neighborhood filters by name."""
    from imgtool.filters.kernels import KERNELS
    from imgtool.filters.neighborhood import NEIGHBORHOODS

    return {**KERNELS, **NEIGHBORHOODS}


def _names() -> Iterable[str]:
    """Return the names that --kernel knows."""
    return all_entries()


def print_list(ctx: click.Context, _parameter: click.Parameter, wanted: bool) -> None:
    """Print everything that --kernel knows, and end."""
    if wanted:
        import shutil

        width = min(max(shutil.get_terminal_size().columns, 80), 110)
        blocks = ("\n".join(_block(name, entry, width)) for name, entry in all_entries().items())
        head = _columns("kernel", "matrix", "what it is, its parameters, its source").rstrip()
        emit("\n\n".join([head, *blocks]) + "\n")
        ctx.exit()


def _columns(name: str, matrix: str, text: str) -> str:
    return f"{name:12}{matrix:11}{text}".rstrip()


def _block(name: str, entry: Entry, width: int) -> Iterator[str]:
    """Yield the lines about one kernel: its matrix beside what there is to say of it."""
    import textwrap

    from imgtool.filters.kernel_files import matrix_text
    from imgtool.filters.kernels import option

    parameters = ", ".join(f"{option(key)}={value:g}" for key, value in entry.defaults.items())
    said = [entry.help, *entry.formula.splitlines(), parameters, entry.source]
    text = [line for each in said for line in textwrap.wrap(each, width - 23, break_on_hyphens=False)]
    matrix = [] if entry.defaults else matrix_text(entry.make()).splitlines()
    for row in range(max(len(text), len(matrix))):
        yield _columns("" if row else name, *(lines[row] if row < len(lines) else "" for lines in (matrix, text)))


# What each option says of the kernels that take it is held to be true by a test.
kernel = bundle(
    "chosen",
    choose,
    click.option("--kernel", "name", type=LateChoice("kernel", _names), help="By name; --list shows them."),
    click.option("--kernel-file", metavar="FILE", help="Numbers in a txt, csv, npy or json file."),
    click.option("--matrix", metavar="ROWS", help='Inline: "1 0 -1; 2 0 -2; 1 0 -1".'),
    click.option(
        "--size", type=click.IntRange(1), metavar="N", help="Pixels: box, motion, median, minimum, maximum."
    ),
    click.option(
        "--sigma", type=float, metavar="PIXELS", help="Gaussian(-x, -y), log, dog, gabor, bilateral."
    ),
    click.option("--truncate", type=float, metavar="N", help="How many sigmas these reach.  [4]"),
    click.option("--sigma-color", type=float, metavar="SHARE", help="Bilateral, as a share of white.  [0.1]"),
    click.option("--wavelength", type=float, metavar="PIXELS", help="Gabor.  [4]"),
    click.option("--angle", type=float, metavar="DEGREES", help="Gabor, motion, clockwise.  [0]"),
    click.option("--aspect", type=float, metavar="N", help="Gabor: narrower along its stripes.  [1]"),
    click.option("--phase", type=float, metavar="DEGREES", help="Gabor: 0 even, 90 odd.  [0]"),
    click.option("--normalize", type=click.Choice(["none", "sum", "abs"]), default="none", metavar="NAME",
                 help="Divide the taps: none, sum or abs.  [none]"),
    click.option("--print-kernel", is_flag=True, help="Print it as --kernel-file reads it, and end."),
    click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=print_list,
                 help="Show all kernels and filters, and end."),
)  # fmt: skip
