"""`imgtool features`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import click

from imgtool.cli import options, search
from imgtool.cli.images import Images, each_image
from imgtool.cli.messages import complain
from imgtool.cli.tables import Row, write_rows
from imgtool.errors import ImgtoolError, OutputError, ParameterError

if TYPE_CHECKING:
    import numpy as np

EXAMPLES = """
imgtool features fit photos/ -o book.safetensors
imgtool features fit --components 256 --bin 4,6,8,10 photos/ -o book.safetensors
"""
COLUMNS = ("path", "kind", "images", "numbers", "labels", "made by")


@click.group("features", short_help="Fit codebooks; search, merge and convert feature files.")
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
@click.option("-o", "--output", required=True, metavar="FILE", help="The codebook, a .safetensors file.")
@click.option("--components", type=click.IntRange(1), default=64, show_default=True, help="Gaussians.")
@click.option("--dimensions", type=click.IntRange(1), default=64, show_default=True, help="Kept by the PCA.")
@click.option("--step", type=click.IntRange(1), default=4, show_default=True, help="Pixels between descriptors.")
@options.bins("4,6,8", "4,6,8")
@click.option("--root/--no-root", default=True, show_default=True, help="RootSIFT.")
@click.option("--places/--no-places", default=False, show_default=True, help="Append x and y to descriptors.")
@click.option("--samples", type=click.IntRange(1), default=100_000, show_default=True, help="Descriptors to fit to.")
@options.seed
@options.force
@options.images
def fit(
    images: Images,
    output: str,
    components: int,
    dimensions: int,
    step: int,
    bins: tuple[int, ...],
    root: bool,
    places: bool,
    samples: int,
    seed: int,
    force: bool,
) -> None:
    """Fit a codebook to the dense SIFT of images.

    Principal components, then a mixture of Gaussians with diagonal covariances. Needs the extra 'classic'.
    """
    from imgtool.features.codebook import save
    from imgtool.features.encoding import LocalSettings, fit_to_images

    if not output.endswith(".safetensors"):
        raise ParameterError(f"-o {output}: a codebook's name ends in .safetensors")
    if os.path.lexists(output) and not force:
        raise OutputError(f"{output}: exists; --force overwrites it")
    book = fit_to_images(
        _readable(images),
        len(images.inputs),
        local=LocalSettings(step, bins, "flat", root),
        components=components,
        dimensions=dimensions,
        with_places=places,
        samples=samples,
        seed=seed,
    )
    save(output, book, overwrite=force)
    if not images.quiet:
        complain(f"{output}: {book.components} Gaussians in {book.dimensions} dimensions")


def _readable(images: Images) -> Iterator[np.ndarray]:
    """Yield the images that can be read; the others are reported."""
    for outcome in each_image(images, lambda image: image):
        if outcome.value is not None:
            yield outcome.value


@command.command("info")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@options.row_format
def info(files: tuple[str, ...], format: str | None) -> None:
    """Say what feature files and codebooks hold."""
    failed = False

    def rows() -> Iterator[Row]:
        nonlocal failed
        for path in files:
            try:
                yield {"path": path, **_described(path)}
            except ImgtoolError as error:
                failed = True
                complain(str(error))
                yield {"path": path, "error": str(error)}

    write_rows(rows(), format=format, columns=COLUMNS)
    if failed:
        raise click.exceptions.Exit(1)


def _described(path: str) -> dict[str, Any]:
    """Return what there is to say of one file."""
    if path.endswith(".safetensors"):
        from imgtool.features.codebook import load

        book = load(path)
        shape = f"{book.components}x{book.dimensions}"
        images = book.meta.get("images")
        return {"kind": "codebook", "images": images, "numbers": shape, "made by": "sift", "meta": book.meta}
    from imgtool.datasets import feature_file

    table = feature_file.load(path)
    return {
        "kind": "vectors" if table.offsets is None else "local",
        "images": len(table.paths),
        "numbers": "x".join(map(str, table.features.shape)),
        "labels": len({label for label in table.labels if label}),
        "made by": table.meta.get("descriptor"),
        "meta": table.meta,
    }


@command.command("merge")
@click.argument("files", nargs=-1, required=True, type=click.Path(), metavar="FILE...")
@click.option("-o", "--output", required=True, metavar="FILE", help="Feature file: npz, npy, csv, jsonl, parquet.")
@options.force
def merge(files: tuple[str, ...], output: str, force: bool) -> None:
    """Put feature files that were made alike one after the other."""
    from imgtool.datasets import feature_file

    feature_file.check_suffix(output)
    _check_new(output, files, force)
    table = feature_file.merged([feature_file.load(path) for path in files], files)
    feature_file.save(output, table, overwrite=force)
    complain(f"{output}: {len(table.paths)} images")


@command.command("convert")
@click.argument("file", type=click.Path(), metavar="FILE")
@click.option("-o", "--output", required=True, metavar="FILE", help="Feature file: npz, npy, csv, jsonl, parquet.")
@options.force
def convert(file: str, output: str, force: bool) -> None:
    """Write a feature file in another form; npy, csv and jsonl hold less than npz."""
    from imgtool.datasets import feature_file

    feature_file.check_suffix(output)
    _check_new(output, (file,), force)
    feature_file.save(output, feature_file.load(file), overwrite=force)


def _check_new(output: str, files: Sequence[str], force: bool) -> None:
    """Refuse to overwrite what is read, or what is there."""
    from imgtool.batch.outputs import identity
    from imgtool.datasets import feature_file

    if any(identity(path) == identity(output) for path in files):
        raise OutputError(f"{output}: is an input; imgtool does not overwrite what it reads")
    feature_file.check_free(output, overwrite=force)


command.add_command(fit)
command.add_command(search.command)
