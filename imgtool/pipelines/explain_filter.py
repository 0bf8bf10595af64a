"""How a convolution comes to one pixel: the window, the kernel, their products, the sum."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from imgtool.errors import ImageError, ParameterError
from imgtool.parameters import checks_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike

CHANNELS = {1: ("gray",), 3: ("red", "green", "blue")}


@dataclass(frozen=True)
class ExplainedPixel:
    """One pixel of a filter's result, for each channel of color.

    taps: (rows, columns), as they meet the window: flipped by a convolution; windows, products: (channels, rows,
    columns); outside: (rows, columns), True for what lies outside the image; sums, pixels: (channels,), the number, and
    what the filter makes of it by its range and depth.
    """

    x: int
    y: int
    channels: tuple[str, ...]
    taps: np.ndarray
    windows: np.ndarray
    outside: np.ndarray
    products: np.ndarray
    sums: np.ndarray
    pixels: np.ndarray


@checks_options
def explain_filter(
    image: ArrayLike,
    x: int,
    y: int,
    kernel: Any = "gaussian",
    *,
    border: str = "reflect",
    border_value: float = 0.0,
    correlate: bool = False,
    normalize: str = "none",
    range: str = "auto",
    depth: str = "keep",
    background: Any = None,
    **parameters: Any,
) -> ExplainedPixel:
    """Explain one pixel of what `filter_image` returns.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Gray, gray with alpha, RGB or RGBA; bool, integers or floats. Each channel is explained by itself.
    x, y : int
        The pixel: its column and its row, from 0.
    kernel : str or array_like, (rows, columns)
        Name of a kernel, or taps.
    border : str
        What lies outside the image: "clip" (black, or `border_value`), "wrap", "copy", "reflect", "mirror".
    border_value : float
        Value of the pixels outside a "clip" border, in the image's own units.
    correlate : bool
        Compute a correlation: do not flip the kernel.
    normalize : str
        Divide the taps by their sum ("sum") or by the sum of their absolute values ("abs"); "none": do not.
    range : str
        Conversion of values to pixels: "auto", "clip", "abs", "center", "stretch", or "raw" (no conversion).
    depth : str
        Bit depth of the result: "keep", "8", "16", "float".
    background : str or (int, int, int)
        Color that a transparent image is shown on first; see `flatten`.
    **parameters
        Parameters of the named kernel: size, sigma, truncate ...

    Returns
    -------
    object
        With `x`, `y`, `channels` (their names), `taps` (as they meet the window), `windows` and `products` (channels,
        rows, columns), `outside` (which values lie outside the image), `sums` and `pixels` (one for each channel).

    Raises
    ------
    ImageError
        The image is not valid, is transparent without a background, or has no such pixel.
    ParameterError
        A name is unknown, the filter is no convolution, or arguments contradict each other.

    Examples
    --------
    >>> import imgtool
    >>> step = [[0, 0, 200, 200], [0, 0, 200, 200]]
    >>> found = imgtool.explain_filter(step, 2, 0, [[1, 0, -1]], range="raw")
    >>> found.taps.tolist(), found.windows.tolist(), found.products.tolist(), found.sums.tolist()
    ([[-1.0, 0.0, 1.0]], [[[0, 200, 200]]], [[[-0.0, 0.0, 200.0]]], [200.0])
    """
    import numpy as np

    from imgtool.arrays import image_array, whole_number
    from imgtool.filters.borders import border_number
    from imgtool.image.alpha import split_alpha
    from imgtool.image.color import MAX_CHANNELS
    from imgtool.pipelines.kernel_filter import filter_of, taps_of

    taps = taps_of(kernel, normalize, parameters)
    if taps is None:
        raise ParameterError(f"only convolutions are sums of products; {kernel} is none", parameters=("kernel",))
    run = filter_of(kernel, border, border_value, "auto", correlate, normalize, range, depth, **parameters)
    array = image_array(image, max_channels=MAX_CHANNELS)
    x, y = whole_number(x, "x", low=0), whole_number(y, "y", low=0)
    height, width = array.shape[:2]
    if x >= width or y >= height:
        raise ImageError(f"is {width}x{height} pixels; {x},{y} lies outside (columns and rows count from 0)")
    color = _seen_color(array, taps, background)
    value = border_number(border_value, border, color.dtype)
    windows, outside = _window(color, x, y, taps.shape, border, value, correlate=correlate)
    own = taps if correlate else taps[::-1, ::-1]
    products = windows * own
    pixels = split_alpha(run(color)[0])[0][y, x].reshape(-1)
    return ExplainedPixel(
        x,
        y,
        CHANNELS[len(windows)],
        own,
        windows,
        outside,
        products,
        products.sum(axis=(1, 2), dtype=np.float64),
        pixels,
    )


def _seen_color(image: np.ndarray, taps: np.ndarray, background: Any) -> np.ndarray:
    """Return the color that the filter convolves. Raises ImageError where it weighs colors by their alpha."""
    from imgtool.filters.kernels import is_derivative
    from imgtool.image.alpha import flatten, is_opaque, split_alpha

    alpha = split_alpha(image)[1]
    weighs = taps.sum() > 0 and not is_derivative(taps)
    if background is None and weighs and alpha is not None and not is_opaque(alpha):
        text = "is transparent, and colors that are weighed by alpha are no plain sum; an opaque image is explained"
        raise ImageError(text, hint="background")
    return flatten(image) if background is None else flatten(image, background)


def _window(
    image: np.ndarray, x: int, y: int, shape: tuple[int, ...], border: str, value: float, *, correlate: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return the values under a kernel (channels, rows, columns), and which of them lie outside the image."""
    import numpy as np

    from imgtool.filters.borders import indices
    from imgtool.filters.convolve import margins

    down, across = margins(np.ones(shape), correlate=correlate)
    rows = indices(image.shape[0], *down, border)[y : y + shape[0]]
    columns = indices(image.shape[1], *across, border)[x : x + shape[1]]
    window = image[rows][:, columns].reshape(*shape, -1)
    places_y, places_x = np.arange(y - down[0], y + down[1] + 1), np.arange(x - across[0], x + across[1] + 1)
    outside = ((places_y < 0) | (places_y >= image.shape[0]))[:, None] | (places_x < 0) | (places_x >= image.shape[1])
    if border == "clip":
        window[outside] = value
    return np.moveaxis(window, 2, 0), outside
