"""Every option that commands share, spelled and explained once.

`images`, `pictures`, `rows` and `training` each stand for a bundle of options and hand the command one object.
"""

from __future__ import annotations

import functools
import glob
import inspect
import math
import os
import sys
from collections.abc import Callable, Iterable
from itertools import chain
from typing import Any

import click
from click.shell_completion import CompletionItem

from imgtool.batch.conflicts import STANDARD_OUTPUT, refuse_inputs
from imgtool.batch.inputs import expand
from imgtool.batch.pool import processors
from imgtool.cli.command import command as command
from imgtool.cli.images import Images, Rows
from imgtool.cli.pictures import Pictures
from imgtool.cli.tables import FORMATS
from imgtool.cli.vectors import Vectors
from imgtool.errors import ParameterError
from imgtool.filters.borders import BORDERS, border_named
from imgtool.names import unknown_name
from imgtool.pipelines.source import MAX_PIXELS, Reading, Source, color_text

Command = Callable[..., Any]
Decorator = Callable[[Command], Command]

PICTURE_FORMATS = ("png", "jpg", "tif", "webp", "bmp", "jp2", "pgm", "ppm", "pam", "pfm", "npy", "csv", "txt")
FORMAT_ALIASES = ("jpeg", "tiff")  # taken, and used as suffixes, but not listed


def bundle(name: str, build: Callable[..., Any], *options: Decorator) -> Decorator:
    """Return a decorator that adds options and hands the command `name=build(**their values)` in their place."""
    keys = list(inspect.signature(build).parameters)

    def decorate(function: Command) -> Command:
        @functools.wraps(function)
        def wrapped(**values: Any) -> Any:
            built = build(**{key: values.pop(key) for key in keys})
            result = function(**values, **{name: built})
            if isinstance(built, Images):
                built.close()
                if built.failed:
                    raise click.exceptions.Exit(1)
            return result

        decorated: Command = wrapped
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


class LateChoice(click.ParamType):  # type: ignore[type-arg]
    """A choice among names that are looked up, with what they import, only when one has to be checked."""

    def __init__(self, name: str, load: Callable[[], Iterable[str]]) -> None:
        self.name = name
        self._load = load

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return the value if it is one of the names."""
        names = list(self._load())
        if value not in names:
            self.fail(str(unknown_name(self.name, value, names)), param, ctx)
        return value

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer the names that begin so."""
        return [CompletionItem(name) for name in self._load() if name.startswith(incomplete)]


class FloatRange(click.FloatRange):
    """Numbers of a range, in which NaN never is."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Return a number; click compares it with the ends only, which NaN passes."""
        number: float = super().convert(value, param, ctx)
        if math.isnan(number):
            self.fail(f"{value} is not a number", param, ctx)
        return number


class Numbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers separated by commas, as many as asked for or any number of them."""

    name = "numbers"

    def __init__(self, count: int | None = None, least: int = 0, most: int = 2**31 - 1) -> None:
        self._count, self._least, self._most = count, least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[int, ...]:
        """Return the numbers."""
        if isinstance(value, tuple):
            return value
        try:
            numbers = tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of whole numbers such as 4,6,8", param, ctx)
        if self._count is not None and len(numbers) != self._count:
            self.fail(f"{value!r} must be {self._count} numbers", param, ctx)
        if min(numbers) < self._least:
            self.fail(f"{value!r} holds a number below {self._least}", param, ctx)
        if max(numbers) > self._most:
            self.fail(f"{value!r} holds a number above {self._most}", param, ctx)
        return numbers


def bins(default: str | None, shown: str) -> Decorator:
    """Return the option --bin of commands that take dense SIFT."""
    text = f"Spatial bin size in pixels; several: 4,6,8.  [{shown}]"
    return click.option("--bin", "bins", type=Numbers(least=1, most=10_000), default=default, help=text)


def _build_images(
    paths: tuple[str, ...],
    files_from: str | None,
    null: bool,
    max_pixels: int,
    allow_truncated: bool,
    page: int | None,
    bands: tuple[int, ...] | None,
    isolate: bool,
    background: str | None,
    jobs: int | None,
    quiet: bool,
    verbose: bool,
) -> Images:
    """Find the inputs and remember how to go through them."""
    found = expand(paths, files_from=files_from, null=null, stdin_is_terminal=sys.stdin.isatty())
    isolated = None
    if isolate:
        from imgtool.batch.isolated import IsolatedReader

        isolated = IsolatedReader()
    reading = Reading(max_pixels, allow_truncated, color_text(background), page=page, bands=bands)
    source = Source(found, reading, isolated)
    source.also_read += (files_from,) if files_from else ()
    refuse_inputs([STANDARD_OUTPUT], chain((each.path for each in found), source.also_read))
    images = Images(source, jobs or processors(), quiet, verbose, asked_jobs=jobs)
    images.tally.add(found.remarks)
    return images


def completer(load: Callable[[], Iterable[str]]) -> Callable[..., list[CompletionItem]]:
    """Return click's callback that offers the names beginning so."""

    def complete(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        return [CompletionItem(name) for name in load() if name.startswith(incomplete)]

    return complete


_devices = completer(lambda: ("auto", "cpu", "cuda"))
quiet = click.option("-q", "--quiet", is_flag=True, help="Print errors only.")
verbose = click.option("-v", "--verbose", is_flag=True, help="Print what is being done.")
force = click.option("--force", is_flag=True, help="Overwrite existing files.")
jobs = click.option(
    "-j", "--jobs", type=click.IntRange(1), metavar="N", help="Images processed at once.  [all processors]"
)
seed = click.option("--seed", type=click.IntRange(0, 2**32 - 1), default=0, metavar="N", help="Random seed.  [0]")
device = click.option(
    "--device",
    default="auto",
    metavar="NAME",
    shell_complete=_devices,
    help="Device: auto, cpu, cuda or cuda:N.  [auto]",
)
devices = click.option(
    "--device", "devices", multiple=True, default=["cpu"], metavar="NAME", shell_complete=_devices,
    help="Device: cpu, cuda, cuda:N or auto; may be repeated.  [cpu]",
)  # fmt: skip
batch_device = click.option(
    "--device", metavar="NAME", shell_complete=_devices, help="Device: cpu, cuda, cuda:N or auto.  [cpu]"
)
row_format = click.option(
    "--format", type=click.Choice(FORMATS), help="Output format [default: table on a terminal, else jsonl]."
)

background = click.option(
    "--background", metavar="COLOR", help="Show transparent images on a color: white, #rrggbb, or R,G,B."
)

images = bundle(
    "images",
    _build_images,
    click.argument("paths", nargs=-1, type=click.Path(readable=False), metavar="[IMAGE|FOLDER|-]..."),
    click.option("--files-from", metavar="FILE", help="Read image paths from FILE or '-', one per line."),
    click.option("-0", "null", is_flag=True, help="Paths in that file end in NUL, not newline."),
    click.option(
        "--max-pixels",
        type=click.IntRange(1),
        default=MAX_PIXELS,
        metavar="N",
        help="Refuse images with more pixels.  [178 million]",
    ),
    click.option("--allow-truncated", is_flag=True, help="Read truncated files as far as they go."),
    click.option(
        "--page",
        type=click.IntRange(1),
        metavar="N",
        help="Page, frame or image of a file that holds several.  [the first that is no preview]",
    ),
    click.option(
        "--bands",
        type=Numbers(least=1),
        metavar="N,N,N",
        help="Bands to read: one as gray, three as RGB, then perhaps alpha.  [color and alpha]",
    ),
    click.option("--isolate", is_flag=True, help="Decode in separate processes, to survive crashes."),
    background,
    jobs,
    quiet,
    verbose,
)

pictures = bundle(
    "pictures",
    Pictures,
    click.option(
        "-o",
        "--output",
        metavar="OUT",
        help="File, folder, '-', or template: {stem} {name} {ext} {parent} {dir} {index}.",
    ),
    click.option(
        "--to",
        type=click.Choice((*PICTURE_FORMATS, *FORMAT_ALIASES)),
        metavar="FORMAT",
        help=f"Image format: {', '.join(PICTURE_FORMATS)}.  [png]",
    ),
    force,
    click.option("--skip-existing", is_flag=True, help="Skip images whose output exists."),
    click.option("--quality", type=click.IntRange(1, 100), metavar="N", help="Quality of JPEG, WebP and JPEG 2000."),
    click.option("--compression", type=click.IntRange(0, 9), metavar="N", help="PNG compression level."),
    click.option("--strip", is_flag=True, help="Write no metadata: no profile, EXIF, resolution ..."),
    click.option("--json", is_flag=True, help="Print a JSON record of what was done."),
)

rows = bundle("rows", Rows, row_format)


class BorderName(click.ParamType):  # type: ignore[type-arg]
    """A border by our name, or by the one that another tool has for it; where `more` are taken, one of these."""

    name = "border"

    def __init__(self, *more: str) -> None:
        self._more = more

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Return our name."""
        if value in self._more:
            return value
        try:
            return border_named(value)
        except ParameterError as error:
            self.fail(str(error), param, ctx)

    def shell_complete(self, ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
        """Offer our names that begin so."""
        return [CompletionItem(name) for name in (*BORDERS, *self._more) if name.startswith(incomplete)]


border = click.option(
    "--border",
    type=BorderName(),
    default="reflect",
    metavar="NAME",
    help="Border mode, see below.  [reflect]",
)
RANGES = ("auto", "clip", "abs", "center", "stretch", "raw")
value_range = click.option(
    "--range",
    "value_range",
    type=click.Choice(RANGES),
    default="auto",
    metavar="NAME",
    help=f"How values become pixels: {', '.join(RANGES)}.  [auto]",
)
DEPTHS = ("keep", "8", "16", "float")
depth = click.option(
    "--depth",
    type=click.Choice(DEPTHS),
    default="keep",
    metavar="NAME",
    help="Bit depth of the result: keep, 8, 16, float.  [keep]",
)
visualize = click.option("--visualize", metavar="OUT", help="Draw the descriptor: file, folder or template ({stem}).")
vectors = bundle(
    "vectors",
    Vectors,
    click.option("-o", "--output", metavar="FILE", help="Feature file: npz, npy, csv, jsonl, parquet."),
    force,
    click.option("--resume", is_flag=True, help="Resume an interrupted feature file."),
    click.option("--cluster", metavar="ADDRESS", help="Address of a Dask scheduler; 'local' starts one."),
    click.option("--resize", metavar="WxH", help="Resize images first; 256x or x256 keeps the aspect ratio."),
    row_format,
)


def _complete_models(_ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer what can be trained, what ships, and folders of trained models."""
    from imgtool.classifiers.registry import names, shipped

    folders = sorted(os.path.dirname(path) for path in glob.glob(f"{glob.escape(incomplete)}*/model.json"))
    return [CompletionItem(name) for name in [*names(), *shipped(), *folders] if name.startswith(incomplete)]


def _complete_settings(ctx: click.Context, _parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Offer the settings of the models that were named before."""
    from imgtool.classifiers.registry import names, settings_table

    models = ctx.params.get("names") or [ctx.params.get("name")]
    rows = [row for model in models if model in names() for row in settings_table(model)]
    keys = dict.fromkeys(f"{row['setting']}=" for row in rows)
    return [CompletionItem(key) for key in keys if key.startswith(incomplete)]


def _architectures() -> Iterable[str]:
    """Return what can be trained."""
    from imgtool.classifiers.registry import names

    return names()


def _parse_settings(_ctx: click.Context, _parameter: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    """Return KEY=VALUE pairs as a dict."""
    settings = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise click.BadParameter(f"{pair!r} is not KEY=VALUE")
        settings[key.replace("-", "_")] = value
    return settings


def settings(function: Command) -> Command:
    """Add --set, and --epochs, --batch, --lr as short ways for three of its keys; hand over one dict."""

    @functools.wraps(function)
    def wrapped(epochs: int | None, batch: int | None, lr: float | None, **values: Any) -> Any:
        short = {"epochs": epochs, "batch": batch, "learning_rate": lr}
        for key, value in short.items():
            if value is not None and values["settings"].setdefault(key, value) not in (value, str(value)):
                option = "lr" if key == "learning_rate" else key
                raise click.UsageError(f"--{option} {value} contradicts --set {key}={values['settings'][key]}")
        return function(**values)

    for option in (
        click.option("--lr", type=FloatRange(0, min_open=True), metavar="RATE", help="Peak learning rate."),
        click.option("--batch", type=click.IntRange(1), metavar="N", help="Batch size."),
        click.option("--epochs", type=click.IntRange(1), metavar="N", help="Training epochs."),
        click.option("--set", "settings", multiple=True, metavar="KEY=VALUE", callback=_parse_settings,
                     shell_complete=_complete_settings,
                     help="Setting that a model has (see train --settings); may be repeated."),
    ):  # fmt: skip
        wrapped = option(wrapped)
    return wrapped


architecture = click.option(
    "--model", "name", required=True, metavar="NAME", shell_complete=completer(_architectures), help="Model to train."
)
models = click.option(
    "--model", "names", required=True, multiple=True, metavar="NAME|FOLDER", shell_complete=_complete_models,
    help="Model name or folder; may be repeated.",
)  # fmt: skip
skip_bad = click.option("--skip-bad", is_flag=True, help="Leave out images that cannot be used.")
among = click.option(
    "--among", type=click.Choice(["model", "data"]), default="model", metavar="WHAT",
    help="Classes whose scores count: all of the 'model', or those of the 'data'.  [model]",
)  # fmt: skip
precision = click.option(
    "--precision",
    type=click.Choice(["float32", "bf16"]),
    default="float32",
    show_default=True,
    help="Numbers of networks; bf16 needs PyTorch.",
)
backend = click.option(
    "--backend",
    type=click.Choice(["auto", "numpy", "torch"]),
    default="auto",
    show_default=True,
    help="Backend of networks.",
)
