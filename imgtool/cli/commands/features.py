"""`imgtool features`."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options
from imgtool.cli.command import Group
from imgtool.cli.commands import search
from imgtool.cli.images import Images, each_image
from imgtool.cli.messages import complain, explain, option
from imgtool.cli.progress import progress_bar
from imgtool.cli.tables import Row, write_rows
from imgtool.errors import ImgtoolError, ParameterError

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool features fit photos/ -o book.safetensors
imgtool features fit --components 256 --bin 4,6 photos/ -o book.safetensors
imgtool features fit --dictionary 1024 photos/ -o atoms.safetensors
"""
MIXTURE = {"components": 64, "dimensions": 64, "with_places": False, "starts": 3}
COLUMNS = ("path", "kind", "images", "numbers", "labels", "made by")


@click.group("features", Group, short_help="Fit codebooks; search, merge and convert feature files.")
def command() -> None:
    """Fit codebooks; search, merge and convert feature files.

    \b
      imgtool features fit photos/ -o book.safetensors
      imgtool features info book.safetensors fisher.npz
      imgtool features search --query photo.jpg gist.npz
      imgtool features merge a.npz b.npz -o both.npz
      imgtool features convert both.npz -o both.csv
    """


@options.command("fit", examples=EXAMPLES)
@click.option("-o", "--output", required=True, metavar="FILE", help="Output: a .safetensors file.")
@click.option("--components", type=click.IntRange(1), help="Number of Gaussians.  [64]")
@click.option("--dimensions", type=click.IntRange(1), help="PCA dimensions.  [64]")
@click.option("--places/--no-places", "with_places", default=None, help="Append x and y to descriptors.  [no-places]")
@click.option("--starts", type=click.IntRange(1), help="Random restarts; the likeliest mixture is kept.  [3]")
@click.option(
    "--dictionary", type=click.IntRange(2), metavar="ATOMS", help="Learn a dictionary with this many atoms instead."
)
@click.option("--step", type=click.IntRange(1, 10_000), default=4, show_default=True, help="Sampling step in pixels.")
@options.bins("4,6,8", "4,6,8")
@click.option("--color", type=click.Choice(["gray", "rgb", "hsv", "opponent"]), default="gray", metavar="NAME",
              help="Channels to describe: gray, rgb, hsv, opponent.  [gray]")  # fmt: skip
@click.option("--root/--no-root", default=True, show_default=True, help="RootSIFT.")
@click.option(
    "--samples", type=click.IntRange(1), default=100_000, show_default=True, help="Number of descriptors to fit to."
)
@options.seed
@options.force
@options.images
def fit(
    images: Images,
    output: str,
    step: int,
    bins: tuple[int, ...],
    root: bool,
    color: str,
    samples: int,
    dictionary: int | None,
    seed: int,
    force: bool,
    **mixture: Any,
) -> None:
    """Fit a codebook to the dense SIFT of images.

    Principal components, then a mixture of Gaussians with diagonal covariances; needs the extra 'classic'. With
    --dictionary, learns atoms for sparse codes instead.
    """
    from imgtool.features.codebook import save_codebook
    from imgtool.features.encoding import LocalSettings, fit_dictionary, fit_to_images

    if not output.endswith(".safetensors"):
        raise ParameterError(f"-o {output}: a codebook's name ends in .safetensors")
    _check_new(output, [*images.source.also_read, *(each.path for each in images.source.inputs)], force)
    given = {name: value for name, value in mixture.items() if value is not None}
    if dictionary and given:
        raise ParameterError(f"{option(min(given))} is for mixtures; --dictionary learns none")
    images.source = images.source.flat()
    pictures, count = _readable(images), len(images.source)
    local = LocalSettings(step, bins, "flat", root, color)
    settings: dict[str, Any] = {"local": local, "samples": samples, "seed": seed}
    if dictionary:
        with progress_bar(quiet=images.quiet, verbose=images.verbose) as progress:
            atoms = fit_dictionary(pictures, count, atoms=dictionary, progress=progress, **settings)
        save_codebook(output, atoms, overwrite=force)
        content = f"{dictionary} atoms of {atoms.atoms.shape[1]} numbers"
    else:
        book = fit_to_images(pictures, count, **MIXTURE | given, **settings)
        save_codebook(output, book, overwrite=force)
        content = f"{book.components} Gaussians in {book.dimensions} dimensions"
    if not images.quiet:
        complain(f"{output}: {content}")


