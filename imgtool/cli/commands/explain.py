"""`imgtool explain`."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from imgtool.cli import options
from imgtool.cli.command import Group
from imgtool.cli.images import Images
from imgtool.cli.messages import printable
from imgtool.cli.shape import Shape
from imgtool.cli.tables import align, emit, json_line

if TYPE_CHECKING:
    import numpy as np

    from imgtool.classifiers.explain_network import ExplainedNetwork
    from imgtool.cli.matrices import Matrix
    from imgtool.networks.explain_convolution import ExplainedConvolution

MAX_PRINTED_COLUMNS = 36  # of a matrix
MAX_PRINTED_ROWS = 64
SHOWN_CLASSES = 12  # of a model that has more, the best and the label
SHOWN_FEATURES = 6
WAYS = {
    "direct": "every window by itself, tap by tap",
    "im2col": "windows as columns, one product of matrices",
    "fft": "Fourier transforms",
}
json = click.option("--json", is_flag=True, help="Print an object with all numbers.")


@click.group("explain", Group, short_help="Show a step of a network with its numbers.")
def command() -> None:
    """Show a step of a network with its numbers.

    \b
      imgtool explain conv --input 1x5x5 --kernel 3
      imgtool explain network lenet@mnist digit.png --label 8

    A filter's pixel and a cell of HoG: imgtool filter --explain, imgtool hog --explain.
    """


@options.command(
    "conv",
    examples="""
imgtool explain conv
imgtool explain conv --input 2x4x5 --outputs 2 --stride 2 --padding 1
imgtool explain conv --input 64x56x56 --outputs 64 --padding 1
""",
)
@click.option("--input", "shape", type=Shape(), default="1x5x5", metavar="CxHxW",
              help="Image: channels, rows, columns.  [1x5x5]")  # fmt: skip
@click.option("--kernel", type=click.IntRange(1), default=3, metavar="N", help="Rows and columns of a kernel.  [3]")
@click.option("--outputs", type=click.IntRange(1), default=1, metavar="N", help="Number of kernels.  [1]")
@click.option("--stride", type=click.IntRange(1), default=1, metavar="N", help="Pixels between two windows.  [1]")
@click.option("--padding", type=click.IntRange(0), default=0, metavar="N", help="Zeros on each side.  [0]")
@options.seed
@json
def conv(
    shape: tuple[int, int, int], kernel: int, outputs: int, stride: int, padding: int, seed: int, json: bool
) -> None:
    """Compute a layer of convolutions as one product of matrices.

    The image and the kernels are small random numbers. As in networks, kernels are not flipped, and zeros lie outside.
    Large matrices are not printed. Times are those of NumPy on this machine, the fastest of several runs.
    """
    from imgtool.networks.explain_convolution import explain_convolution

    found = explain_convolution(
        shape, kernel=kernel, outputs=outputs, stride=stride, padding=padding, seed=seed
    )  # fmt: skip
    emit(json_line(vars(found)) if json else "\n".join(_conv_lines(found)) + "\n")


def _conv_lines(found: ExplainedConvolution) -> Iterator[str]:
    """Yield a layer of convolutions as text."""
    channels, *sides = found.image.shape
    outputs, _, size, _ = found.weights.shape
    positions = found.columns.shape[1]
    kernels = f"{outputs} kernel{'s' * (outputs > 1)} of {channels}x{size}x{size}"
    yield f"image {channels}x{sides[0]}x{sides[1]}, {kernels}, stride {found.stride}, padding {found.padding}"
    for name, side, result in zip(("rows", "columns"), sides, found.result.shape[1:], strict=True):
        yield f"{name:8} floor(({side} + 2 * {found.padding} - {size}) / {found.stride}) + 1 = {result}"
    taps = channels * size * size
    yield f"multiply-adds  {outputs} * {positions} results * {taps} taps = {found.multiply_adds}"
    yield ""
    if positions <= MAX_PRINTED_COLUMNS and max(taps, outputs) <= MAX_PRINTED_ROWS:
        yield from _conv_matrices(found)
    else:
        yield f"windows as columns {taps}x{positions}, weights as rows {outputs}x{taps}: too large to be printed"
        yield ""
    rows = [[name, f"{1000 * found.seconds[name]:.3f} ms", text] for name, text in WAYS.items()]
    yield from align(["method", "time", "how"], rows).splitlines()
    yield f"largest difference of their results: {found.largest_difference:.1e}"


def _conv_matrices(found: ExplainedConvolution) -> Iterator[str]:
    """Yield image, kernels, the matrix of windows, the product, and the result."""
    from imgtool.cli.matrices import beside, matrix

    outputs, (taps, positions) = len(found.weights), found.columns.shape
    yield beside(_padded(f"image, channel {c + 1}", plane, found.padding) for c, plane in enumerate(found.image))
    for number, kernels in enumerate(found.weights):
        yield beside(matrix(f"kernel {number + 1}, channel {c + 1}", plane) for c, plane in enumerate(kernels))
    yield beside([matrix(f"windows as columns (im2col), {taps}x{positions}: a row for each tap", found.columns)])
    yield beside([matrix(f"weights as rows, {outputs}x{taps}", found.weights.reshape(outputs, -1))])
    yield beside([matrix(f"their product, {outputs}x{positions}: a column for each window", found.product)])
    yield beside(matrix(f"result, output {o + 1}", plane) for o, plane in enumerate(found.result))


def _padded(title: str, plane: np.ndarray, padding: int) -> Matrix:
    """Return one channel of an image with its padding, in brackets."""
    import numpy as np

    from imgtool.cli.matrices import matrix

    rows, columns = plane.shape

    def mark(y: int, x: int, text: str) -> str:
        inside = padding <= y < padding + rows and padding <= x < padding + columns
        return text if inside else f"[{text}]"

    return matrix(title, np.pad(plane, padding), mark)


@options.command(
    "network",
    examples="""
