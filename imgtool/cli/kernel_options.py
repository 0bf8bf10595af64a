"""The kernel or filter that `imgtool filter` was asked for; the list of them, and a kernel as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli.messages import complain, option
from imgtool.cli.options import FloatRange, LateChoice, bundle
from imgtool.cli.tables import emit
from imgtool.errors import ParameterError

if TYPE_CHECKING:
    import numpy as np

    from imgtool.filters.entry import Entry
    from imgtool.filters.kernel_text import Matrix


class Pair(click.ParamType):  # type: ignore[type-arg]
    """One number, or two: along x and y, as they are written, but rows first as the library takes them."""

    def __init__(self, name: str, kind: type, separator: str) -> None:
        self.name, self._kind, self._separator = name, kind, separator

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the number, or (that of rows, that of columns)."""
        if not isinstance(value, str):
            return value
        try:
            numbers = [self._kind(part) for part in value.lower().split(self._separator)]
        except ValueError:
            numbers = []
        if not 1 <= len(numbers) <= 2:
            self.fail(f"{value!r} is neither a number nor two such as 3{self._separator}5", param, ctx)
        return numbers[0] if len(numbers) == 1 else (numbers[1], numbers[0])


@dataclass(frozen=True)
class Chosen:
    """A kernel or neighborhood filter, by its name with parameters, or taps; several by a list of names.

    said: what there is to say of how taps were read; file: where they were read, if from one.
    """

    kernel: str | list[str] | np.ndarray
    parameters: dict[str, Any]
    normalize: str
    said: str = ""
    file: str | None = None


def choose(
    names: tuple[str, ...],
    kernel_file: str | None,
    matrix: str | None,
    size: int | tuple[int, int] | None,
    sigma: float | tuple[float, float] | None,
    truncate: float | None,
    sigma_color: float | None,
    wavelength: float | None,
    angle: float | None,
    aspect: float | None,
    phase: float | None,
    percentile: float | None,
    rank: int | None,
    normalize: str,
    print_kernel: bool,
) -> Chosen:
    """Return what was asked for, by name, by file or inline. With --print-kernel print it and end."""
    values = {"size": size, "sigma": sigma, "truncate": truncate, "sigma_color": sigma_color,
              "wavelength": wavelength, "angle": angle, "aspect": aspect, "phase": phase,
              "percentile": percentile, "rank": rank}  # fmt: skip
    given = {key: value for key, value in values.items() if value is not None}
    if sum(each is not None for each in (names or None, kernel_file, matrix)) != 1:
        raise ParameterError("name one kernel: --kernel NAME, --kernel-file FILE or --matrix ROWS (--list shows names)")
    if not names and given:
        raise ParameterError(f"{option(min(given))} goes with --kernel: a matrix has its own size")
    if names:
        chosen = Chosen(names[0] if len(names) == 1 else list(names), given, normalize)
    else:
        taps, said = _written(kernel_file, matrix)
        chosen = Chosen(taps, given, normalize, said, kernel_file)
    if print_kernel:
        _print(chosen)
        raise click.exceptions.Exit(0)
    return chosen


def _written(kernel_file: str | None, matrix: str | None) -> Matrix:
    """Return the kernel in a file or in the command line."""
    from imgtool.filters.kernel_files import load_matrix
    from imgtool.filters.kernel_text import read_matrix

    if kernel_file is None:
        try:
            return read_matrix(matrix or "", inline=True)
        except ParameterError as error:
            raise error.within("--matrix") from None
    loaded = load_matrix(kernel_file)
    advice = "; libvips does not flip masks, as --correlate does not"
    return loaded._replace(said=f"{kernel_file}: {loaded.said}{advice}") if loaded.said else loaded


def _print(chosen: Chosen) -> None:
    """Print a kernel's taps."""
    from imgtool.filters.kernel_files import matrix_text
    from imgtool.pipelines.kernel_filter import taps_of

    if isinstance(chosen.kernel, list):
        raise ParameterError(f"--print-kernel takes one kernel, got {len(chosen.kernel)}")
    taps = taps_of(chosen.kernel, chosen.normalize, chosen.parameters)
    if chosen.said:
        complain(chosen.said)
    if taps is None:
        raise ParameterError(f"--print-kernel does not go with --kernel {chosen.kernel}, which is no convolution")
    emit(matrix_text(taps))


def all_entries() -> dict[str, Entry]:
    """Return kernels and neighborhood filters by name."""
    from imgtool.filters.kernels import KERNELS
    from imgtool.filters.windows import NEIGHBORHOODS

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
    from imgtool.filters.kernels import KERNELS

    parameters = ", ".join(f"{option(key)}={value:g}" for key, value in entry.defaults.items())
    said = [entry.help, *entry.formula.splitlines(), parameters, entry.source]
    text = [line for each in said for line in textwrap.wrap(each, width - 23, break_on_hyphens=False)]
    fixed = name in KERNELS and not entry.formula
    matrix = matrix_text(entry.make()).splitlines() if fixed else []
    for row in range(max(len(text), len(matrix))):
        yield _columns("" if row else name, *(lines[row] if row < len(lines) else "" for lines in (matrix, text)))


# What each option says of the kernels that take it is held to be true by a test.
kernel = bundle(
    "chosen",
    choose,
    click.option("--kernel", "names", multiple=True, type=LateChoice("kernel", _names),
                 help="Kernel name; --list shows all. Several: a sheet of their results."),
    click.option("--kernel-file", metavar="FILE", help="Kernel from a txt, csv, npy or json file."),
    click.option("--matrix", metavar="ROWS", help='Kernel inline: "1 0 -1; 2 0 -2; 1 0 -1".'),
    click.option("--size", type=Pair("size", int, "x"), metavar="N|WxH",
                 help="Pixels: box, motion, median, minimum, maximum, percentile, rank, sobel, laplacian."),
    click.option("--sigma", type=Pair("sigma", float, ","), metavar="S|X,Y",
                 help="Pixels: gaussian and its derivatives, log, dog, gabor, bilateral."),
    click.option("--truncate", type=float, metavar="N", help="Cut these off at N sigmas.  [4]"),
    click.option("--sigma-color", type=float, metavar="SHARE", help="Bilateral: color sigma, a share of white.  [0.1]"),
    click.option("--wavelength", type=float, metavar="PIXELS", help="Gabor: wavelength.  [4]"),
    click.option("--angle", type=float, metavar="DEGREES", help="Gabor, motion: angle, clockwise.  [0]"),
    click.option("--aspect", type=float, metavar="N", help="Gabor: aspect ratio; >1: shorter stripes.  [1]"),
    click.option("--phase", type=float, metavar="DEGREES", help="Gabor: phase; 0 even, 90 odd.  [0]"),
    click.option("--percentile", type=FloatRange(0, 100), metavar="P", help="Percentile: which, 0 to 100.  [50]"),
    click.option("--rank", type=int, metavar="N", help="Rank: 0 the smallest, -1 the largest value.  [0]"),
    click.option("--normalize", type=click.Choice(["none", "sum", "abs"]), default="none", metavar="NAME",
                 help="Normalize the taps: none, sum or abs.  [none]"),
    click.option("--print-kernel", is_flag=True, help="Print the kernel as --kernel-file reads it, and exit."),
    click.option("--list", is_flag=True, is_eager=True, expose_value=False, callback=print_list,
                 help="List all kernels and filters, and exit."),
)  # fmt: skip