def _readable(images: Images) -> Iterator[np.ndarray]:
    """Yield the images that can be read and described; the others are reported."""
    from imgtool.features.validation import require_finite

    def check(image: np.ndarray) -> np.ndarray:
        require_finite(image, "SIFT")
        return image

    for outcome in each_image(images, check):
        if outcome.value is not None:
            yield outcome.value


@command.command("info")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@options.row_format
def info(files: tuple[str, ...], format: str | None) -> None:
    """Print what feature files and codebooks contain."""
    failed = False

    def rows() -> Iterator[Row]:
        nonlocal failed
        for path in files:
            try:
                yield {"path": path, **_summary(path)}
            except ImgtoolError as error:
                failed = True
                complain(explain(error))
                yield {"path": path, "error": explain(error)}

    write_rows(rows(), format=format, columns=COLUMNS)
    if failed:
        raise click.exceptions.Exit(1)


def _summary(path: str) -> dict[str, Any]:
    """Return what there is to say of one file."""
    if path.endswith(".safetensors"):
        from imgtool.features.codebook import Codebook, load_codebook

        book = load_codebook(path)
        kind, numbers = ("codebook", book.means) if isinstance(book, Codebook) else ("dictionary", book.atoms)
        shape, images = "x".join(map(str, numbers.shape)), book.meta.get("images")
        return {"kind": kind, "images": images, "numbers": shape, "made by": "sift", "meta": book.meta}
    from imgtool.datasets import feature_file

    table = feature_file.read_blocks(path)
    for _ in itertools.chain(table.features(), table.local.frames() if table.local else ()):
        pass  # what is broken is found out when it is read
    return {
        "kind": "local" if table.local else "vectors",
        "images": table.images,
        "numbers": "x".join(map(str, table.shape)),
        "labels": len({label for _, label in table.names() if label}),
        "made by": table.meta.get("descriptor"),
        "meta": table.meta,
    }


@command.command("merge")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Feature file: npz, npy, csv, jsonl, parquet.")
@options.force
def merge(files: tuple[str, ...], output: str, force: bool) -> None:
    """Concatenate feature files with the same settings."""
    from imgtool.datasets import feature_file

    feature_file.check_suffix(output)
    _check_new(output, files, force)
    table = feature_file.merge([feature_file.read_blocks(path) for path in files], files)
    feature_file.write(output, table, overwrite=force)
    complain(f"{output}: {table.images} images")


@command.command("convert")
@click.argument("file", type=click.Path(), metavar="FILE")
@click.option("-o", "--output", required=True, metavar="FILE", help="Feature file: npz, npy, csv, jsonl, parquet.")
@options.force
def convert(file: str, output: str, force: bool) -> None:
    """Convert a feature file; npy, csv and jsonl keep less than npz."""
    from imgtool.datasets import feature_file

    feature_file.check_suffix(output)
    _check_new(output, (file,), force)
    feature_file.write(output, feature_file.read_blocks(file), overwrite=force)


def _check_new(output: str, files: Sequence[str], force: bool) -> None:
    """Refuse to overwrite what is read, or what is there."""
    from imgtool.batch.conflicts import refuse_inputs
    from imgtool.batch.outputs import check_writable

    refuse_inputs([output], files)
    check_writable(output, overwrite=force)


command.add_command(fit)
command.add_command(search.command)