imgtool explain network lenet@mnist digit.png --label 8
imgtool explain network my-model/ photo.jpg --label grass --rate 0.001
""",
)
@click.argument("model", metavar="NAME|FOLDER")
@click.argument("image", metavar="IMAGE")
@click.option("--label", required=True, metavar="LABEL", help="The image's true label.")
@click.option("--rate", type=options.FloatRange(0, min_open=True), default=0.01, metavar="RATE",
              help="Learning rate of the step.  [0.01]")  # fmt: skip
@options.background
@json
def network(model: str, image: str, label: str, rate: float, background: str | None, json: bool) -> None:
    """Follow an image through a network: forward, backward, a step.

    Scores, softmax, loss and its gradient, by hand in NumPy, in float64; gradients of the last layers beside numeric
    ones; then one step of gradient descent, and the loss after it.
    """
    from imgtool.classifiers.explain_network import explain_network
    from imgtool.classifiers.registry import open_model
    from imgtool.errors import ParameterError
    from imgtool.pipelines.mapping import map_images
    from imgtool.pipelines.source import source_of

    opened = open_model(model)
    images = Images(source_of(image, background=background).flat(), 1, quiet=False, verbose=False)
    if len(images.source) != 1:
        raise ParameterError(f"one image is followed; {image} holds {len(images.source)}")
    explain = lambda array: explain_network(array, model=opened, label=label, rate=rate)  # noqa: E731
    for outcome in images.report(map_images(images.source, explain, jobs=1)):
        if outcome.value is not None:
            record = {"path": outcome.source.path, "model": model, **vars(outcome.value)}
            head = f"{printable(outcome.source.path)} in {printable(model)}, label {outcome.value.label}"
            emit(json_line(record) if json else "\n".join([head, *_network_lines(outcome.value)]) + "\n")
    images.close()
    if images.failed:
        raise click.exceptions.Exit(1)


def _network_lines(found: ExplainedNetwork) -> Iterator[str]:
    """Yield the three parts as text."""
    from imgtool.cli.matrices import short

    shape = "x".join(map(str, found.x.shape))
    yield "\nForward"
    yield f"x: {shape} numbers from {short(float(found.x.min()))} to {short(float(found.x.max()))}"
    first = ", ".join(map(short, found.features[:SHOWN_FEATURES].tolist()))
    yield f"h, what {found.last} takes: {len(found.features)} numbers, {first} ..."
    yield "score = W h + b; softmax y^ = exp(score) / sum of exp(score); y is 1 for the label\n"
    yield from align(["class", "score", "softmax y^", "y", "y^ - y"], list(_classes(found))).splitlines()
    probability = found.probabilities[found.index]
    yield f"\nloss = -log y^[{found.label}] = -log {short(float(probability))} = {short(found.loss)}"
    yield "\nBackward: by the chain rule, and numeric: (loss(w + e) - loss(w - e)) / 2e with e = 1e-5\n"
    rows = [
        [f"{row['tensor']}{row['index']}", f"{row['by_hand']:.6g}", f"{row['numeric']:.6g}", f"{row['difference']:.9f}"]
        for row in found.gradients
    ]
    yield from align(["weight", "by hand", "numeric", "difference"], rows).splitlines()
    yield from _as_product(found)
    yield f"\nStep: each weight w becomes w - {short(found.rate)} * its gradient (length of all: {short(found.length)})"
    fall = f"a straight line would fall by rate * length^2 = {short(found.rate * found.length**2)}"
    yield f"loss {short(found.loss)} -> {short(found.loss_after)} ({fall})"
    yield f"y^[{found.label}] {short(float(probability))} -> {short(found.probability_after)}"


def _classes(found: ExplainedNetwork) -> Iterator[list[str]]:
    """Yield the rows of the classes: all of few, else the best and the label."""
    order = range(len(found.classes))
    if len(found.classes) > SHOWN_CLASSES:
        best = (-found.scores).argsort(kind="stable")[: SHOWN_CLASSES - 1].tolist()
        order = [*best, *([] if found.index in best else [found.index])]  # type: ignore[assignment]
    for each in order:
        numbers = (found.scores[each], found.probabilities[each], float(each == found.index), found.slopes[each])
        yield [printable(found.classes[each]), *(f"{number:.4g}" for number in numbers)]


def _as_product(found: ExplainedNetwork) -> Iterator[str]:
    """Yield how the last layer's largest gradient comes about, where that is a product of two numbers."""
    for row in found.gradients:
        if row["tensor"] == f"{found.last}.weight" and len(row["index"]) == 2:
            output, value = row["index"]
            slope, own = (f"{number:.4g}" for number in (found.slopes[output], found.features[value]))
            yield (
                f"{found.last}.weight[i, j] is (y^ - y)[i] * h[j]: [{output}, {value}] {slope} * {own} = "
                f"{row['by_hand']:.4g}"
            )
            return


for each in (conv, network):
    command.add_command(each)
