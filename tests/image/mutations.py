"""Read files that are damaged on purpose, and say what should not be: `python mutations.py FIRST LAST`.

File number n is the same on every machine. What is printed: a line `n: TROUBLE` where something other than an
ImageError is raised, or an image comes that is not what its header says; at the end the counts. A file
that takes over 20 seconds ends the process by SIGALRM. Run by test_reliability.py, in processes of its own.
"""

import io
import signal
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from imgtool.errors import ImageError
from imgtool.image import encode, probe, read

SAMPLES = Path(__file__).parents[2] / "sample_images"
SECONDS = 20


def seeds():
    """Return whole files of every format and of many kinds, small ones."""
    rng = np.random.default_rng(0)
    color = np.kron(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8), np.ones((5, 6, 1), np.uint8))
    gray, deep = color[:, :, 0], color.astype(np.uint16) * 257
    real = color.astype(np.float32)
    alpha = np.dstack([color, gray])
    files = [path.read_bytes() for path in sorted(SAMPLES.iterdir()) if path.suffix in (".png", ".jpg")]
    files = [data for data in files if len(data) < 200_000]
    for image, formats in (
        (color, "png jpeg webp bmp tiff jp2 pnm pam npy"),
        (gray, "png jpeg bmp tiff jp2 pnm npy"),
        (deep, "png tiff jp2 pnm pam npy"),
        (alpha, "png webp bmp tiff jp2 pam npy"),
        (real, "tiff pfm npy"),
    ):
        files += [encode(image, name) for name in formats.split()]
    picture = Image.fromarray(color)
    palette = picture.quantize(16)
    for image, name, options in (
        (palette, "PNG", {"transparency": 3}), (picture, "JPEG", {"progressive": True}),
        (picture.convert("CMYK"), "JPEG", {}), (palette, "GIF", {}), (palette, "GIF", {"transparency": 2}),
        (palette, "BMP", {}), (picture.convert("1"), "BMP", {}), (picture, "WEBP", {"lossless": True}),
        (picture.convert("1"), "TIFF", {"compression": "group4"}),
        (picture.convert("1"), "TIFF", {"compression": "group3"}),
        (picture, "TIFF", {"compression": "tiff_lzw"}), (picture, "TIFF", {"compression": "jpeg"}),
        (palette, "TIFF", {"compression": "packbits"}), (picture, "TIFF", {"compression": "zstd"}),
    ):  # fmt: skip
        stream = io.BytesIO()
        image.save(stream, name, **options)
        files.append(stream.getvalue())
    for image, options in (
        (deep, {"compression": "zlib", "tile": (16, 16)}),
        (real, {"compression": "zlib", "byteorder": ">"}),
        (np.moveaxis(color, 2, 0), {"planarconfig": "separate", "photometric": "rgb", "rowsperstrip": 7}),
        (gray, {"bigtiff": True, "byteorder": ">", "photometric": "miniswhite"}),
    ):
        stream = io.BytesIO()
        tifffile.imwrite(stream, np.ascontiguousarray(image), metadata=None, **options)
        files.append(stream.getvalue())
    return files


def mutated(data, others, rng):
    """Return the file with bytes flipped, cut, doubled, or replaced by a piece of another file; sometimes several."""
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        reach = min(len(data), 200) if rng.random() < 0.5 else len(data)  # headers are short, and matter most
        place, length = (int(rng.integers(0, max(1, n))) for n in (reach, min(len(data), 64)))
        kind = rng.choice(["flip", "flip", "number", "cut", "double", "splice"])
        if kind == "flip":
            for at in rng.integers(0, max(1, reach), rng.integers(1, 12)):
                data[at : at + 1] = bytes(byte ^ 1 << int(rng.integers(8)) for byte in data[at : at + 1])
        elif kind == "number":
            data[place : place + 4] = rng.choice([b"\xff\xff\xff\xff", bytes(4), b"\x7f\xff\xff\xff", b"\0\0\0\1"])
        elif kind == "cut":
            del data[int(rng.integers(0, len(data) + 1)) :]
        elif kind == "double":
            data[place:place] = data[place : place + length]
        else:
            other = others[rng.integers(len(others))]
            begin = int(rng.integers(0, len(other)))
            data[place : place + length] = other[begin : begin + length]
    return with_sums(data) if data[:4] == b"\x89PNG" and rng.random() < 0.8 else bytes(data)


def with_sums(data):
    """Return a PNG whose chunks have the right check sums, so that what is wrong in them is looked at."""
    place = 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            break
        struct.pack_into(">I", data, place + 8 + length, zlib.crc32(data[place + 4 : place + 8 + length]))
        place += 12 + length
    return bytes(data)


def trouble(data, **options):
    """Return what is wrong with how a file was read, None when all is well, and whether it gave an image."""
    try:
        header = probe(data)
        image = read(data, **options)
    except ImageError as error:
        text = str(error)
        return (f"the reason is {text!r}" if "\n" in text or not text else None), False
    except BaseException as error:
        return f"{type(error).__name__}: {error}", False
    channels = image.shape[2] if image.ndim == 3 else 1
    said = (header.height, header.width, header.dtype)
    got = (*image.shape[:2], image.dtype.name)
    if said != got or (header.channels != channels and header.format != "bmp"):  # a BMP's runs may leave out pixels
        return f"{header} but {image.shape} {image.dtype}", True
    return None, True


def main(first, last):
    """Read files number first to last - 1, each whole, and again as a cut one if it is refused."""
    alarm = getattr(signal, "alarm", int)
    files, counts = seeds(), {"read": 0, "read as cut": 0, "refused": 0}
    for number in range(first, last):
        alarm(SECONDS)
        data = mutated(files[number % len(files)], files, np.random.default_rng([13, number]))
        what, given = trouble(data)
        as_cut, given_as_cut = (None, False) if given else trouble(data, allow_truncated=True)
        counts["read" if given else "read as cut" if given_as_cut else "refused"] += 1
        for each in filter(None, (what, as_cut)):
            print(f"{number}: {each}", flush=True)
    print(*(f"{name}: {count}" for name, count in counts.items()), sep=", ")


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
