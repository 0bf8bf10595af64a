"""PBM, PGM, PPM, PAM and PFM: a short header, then samples.

Sources: the Netpbm manual pages pbm(5), pgm(5), ppm(5), pam(5); Debevec's PFM description. Values are scaled by
255 / maxval, or 65535 / maxval above 255; a PFM begins with its lowest row.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from imgtool.errors import ImageError
from imgtool.image.codecs.header import BANDS, SIGNATURES, Header, Page, require_page

_TOKEN = re.compile(rb"(?:\s|#[^\n\r]*[\n\r])*([^\s#]+)")
_HEAD_BYTES = 100_000  # in which the header of an image after another must end
_MOST_IMAGES = 10_000  # that are looked for
_MOST_SAMPLES = 4096  # of a pixel
_PAM_CHANNELS = {
    "BLACKANDWHITE": 1,
    "GRAYSCALE": 1,
    "RGB": 3,
    "BLACKANDWHITE_ALPHA": 2,
    "GRAYSCALE_ALPHA": 2,
    "RGB_ALPHA": 4,
}


@dataclass(frozen=True)
class Layout:
    """What the header says: kind is the second letter; offset is where the samples begin."""

    kind: str
    width: int
    height: int
    channels: int
    maxval: int
    offset: int
    scale: float = 1.0

    @property
    def end(self) -> int | None:
        """Where the samples end; None when they are text, after which no other image comes."""
        if self.kind in "123":
            return None
        if self.kind == "4":
            return self.offset + (self.width + 7) // 8 * self.height
        size = 4 if self.kind in "Ff" else 2 if self.maxval > 255 else 1
        return self.offset + self.width * self.height * self.channels * size


def header(data: bytes, page: int | None = None) -> Header:
    """Read size, channels, depth, and how many images follow each other."""
    images = list(_images(data))
    number = require_page(page, len(images))
    layout = images[number - 1][1]
    dtype = "float32" if layout.kind in "Ff" else "uint16" if layout.maxval > 255 else "uint8"
    pages = tuple(Page("image", each.width, each.height) for _, each in images)
    bands = BANDS.get(layout.channels, ("unspecified",) * layout.channels)
    return Header("pnm", layout.height, layout.width, layout.channels, dtype, page=number, pages=pages, bands=bands)


def _images(data: bytes) -> Iterator[tuple[int, Layout]]:
    """Yield where each image begins, and its header."""
    begin = 0
    for _ in range(_MOST_IMAGES):
        try:
            layout = layout_of(data[begin : begin + _HEAD_BYTES] if begin else data)
        except ImageError:
            if not begin:
                raise
            return  # bytes behind the image that are no other
        yield begin, layout
        if layout.end is None or not SIGNATURES["pnm"].match(data, begin + layout.end):
            return
        begin += layout.end


def decode(data: bytes, *, allow_truncated: bool, page: int = 1) -> np.ndarray:
    """Read the samples."""
    if page > 1:
        data = data[list(_images(data))[page - 1][0] :]
    layout = layout_of(data)
    shape = (layout.height, layout.width) + ((layout.channels,) if layout.channels > 1 else ())
    if layout.kind in "Ff":
        order = "<" if layout.scale < 0 else ">"
        values = _binary(data, layout, np.dtype(f"{order}f4"), allow_truncated)
        return values.astype(np.float32).reshape(shape)[::-1]
    if layout.kind == "4":
        return _bits(data, layout, allow_truncated)
    if layout.kind in "123":
        samples = _text(data, layout, allow_truncated)
    else:
        samples = _binary(data, layout, np.dtype(">u2" if layout.maxval > 255 else "u1"), allow_truncated)
    if samples.size and samples.max() > layout.maxval:
        raise ImageError(f"holds the value {samples.max()} above its own maximum {layout.maxval}")
    return _scale_samples(samples, layout.maxval).reshape(shape)


def layout_of(data: bytes) -> Layout:
    """Parse any of the headers."""
    kind = data[1:2].decode("ascii", "replace")
    if kind == "7":
        return _pam_layout(data)
    wanted = 3 if kind in "2356Ff" else 2
    numbers, position = [], 2
    for _ in range(wanted):
        token = _TOKEN.match(data, position)
        if not token:
            raise ImageError("ends within its header")
        numbers.append(token[1])
        position = token.end()
    width, height = _whole(numbers[0]), _whole(numbers[1])
    channels = 3 if kind in "36F" else 1
    offset = position + 1  # one white space ends the header
    if kind in "Ff":
        return Layout(kind, width, height, channels, 1, offset, _scale(numbers[2]))
    maxval = _whole(numbers[2]) if wanted == 3 else 1
    return Layout(kind, width, height, channels, _require_maxval(maxval), offset)


def _pam_layout(data: bytes) -> Layout:
    """Parse a PAM header: lines of a name and a value, up to ENDHDR."""
    end = re.search(rb"\nENDHDR[ \t\r]*\n", data[:100_000])
    if not end:
        raise ImageError("ends within its header")
    fields: dict[str, str] = {}
    for line in data[3 : end.start()].decode("latin-1").splitlines():
        name, _, value = line.strip().partition(" ")
        if name and not name.startswith("#"):
            fields[name] = value.strip()
    try:
        width, height, depth, maxval = (
            _whole(fields[name].encode()) for name in ("WIDTH", "HEIGHT", "DEPTH", "MAXVAL")
        )
    except KeyError as missing:
        raise ImageError(f"has no {missing.args[0]} in its header") from None
    kind = fields.get("TUPLTYPE", "")
    if not 1 <= depth <= _MOST_SAMPLES or (depth <= 4 and kind and _PAM_CHANNELS.get(kind) != depth):
        raise ImageError(f"has a feature that imgtool does not read: PAM of type {kind or 'none'} and depth {depth}")
    return Layout("7", width, height, depth, _require_maxval(maxval), end.end())


def _whole(token: bytes) -> int:
    """Return a token as a number."""
    if not re.fullmatch(rb"\d{1,9}", token):
        raise ImageError(f"has {token[:20].decode('latin-1')!r} in its header where a number should stand")
    return int(token)


def _scale(token: bytes) -> float:
    """Return PFM's scale: its sign is the byte order; its size is not applied."""
    try:
        scale = float(token)
    except ValueError:
        scale = 0.0
    if scale == 0 or not np.isfinite(scale):
        raise ImageError("has a scale in its header that is no number")
    return scale


