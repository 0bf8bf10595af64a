"""Make sample_images/ from the pictures that scikit-image bundles, and from tests/reference.

    python scripts/make_sample_images.py

Each picture's source and license stands in sample_images/README.md.
"""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import skimage.data
from PIL import Image

from imgtool.image.resize import resize
from imgtool.image.write import encode

ROOT = Path(__file__).parents[1]
OUT = ROOT / "sample_images"
TEXTURES = ("brick", "grass", "gravel")
CROPS, SIDE = 16, 96


def main() -> None:
    OUT.mkdir(exist_ok=True)
    save("astronaut.jpg", half(skimage.data.astronaut()), quality=92)
    save("camera.png", half(skimage.data.camera()))
    save("cat.jpg", skimage.data.chelsea(), quality=92)
    save("coffee.png", resize(skimage.data.coffee(), 200, 300))
    save("coins.png", skimage.data.coins())
    save("text.png", skimage.data.text())
    save("coins16.png", coins_of_16_bits())
    save("rocket_alpha.png", rocket_with_alpha())
    (OUT / "rocket_turned.jpg").write_bytes(turned(resize(skimage.data.rocket(), 213, 320)))
    save("textbook_10x10.png", np.load(ROOT / "tests/reference/filtering.npz")["textbook_input"].astype(np.uint8))
    for name in TEXTURES:
        (OUT / "textures" / name).mkdir(parents=True, exist_ok=True)
        for index, crop in enumerate(crops(getattr(skimage.data, name)())):
            save(f"textures/{name}/{name}_{index:02}.png", crop)


def save(name: str, image: np.ndarray, quality: int | None = None) -> None:
    path = OUT / name
    path.write_bytes(encode(image, path.suffix[1:], quality=quality, compression=9 if path.suffix == ".png" else None))


def half(image: np.ndarray) -> np.ndarray:
    return resize(image, image.shape[0] // 2, image.shape[1] // 2)


def coins_of_16_bits() -> np.ndarray:
    """The coins, smoothed by shrinking in floating point, so that 16 bits are needed."""
    wide = resize(skimage.data.coins().astype(np.float64), 152, 192)
    return np.rint(wide * 257).astype(np.uint16)


def rocket_with_alpha() -> np.ndarray:
    """The rocket in a disc that fades out."""
    image = resize(skimage.data.rocket(), 213, 320)
    y, x = np.mgrid[:213, :320]
    distance = np.hypot(y - 106, x - 160)
    alpha = np.clip((105 - distance) * 12, 0, 255).astype(np.uint8)
    return np.dstack([image, alpha])


def turned(image: np.ndarray) -> bytes:
    """A JPEG whose pixels lie on their side and whose EXIF tag 6 says so."""
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(np.rot90(image))).save(stream, "JPEG", quality=90, exif=exif)
    return stream.getvalue()


def crops(texture: np.ndarray) -> list[np.ndarray]:
    """Sixteen squares on a 4 x 4 grid, which do not overlap."""
    step = (texture.shape[0] - SIDE) // 3
    return [texture[y : y + SIDE, x : x + SIDE] for y in range(0, 4 * step, step) for x in range(0, 4 * step, step)]


if __name__ == "__main__":
    main()
