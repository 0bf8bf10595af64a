"""A sheet of an image's gradient: x, y, magnitude, phase, and the color wheel that reads the phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imgtool.parameters import checks_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike


@checks_options
def gradient_sheet(
    image: ArrayLike,
    *,
    operator: str = "sobel",
    border: str = "reflect",
    channel: str = "max",
    sigma: float | None = None,
    normalize: str = "none",
    background: Any = "white",
) -> np.ndarray:
    """Return a sheet of an image's gradient; what `imgtool gradient` draws where it shows all.

    Parameters
    ----------
    image : array_like, (height, width) or (height, width, 1 to 4)
        Gray, gray with alpha, RGB or RGBA; bool, integers or floats.
    operator : {"sobel", "scharr", "prewitt", "roberts", "central", "forward", "backward", "gaussian"}
        As for `gradient`.
    border : {"reflect", "clip", "wrap", "copy", "mirror"}
        What lies outside.
    channel : {"max", "mean"}
        Of color, the channel of largest magnitude at each pixel, or the mean.
    sigma : float, optional
        As for `gradient`.
    normalize : {"none", "abs"}
        As for `gradient`.
    background : str or (int, int, int)
        Color that a transparent image is shown on.

    Returns
    -------
    ndarray, (height, width, 3), uint8
        Six panels with captions: the image; x and y, 0 being mid-gray; magnitude; phase, by hue; the color wheel.

    Raises
    ------
    ImageError
        The image is not valid.
    ParameterError
        A name is unknown, or sigma is out of range.

    Notes
    -----
    A gradient shorter than rounding noise has no direction and is black in the panel of the phase.

    Examples
    --------
    >>> import imgtool
    >>> imgtool.gradient_sheet(imgtool.read("sample_images/camera.png")).shape
    (528, 740, 3)
    """
    import numpy as np

    from imgtool.arrays import image_array
    from imgtool.filters.drawing import color_wheel, signed_picture
    from imgtool.filters.gradient import color_gradient, magnitude, noise_floor, phase
    from imgtool.image.alpha import flatten
    from imgtool.image.color import MAX_CHANNELS, direction_picture
    from imgtool.image.pixels import extremes_of
    from imgtool.image.sheet import Panel, fitted, panel_pixels, panel_sheet, to_viewable

    require_one_gradient(channel)
    color = flatten(image_array(image, max_channels=MAX_CHANNELS), background)
    gx, gy = color_gradient(color, channel, operator=operator, border=border, sigma=sigma, normalize=normalize)
    length, side = np.nan_to_num(magnitude(gx, gy)), panel_pixels(3)
    low, high = extremes_of(color.astype(np.float64))
    floor = noise_floor(operator, sigma, max(-float(low), float(high), 0.0), gx.dtype, normalize)
    found = (length > floor).astype(np.float64)
    top = float(length.max())
    across, down = (signed_picture(np.nan_to_num(each)) for each in (gx, gy))
    length_picture = np.repeat(np.rint(255 * (length / (top or 1.0))).astype(np.uint8)[:, :, None], 3, axis=2)
    above = [
        Panel(fitted(to_viewable(color), side), "the image"),
        Panel(fitted(across[0], side), f"x: from -{across[1]:.4g} to {across[1]:.4g}, 0 gray"),
        Panel(fitted(down[0], side), f"y: from -{down[1]:.4g} to {down[1]:.4g}, 0 gray"),
    ]
    below = [
        Panel(fitted(length_picture, side), f"magnitude: from 0 to {top:.4g}"),
        Panel(fitted(direction_picture(found, phase(gx, gy)), side), "phase: the hue is the direction"),
        Panel(color_wheel(min(side, len(above[0].picture))), "degrees, clockwise from the right"),
    ]
    return panel_sheet([above, below])


def require_one_gradient(channel: str) -> None:
    """Raise ParameterError where each channel would have its own."""
    from imgtool.errors import ParameterError

    if channel == "each":
        raise ParameterError("a picture of directions is of one gradient, not of each channel", parameters=("channel",))
