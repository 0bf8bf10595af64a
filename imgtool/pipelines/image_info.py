"""What an image is: size, depth, statistics of its channels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from imgtool.errors import ImageError
from imgtool.pipelines.sizes import Crop
from imgtool.pipelines.source import Source
from imgtool.remarks import Remark

if TYPE_CHECKING:
    import numpy as np

NUMBERS = ("min", "max", "mean", "std")
CHANNELS = {1: "gray", 2: "gray+alpha", 3: "rgb", 4: "rgba"}


def image_info(
    source: Source,
    index: int,
    remarks: list[Remark],
    *,
    histogram: bool = False,
    pixels: bool = False,
    crop: Crop | None = None,
    most: int | None = None,
) -> Mapping[str, Any]:
    """Return all facts about one image, for JSON. Raises ImageError.

    histogram: counts of each channel too; pixels: the numbers of all pixels too, or of those in `crop`;
    most: refuse an image with more pixels to show, unless some were picked.
    """
    data = source.content(index)
    header, image = source.header(data), source.decode(data, remarks)
    height, width = image.shape[:2]
    planes = image.reshape(height * width, -1).T
    numbers = [_numbers(plane) for plane in planes]
    row: dict[str, Any] = {
        "size": f"{width}x{height}",
        "color": CHANNELS[len(planes)],
        "depth": f"{image.dtype.itemsize * 8} bit" + {"f": " float", "i": " signed"}.get(image.dtype.kind, ""),
        "format": header.format,
        "width": width,
        "height": height,
        "channels": len(planes),
        "dtype": image.dtype.name,
        "orientation": header.orientation,
        "profile": header.profile,
        "page": header.page,
        "pages": len(header.pages),
        "page_list": [{"kind": each.kind, "width": each.width, "height": each.height} for each in header.pages],
        "bands": len(header.bands),
        "band_list": list(header.bands),
        **{name: [each[name] for each in numbers] for name in NUMBERS},
    }
    if histogram:
        row["histogram"] = [_histogram(plane) for plane in planes]
    if pixels:
        if most and not crop and width * height > most:
            raise ImageError(f"has {width}x{height} pixels, too many to print", hint="crop")
        crop = crop or Crop(0, 0, width, height)
        row |= {"crop": list(crop), "pixels": crop.of(image)}
    return row


def _finite(plane: np.ndarray) -> np.ndarray:
    """Return the values that are neither NaN nor infinite."""
    import numpy as np

    return plane[np.isfinite(plane)] if plane.dtype.kind == "f" else plane


def _numbers(plane: np.ndarray) -> dict[str, Any]:
    """Return least, largest, mean and standard deviation of one channel's finite values; None where there is none."""
    import numpy as np

    values = _finite(plane)
    if not values.size:
        return dict.fromkeys(NUMBERS)
    with np.errstate(over="ignore", invalid="ignore"):
        mean, std = values.mean(dtype=np.float64), values.std(dtype=np.float64)
    return {"min": values.min().item(), "max": values.max().item(), "mean": float(mean), "std": float(std)}


def _histogram(plane: np.ndarray) -> list[int]:
    """Return 256 counts of one channel: over the range of 8 or 16 bits, else from the least to the largest value."""
    import numpy as np

    if plane.dtype in (np.uint8, np.uint16):
        counts = np.bincount(plane // ((np.iinfo(plane.dtype).max + 1) // 256), minlength=256)
    else:
        values = _finite(plane) / 2.0  # so that the span of the largest numbers is one too
        low, span = (values.min(), np.ptp(values)) if values.size else (0.0, 0.0)
        places = (values - low) / (span or 1.0) * 256
        counts = np.bincount(np.minimum(places, 255).astype(np.intp), minlength=256)
    return [int(count) for count in counts]