def _require_maxval(maxval: int) -> int:
    if not 1 <= maxval <= 65535:
        raise ImageError(f"has the maximum value {maxval}; PNM allows 1 to 65535")
    return maxval


def _missing(got: int, wanted: int) -> ImageError:
    return ImageError(f"is cut: {got} of {wanted} samples are there", hint="truncated")


def _binary(data: bytes, layout: Layout, dtype: np.dtype, allow_truncated: bool) -> np.ndarray:
    """Return the raw samples, zeros for those that are missing."""
    wanted = layout.width * layout.height * layout.channels
    there = min(wanted, max(0, (len(data) - layout.offset) // dtype.itemsize))
    if there < wanted and not allow_truncated:
        raise _missing(there, wanted)
    samples = np.frombuffer(data, dtype, there, min(layout.offset, len(data)))
    return samples if there == wanted else np.concatenate([samples, np.zeros(wanted - there, dtype)])


def _bits(data: bytes, layout: Layout, allow_truncated: bool) -> np.ndarray:
    """Return a binary PBM, in which 1 is black and rows begin on whole bytes."""
    row = (layout.width + 7) // 8
    packed = _binary(data, Layout("4", row, layout.height, 1, 1, layout.offset), np.dtype("u1"), allow_truncated)
    bits = np.unpackbits(packed.reshape(layout.height, row), axis=1)[:, : layout.width]
    return np.asarray((1 - bits) * np.uint8(255))


def _text(data: bytes, layout: Layout, allow_truncated: bool) -> np.ndarray:
    """Return samples that are written as decimal numbers; PBM's may stand without blanks."""
    body = re.sub(rb"#[^\n\r]*", b" ", data[layout.offset - 1 :])
    wanted = layout.width * layout.height * layout.channels
    if layout.kind == "1":
        digits = np.frombuffer(re.sub(rb"\s", b"", body), np.uint8)[:wanted]
        if not np.isin(digits, (48, 49)).all():
            raise ImageError("holds something other than 0 and 1")
        samples: np.ndarray = (49 - digits).astype(np.uint16)
    else:
        tokens = body.split()[:wanted]
        if not all(token.isdigit() and len(token) <= 5 for token in tokens):
            raise ImageError("holds something other than numbers")
        samples = np.array(tokens, dtype="S5").astype(np.int64) if tokens else np.zeros(0, np.int64)
    if len(samples) < wanted:
        if not allow_truncated:
            raise _missing(len(samples), wanted)
        samples = np.concatenate([samples, np.zeros(wanted - len(samples), samples.dtype)])
    return samples


def _scale_samples(samples: np.ndarray, maxval: int) -> np.ndarray:
    """Scale 0..maxval to 0..255 or 0..65535, rounded to the nearest."""
    top, dtype = (65535, np.uint16) if maxval > 255 else (255, np.uint8)
    if maxval == top:
        return samples.astype(dtype)
    return ((samples.astype(np.uint64) * (2 * top) + maxval) // (2 * maxval)).astype(dtype)
