"""Pictures side by side: what an image looks like, panels, contact sheets. Arrays in, RGB uint8 out."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import NamedTuple

import numpy as np

from imgtool.image.color import to_rgb
from imgtool.image.pixels import to_pixels
from imgtool.image.resize import resize

GAP_PIXELS = 8  # pixels between two panels
CAPTION_PIXELS = 16  # below a panel, of which the text takes 12
PANEL_PIXELS = 96  # that small images are enlarged to, at least, by a whole number
FRAME_COLOR = (220, 40, 40)  # around the image that was looked for
SHEET_PIXELS = 740  # that a sheet of panels is wide at most: as a column of text, so that its captions are read
SQUARE_PIXELS = 4  # from which on a magnified pixel is a square
MAX_PANEL_PIXELS = 288  # of a panel's longer side
LETTER_PIXELS = 12  # height of the letters in captions and pictures


class Panel(NamedTuple):
    """A picture, RGB uint8, and what stands below it, in one line or several."""

    picture: np.ndarray
    caption: str = ""


def contact_sheet(images: Sequence[np.ndarray | None], side: int) -> np.ndarray:
    """Return thumbnails in rows, the first in a frame: what was looked for; None leaves its place empty.

    side: pixels that a thumbnail has at most, in either direction.
    """
    columns = math.ceil(math.sqrt(len(images)))
    rows, cell = -(-len(images) // columns), side + GAP_PIXELS
    sheet = np.full((rows * cell + GAP_PIXELS, columns * cell + GAP_PIXELS, 3), 255, np.uint8)
    for index, image in enumerate(images):
        if image is None:
            continue
        top, left = GAP_PIXELS + index // columns * cell, GAP_PIXELS + index % columns * cell
        factor = side / max(image.shape[:2])
        height, width = (max(1, round(factor * length)) for length in image.shape[:2])
        top, left = top + (side - height) // 2, left + (side - width) // 2
        if index == 0:
            sheet[top - 4 : top + height + 4, left - 4 : left + width + 4] = FRAME_COLOR
        sheet[top : top + height, left : left + width] = resize(to_viewable(image), height, width)
    return sheet


def captioned_sheet(images: Sequence[np.ndarray], captions: Sequence[str], columns: int = 8) -> np.ndarray:
    """Return images of one size in rows, each above its caption; small ones with each pixel as a square of several.

    So every pixel of an image can be seen, and is found again in the sheet as it is. A caption that is too long ends in
    an ellipsis.
    """
    views = [to_viewable(image) for image in images]
    height, width = views[0].shape[:2]
    scale = -(-PANEL_PIXELS // min(height, width))
    cell_rows, cell_columns = scale * height + CAPTION_PIXELS + GAP_PIXELS, scale * width + GAP_PIXELS
    columns = min(columns, len(views))
    rows = -(-len(views) // columns)
    sheet = np.full((GAP_PIXELS + rows * cell_rows, GAP_PIXELS + columns * cell_columns, 3), 255, np.uint8)
    for index, (view, caption) in enumerate(zip(views, captions, strict=True)):
        row, column = divmod(index, columns)
        top, left = GAP_PIXELS + row * cell_rows, GAP_PIXELS + column * cell_columns
        panel = view.repeat(scale, axis=0).repeat(scale, axis=1)
        sheet[top : top + scale * height, left : left + scale * width] = panel
        text = caption_picture(caption, scale * width)
        sheet[top + scale * height : top + scale * height + CAPTION_PIXELS, left : left + scale * width] = text
    return sheet


def panel_pixels(columns: int) -> int:
    """Return the longer side of panels that stand in so many columns of a sheet."""
    return min((SHEET_PIXELS - GAP_PIXELS) // columns - GAP_PIXELS, MAX_PANEL_PIXELS)


def panel_sheet(rows: Sequence[Sequence[Panel | None]]) -> np.ndarray:
    """Return rows of panels, each above its caption, in columns as wide as their widest; None leaves a place empty."""
    count = max(map(len, rows))
    shown = [[*row, *[None] * (count - len(row))] for row in rows]
    widths = [max(each.picture.shape[1] if each else 0 for each in column) for column in zip(*shown, strict=True)]
    return np.vstack(
        [_white(GAP_PIXELS, sum(widths) + GAP_PIXELS * (count + 1)), *(_band(row, widths) for row in shown)]
    )


def stacked(sheets: Sequence[np.ndarray]) -> np.ndarray:
    """Return sheets one below the other, narrower ones with white at their right."""
    width = max(each.shape[1] for each in sheets)
    return np.vstack([np.hstack([each, _white(len(each), width - each.shape[1])]) for each in sheets])


def _band(row: Sequence[Panel | None], widths: Sequence[int]) -> np.ndarray:
    """Return one row of panels, their captions on one line, with a gap below."""
    there = [each for each in row if each]
    height = max((len(each.picture) for each in there), default=0)
    lines = max((each.caption.count("\n") + 1 for each in there if each.caption), default=0)
    band = _white(height + lines * CAPTION_PIXELS + GAP_PIXELS, sum(widths) + GAP_PIXELS * (len(widths) + 1))
    left = GAP_PIXELS
    for each, width in zip(row, widths, strict=True):
        if each:
            band[: len(each.picture), left : left + each.picture.shape[1]] = each.picture
            for index, line in enumerate(each.caption.splitlines()):
                top = height + index * CAPTION_PIXELS
                band[top : top + CAPTION_PIXELS, left : left + width] = caption_picture(line, width)
        left += width + GAP_PIXELS
    return band


def _white(height: int, width: int) -> np.ndarray:
    return np.full((height, width, 3), 255, np.uint8)


def fitted(image: np.ndarray, side: int) -> np.ndarray:
    """Return an image (height, width, ...) uint8 whose longer side is `side`.

    One that is a small part of it is magnified by a whole number, each pixel to a square, so that its pixels can be
    seen; its side may then be a little shorter.
    """
    factor = side / max(image.shape[:2])
    if factor >= SQUARE_PIXELS:
        return image.repeat(int(factor), axis=0).repeat(int(factor), axis=1)
    height, width = (max(1, round(factor * length)) for length in image.shape[:2])
    return resize(image, height, width)


def with_texts(picture: np.ndarray, texts: Iterable[tuple[float, float, str]]) -> np.ndarray:
    """Return a picture with texts, each centered at a point (x, y), black where the picture is light, else white."""
    from PIL import Image, ImageDraw, ImageFont

    drawn, font = Image.fromarray(picture), ImageFont.load_default(LETTER_PIXELS)
    draw = ImageDraw.Draw(drawn)
    for x, y, text in texts:
        red, green, blue = picture[min(int(y), len(picture) - 1), min(int(x), picture.shape[1] - 1)].tolist()
        light = 0.3 * red + 0.59 * green + 0.11 * blue > 110
        draw.text((x, y), text, fill="black" if light else "white", font=font, anchor="mm")
    return np.asarray(drawn)


def text_width(text: str) -> float:
    """Return how many pixels a text takes in pictures and captions."""
    from PIL import ImageFont

    return float(ImageFont.load_default(LETTER_PIXELS).getlength(text))


def caption_picture(text: str, width: int) -> np.ndarray:
    """Return one line of text, black on white, as (CAPTION_PIXELS, width, 3); characters without a glyph as boxes."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(LETTER_PIXELS)
    text = "".join(character if character.isprintable() else "?" for character in text)
    shown = text
    while len(shown) > 1 and font.getlength(shown) > width:
        text = text[:-1]
        shown = f"{text}..."
    picture = Image.new("RGB", (width, CAPTION_PIXELS), "white")
    ImageDraw.Draw(picture).text((0, 1), shown, fill="black", font=font)
    return np.asarray(picture)


def to_viewable(image: np.ndarray) -> np.ndarray:
    """Return RGB uint8 without alpha; floating point values are stretched from black to white."""
    color = to_rgb(image)
    if color.dtype == np.uint8:
        return color
    shown = "stretch" if color.dtype.kind == "f" else "clip"
    return to_pixels(color.astype(np.float64), shown, depth="8", like=color.dtype).pixels


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Return two pictures of one height side by side, a white gap between them."""
    gap = np.full((len(left), GAP_PIXELS, 3), 255, np.uint8)
    return np.hstack([left, gap, right.astype(np.uint8)])
