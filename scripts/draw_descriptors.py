"""Draw the pictures of docs/images/ that no command draws: dense SIFT, and Fisher vectors.

python scripts/draw_descriptors.py
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from imgtool.features.drawing import hog_picture
from imgtool.features.encoding import LocalSettings, encode, fit_to_images
from imgtool.features.sift import dense_sift
from imgtool.image.read import read
from imgtool.image.write import encode as encode_image

ROOT = Path(__file__).parents[1]
BIN = 8  # pixels
TEXTURES = ("brick/brick_03", "brick/brick_07", "grass/grass_03", "gravel/gravel_03")
COMPONENTS, DIMENSIONS = 16, 64
ZOOM = 4  # pixels of a number


def main() -> None:
    save("sift", sift_picture(read(ROOT / "sample_images" / "camera.png")))
    save("fisher", fisher_picture())


def save(name: str, picture: np.ndarray) -> None:
    (ROOT / "docs" / "images" / f"{name}.png").write_bytes(encode_image(picture, "png"))


def sift_picture(image: np.ndarray) -> np.ndarray:
    """Return the image and the bins of descriptors that lie beside each other without overlap."""
    found = dense_sift(image, step=4 * BIN, bin_size=BIN)
    left, top = (int(edge) - 2 * BIN + BIN // 2 for edge in found.frames[:, :2].min(axis=0))
    columns, rows = (len(np.unique(found.frames[:, axis])) for axis in (0, 1))
    bins = (found.values * found.norms[:, None]).reshape(rows, columns, 4, 4, 8).swapaxes(1, 2)
    described = image[top : top + 4 * rows * BIN, left : left + 4 * columns * BIN]
    angles = np.arange(8) * np.pi / 4
    return hog_picture(bins.reshape(4 * rows, 4 * columns, 8), (BIN, BIN), described, angles)


def fisher_picture() -> np.ndarray:
    """Return textures, each above the two halves of its Fisher vector: a row a Gaussian, red above 0, blue below."""
    images = {str(path): read(path) for path in sorted((ROOT / "sample_images" / "textures").rglob("*.png"))}
    book = fit_to_images(
        images.values(), len(images), local=LocalSettings(), components=COMPONENTS, dimensions=DIMENSIONS
    )
    parts, vectors = [], []
    for name in TEXTURES:
        image = images[str(ROOT / "sample_images" / "textures" / f"{name}.png")]
        vectors.append(encode(image, book))
        halves = [colored(half) for half in vectors[-1].reshape(2, COMPONENTS, DIMENSIONS)]
        shown = cv2.resize(cv2.cvtColor(image, cv2.COLOR_GRAY2RGB), None, fx=2, fy=2, interpolation=cv2.INTER_CUBIC)
        parts.append(centered([shown, *halves]))
    print(np.round(np.array(vectors) @ np.array(vectors).T, 2))
    return np.hstack(parts)


def colored(numbers: np.ndarray) -> np.ndarray:
    """Return numbers as colors: 0 white, red above, blue below, full from three root mean squares on."""
    share = np.clip(numbers / (3 * np.sqrt((numbers**2).mean())), -1, 1)[..., None]
    color = np.where(share > 0, np.array([1, 1 / 6, 1 / 6]), np.array([1 / 6, 1 / 3, 1]))
    picture = np.rint(255 * (1 - np.abs(share) * (1 - color))).astype(np.uint8)
    return picture.repeat(ZOOM, axis=0).repeat(ZOOM, axis=1)


def centered(pictures: list[np.ndarray]) -> np.ndarray:
    """Return pictures one above the other, a white margin around each."""
    width = max(picture.shape[1] for picture in pictures)
    rows = []
    for picture in pictures:
        spare = width - picture.shape[1]
        rows.append(np.pad(picture, ((6, 6), (6 + spare // 2, 6 + spare - spare // 2), (0, 0)), constant_values=255))
    return np.vstack(rows)


if __name__ == "__main__":
    main()
