"""BMP's run-length encodings of 4, 8 and 24 bits a pixel.

Source: Microsoft, "Bitmap Compression". A pair (n, value) repeats a value n times, for 4 bits its two halves in turn.
(0, 0) ends a row, (0, 1) the picture, (0, 2) is followed by a step right and up, (0, n) by n pixels as they are,
filled up to an even number of bytes.
"""

from __future__ import annotations

import numpy as np

from imgtool.errors import ImageError

_END_OF_ROW, _END, _DELTA = 0, 1, 2


def unroll(data: bytes, bits: int, shape: tuple[int, int], allow_truncated: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return pixels in the order of the file, lowest row first, and which of them the runs cover.

    Pixels are (height, width) numbers, or (height, width, 3) RGB of 24 bits. Raises ImageError when the data ends
    early (unless allow_truncated) or a run leaves the picture.
    """
    height, width = shape
    pixels = np.zeros((*shape, 3) if bits == 24 else shape, np.uint8)
    covered = np.zeros(shape, bool)
    unit = 3 if bits == 24 else 1  # bytes of a value
    x = y = position = 0
    while position + 2 <= len(data):
        count, code = data[position], data[position + 1]
        if count:
            run = _values(data[position + 1 : position + 1 + unit], bits)
            run = np.resize(run, (count, *run.shape[1:]))
            position += 1 + unit
        elif code == _END_OF_ROW:
            x, y, position = 0, y + 1, position + 2
            continue
        elif code == _END:
            return pixels, covered
        elif code == _DELTA:
            step = data[position + 2 : position + 4]
            x, y, position = x + sum(step[:1]), y + sum(step[1:]), position + 4
            continue
        else:
            length = (code * bits + 7) // 8
            run = _values(data[position + 2 : position + 2 + length], bits)[:code]
            position += 2 + length + length % 2
            if len(run) < code:
                break
        if y >= height or x > width:
            raise ImageError("is damaged: a run lies outside the picture")
        run = run[: width - x]  # writers fill up rows of odd width
        pixels[y, x : x + len(run)] = run
        covered[y, x : x + len(run)] = True
        x += len(run)
    if not allow_truncated and not covered.all():
        raise ImageError("is cut: its runs do not end", hint="truncated")
    return pixels, covered


def _values(data: bytes, bits: int) -> np.ndarray:
    """Return the pixels that bytes hold."""
    values = np.frombuffer(data, np.uint8)
    if bits == 4:
        return np.stack([values >> 4, values & 15], axis=1).reshape(-1)
    return values[: len(values) // 3 * 3].reshape(-1, 3)[:, ::-1] if bits == 24 else values
