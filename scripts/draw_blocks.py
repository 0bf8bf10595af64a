"""Draw the building blocks of the networks for docs/networks/, with channels and sizes from their declarations.

python scripts/draw_blocks.py
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from PIL import Image, ImageDraw, ImageFont

from imgtool.networks.alexnet import alexnet
from imgtool.networks.alexnet_2012 import alexnet_2012
from imgtool.networks.declaration import Conv, Linear, MaxPool, Sequence
from imgtool.networks.densenet import densenet
from imgtool.networks.googlenet import googlenet
from imgtool.networks.resnet import resnet
from imgtool.networks.squeezenet import squeezenet
from imgtool.networks.vgg import vgg

FOLDER = Path(__file__).parents[1] / "docs" / "images"
SCALE = 2  # pixels of a unit: pages show the pictures at half their size, so that they are sharp
COLORS = 48  # of a picture's palette
LETTERS, LINE = 13, 16  # units: size of letters, and from line to line
INK, FAINT = (40, 44, 52), (120, 126, 136)
# Kind of a box -> its color and that of its edge.
FILLS = {
    "data": ((255, 255, 255), (150, 156, 166)),
    "conv": ((219, 233, 247), (58, 116, 176)),
    "pool": ((224, 241, 222), (72, 142, 76)),
    "join": ((254, 232, 201), (200, 126, 24)),
    "linear": ((234, 224, 245), (122, 86, 170)),
    "plain": ((238, 239, 241), (130, 136, 146)),
}
# Learned layer of AlexNet -> size of its kernels, and their stride where it is not 1.
ALEXNET = {"conv1": "11x11/4", "conv2": "5x5", "conv3": "3x3", "conv4": "3x3", "conv5": "3x3"} | dict.fromkeys(
    ("fc6", "fc7", "fc8"), ""
)
Point = tuple[float, float]


class Box(NamedTuple):
    """A box that was drawn: center and size, in units."""

    x: float
    y: float
    width: float
    height: float

    @property
    def left(self) -> Point:
        return self.x - self.width / 2, self.y

    @property
    def right(self) -> Point:
        return self.x + self.width / 2, self.y

    @property
    def top(self) -> Point:
        return self.x, self.y - self.height / 2


class Drawing:
    """A white picture to draw boxes, arrows and text on; x to the right, y down, in units."""

    def __init__(self, width: int, height: int) -> None:
        self.image = Image.new("RGB", (SCALE * width, SCALE * height), "white")
        self.pen = ImageDraw.Draw(self.image)

    def text(self, x: float, y: float, text: str, color=INK, anchor: str = "mm", size: int = LETTERS) -> None:
        """Write lines, of which `anchor` is at (x, y), as Pillow has it; "m" is the middle of all lines."""
        lines = text.split("\n")
        font = ImageFont.load_default(SCALE * size)
        for index, line in enumerate(lines):
            down = y + LINE * (index - (len(lines) - 1) / 2)
            self.pen.text((SCALE * x, SCALE * down), line, color, font, anchor)

    def box(self, x: float, y: float, text: str, kind: str = "conv", width: float = 84, height: float = 44) -> Box:
        fill, edge = FILLS[kind]
        corners = (x - width / 2, y - height / 2, x + width / 2, y + height / 2)
        self.pen.rounded_rectangle([SCALE * each for each in corners], 5 * SCALE, fill, edge, SCALE)
        self.text(x, y, text)
        return Box(x, y, width, height)

    def sign(self, x: float, y: float, text: str, radius: float = 13) -> Box:
        """A circle: what joins branches."""
        fill, edge = FILLS["join"]
        corners = (x - radius, y - radius, x + radius, y + radius)
        self.pen.ellipse([SCALE * each for each in corners], fill, edge, SCALE)
        self.text(x, y, text, size=17)
        return Box(x, y, 2 * radius, 2 * radius)

    def bar(self, corners: tuple[float, float, float, float], fill, edge) -> None:
        self.pen.rectangle([SCALE * each for each in corners], fill, edge, SCALE)

    def line(self, *points: Point, color=INK, width: float = 1.5) -> None:
        self.pen.line([(SCALE * x, SCALE * y) for x, y in points], color, round(SCALE * width), "curve")

    def arrow(self, *points: Point, color=INK) -> None:
        """A line through points, with a head at the last; its end goes along an axis or aslant."""
        (x0, y0), (x1, y1) = points[-2:]
        length = max(((x1 - x0) ** 2 + (y1 - y0) ** 2) ** 0.5, 1e-9)
        ux, uy = (x1 - x0) / length, (y1 - y0) / length
        neck = (x1 - 7 * ux, y1 - 7 * uy)
        self.line(*points[:-1], neck, color=color)
        head = [(x1, y1), (neck[0] - 4 * uy, neck[1] + 4 * ux), (neck[0] + 4 * uy, neck[1] - 4 * ux)]
        self.pen.polygon([(SCALE * x, SCALE * y) for x, y in head], color)

    def chain(self, boxes: Iterable[Box]) -> None:
        """An arrow from each box to the next at its right."""
        for before, after in itertools.pairwise(boxes):
            self.arrow(before.right, after.left)

    def save(self, name: str) -> None:
        file = io.BytesIO()
        colors = self.image.quantize(COLORS, dither=Image.Dither.NONE)
        colors.save(file, "png", optimize=True)
        (FOLDER / f"{name}.png").write_bytes(file.getvalue())
        print(f"{name}.png {self.image.width}x{self.image.height} {len(file.getvalue())} bytes")


def outputs(network: Sequence, side: int = 224) -> dict[str, str]:
    """Return the output of each layer by name, as `models layers` writes it."""
    return {name: "x".join(map(str, after)) for name, _, _, after in network.shapes((3, side, side))}


def channels(shape: str) -> int:
    return int(shape.partition("x")[0])


def main() -> None:
    draw_alexnet()
    draw_vgg()
    draw_googlenet()
    draw_resnet()
    draw_densenet()
    draw_squeezenet()


def draw_alexnet() -> None:
    """Two towers that meet in three places; below, the layout with one."""
    drawing = Drawing(760, 316)
    shapes, lanes = outputs(alexnet_2012(), 227), (74, 146)
    drawing.text(6, 16, "alexnet-2012: two groups; norm: local response normalization", FAINT, "lm")
    image = drawing.box(30, sum(lanes) / 2, "3\n227\n227", "data", 44, 60)
    towers = []
    for index, (name, kernel) in enumerate(ALEXNET.items()):
        if name == "fc8":
            towers.append([_alexnet_layer(drawing, index, sum(lanes) / 2, name, kernel, channels(shapes[name]))] * 2)
        else:
            share = channels(shapes[name]) // 2
            towers.append([_alexnet_layer(drawing, index, y, name, kernel, share) for y in lanes])
    for box in towers[0]:
        drawing.arrow(image.right, box.left)
    for name, before, after in zip([*ALEXNET][1:], towers[:-1], towers[1:], strict=True):
        meets = name in ("conv3", "fc6", "fc7")
        for own, other in ((0, 1), (1, 0)):
            drawing.arrow(before[own].right, after[own].left)
            if meets:
                drawing.line(before[other].right, after[own].left)
    for index, text in ((0, "norm\npool"), (1, "norm\npool"), (4, "pool")):
        _alexnet_between(drawing, index, lanes[0] - 18, text)
        _alexnet_between(drawing, index, lanes[1] + 18, text)
    _draw_one_tower(drawing, outputs(alexnet()))
    drawing.save("block_alexnet")


def _alexnet_layer(drawing: Drawing, index: int, y: float, name: str, kernel: str, count: int) -> Box:
    text = f"{name}\n{kernel}\n{count}" if kernel else f"{name}\n{count}"
    return drawing.box(104 + 89 * index, y, text, "conv" if kernel else "linear", 54, 56 if kernel else 44)


def _alexnet_between(drawing: Drawing, index: int, y: float, text: str) -> None:
    drawing.text(104 + 89 * (index + 0.5), y, text, FILLS["pool"][1], size=11)


def _draw_one_tower(drawing: Drawing, shapes: dict[str, str]) -> None:
    """The layout of torchvision."""
    y = 272
    drawing.text(6, 218, "alexnet: one tower, no normalization", FAINT, "lm")
    learned = [f"features.{layer}" for layer in (0, 3, 6, 8, 10)] + [f"classifier.{layer}" for layer in (1, 4, 6)]
    boxes = [drawing.box(30, y, "3\n224\n224", "data", 44, 60)]
    for index, ((name, kernel), layer) in enumerate(zip(ALEXNET.items(), learned, strict=True)):
        boxes.append(_alexnet_layer(drawing, index, y, name, kernel, channels(shapes[layer])))
    drawing.chain(boxes)
    for index in (0, 1, 4):
        _alexnet_between(drawing, index, y - 14, "pool")


def draw_vgg() -> None:
    """The maps of VGG-16 to scale, and what three 3x3 see."""
    drawing = Drawing(760, 420)
    x, middle = 16.0, 132.0
    begin = x
    for _, layer, _, after in vgg(16).shapes((3, 224, 224)):
        if not isinstance(layer, Conv | MaxPool | Linear):
            continue
        count, side = after[0], after[-1]
        kind = {Conv: "conv", MaxPool: "pool", Linear: "linear"}[type(layer)]
        width, height = {"conv": (count / 9, 0.85 * side), "pool": (5.0, 0.85 * side), "linear": (6.0, count / 30)}[
            kind
        ]
        drawing.bar((x, middle - height / 2, x + width, middle + height / 2), *FILLS[kind])
        x += width + 3
        if kind == "pool":
            drawing.text(x - 6, 244, f"{side}", FILLS["pool"][1])
            drawing.text((begin + x) / 2 - 5, middle - 0.85 * side - 12, f"{count}", FILLS["conv"][1])
            x += 8
            begin = x
    drawing.text(x + 6, middle, "4096\n4096\n1000", FILLS["linear"][1], "lm")
    drawing.text(752, 12, "height of a box: side of its maps; width: channels", FAINT, "rm")
    _draw_fields(drawing)
    drawing.save("block_vgg")


def _draw_fields(drawing: Drawing) -> None:
    """Seven pixels of a row, and the outputs of three 3x3 that see them."""
    step, left, top = 34, 60, 298
    counts = (7, 5, 3, 1)
    for row, count in enumerate(counts[1:], start=1):
        for x in (left + step * (index + row) for index in range(count)):
            for before in (x - step, x, x + step):
                drawing.line((before, top + step * row - 27), (x, top + step * row - 7), color=(190, 196, 205), width=1)
    for row, count in enumerate(counts):
        y = top + step * row
        for x in (left + step * (index + row) for index in range(count)):
            drawing.bar((x - 9, y - 9, x + 9, y + 9), *FILLS["conv" if row else "data"])
        name = ("pixels of a row", "first 3x3", "second 3x3", "third 3x3")[row]
        drawing.text(left + step * (7 - row) - 8, y, name, FAINT, "lm")
    text = (
        "Three layers of 3x3 see 7x7 pixels: 27 weights\nfor each pair of channels, and three ReLUs.\n"
        "One layer of 7x7: 49 weights, and one ReLU."
    )
    drawing.text(420, top + 51, text, INK, "lm")


def draw_googlenet() -> None:
    """The first inception module."""
    drawing = Drawing(760, 292)
    shapes = outputs(googlenet())
    name = "inception3a"
    count = {branch: channels(shapes[f"{name}.{branch}"]) for branch in (
        "branch1.conv", "branch2.0.conv", "branch2.1.conv", "branch3.0.conv", "branch3.1.conv", "branch4.1.conv"
    )}  # fmt: skip
    image = drawing.box(70, 130, shapes["maxpool2"], "data", 96, 30)
    join = drawing.sign(560, 130, "")
    result = drawing.box(680, 130, shapes[f"{name}.0"], "data", 100, 30)
    drawing.text(560, 162, "channels\nside by side", FILLS["join"][1])
    drawing.arrow(join.right, result.left)
    rows = [
        [("1x1", count["branch1.conv"], "conv")],
        [("1x1", count["branch2.0.conv"], "conv"), ("3x3", count["branch2.1.conv"], "conv")],
        [("1x1", count["branch3.0.conv"], "conv"), ("3x3", count["branch3.1.conv"], "conv")],
        [("max 3x3", 0, "pool"), ("1x1", count["branch4.1.conv"], "conv")],
    ]
    for row, parts in enumerate(rows):
        y = 34 + 64 * row
        places = (350,) if len(parts) == 1 else (250, 440)
        boxes = [
            drawing.box(x, y, f"{text}, {number}" if number else text, kind, 104, 36)
            for x, (text, number, kind) in zip(places, parts, strict=True)
        ]
        drawing.arrow(image.right, (150, 130), (150, y), boxes[0].left)
        drawing.chain(boxes)
        drawing.line(boxes[-1].right, (520, y), (520, 130))
    drawing.arrow((520, 130), join.left)
    drawing.text(440, 192, "5x5 in the paper", FAINT)
    drawing.text(310, 276, "each convolution with batch normalization and ReLU; none has a stride", FAINT)
    drawing.save("block_googlenet")


def draw_resnet() -> None:
    """A basic block, a bottleneck, and one that halves the sides."""
    drawing = Drawing(760, 386)
    small, large = outputs(resnet(18)), outputs(resnet(50))
    _residual(
        drawing, 70, "basic block (18, 34)", small["maxpool"],
        [f"3x3, {channels(small[f'layer1.0.conv{i}'])}" for i in (1, 2)], small["layer1.0.relu"],
    )  # fmt: skip
    plain = [f"{k}, {channels(large[f'layer1.1.conv{i}'])}" for i, k in ((1, "1x1"), (2, "3x3"), (3, "1x1"))]
    _residual(drawing, 200, "bottleneck (50, 101, 152)", large["layer1.0.relu"], plain, large["layer1.1.relu"])
    first = [f"{k}, {channels(large[f'layer2.0.conv{i}'])}" for i, k in ((1, "1x1"), (2, "3x3 / 2"), (3, "1x1"))]
    projection = f"1x1 / 2, {channels(large['layer2.0.downsample.0'])}"
    result = large["layer2.0.relu"]
    _residual(drawing, 330, "a stage's first block", large["layer1.2.relu"], first, result, projection)
    drawing.text(262, 368, "stride 2 in the paper", FAINT)
    drawing.save("block_resnet")


def _residual(
    drawing: Drawing, y: float, name: str, image: str, kernels: list[str], result: str, projection: str = ""
) -> None:
    """A row: convolutions, and the shortcut over them."""
    drawing.text(6, y - 44, name, FAINT, "lm")
    boxes = [drawing.box(70, y, image, "data", 96, 30)]
    places = (310, 470) if len(kernels) == 2 else (262, 390, 518)
    for index, (x, kernel) in enumerate(zip(places, kernels, strict=True)):
        after = "BN, ReLU" if index < len(kernels) - 1 else "BN"
        boxes.append(drawing.box(x, y, f"{kernel}\n{after}", "conv", 94))
    total = drawing.sign(612, y, "+")
    boxes += [total, drawing.box(692, y, f"ReLU\n{result}", "plain", 100)]
    drawing.chain(boxes)
    over = y - 44
    drawing.arrow((160, y), (160, over), (612, over), total.top)
    if projection:
        drawing.box(390, over, f"{projection}, BN", "conv", 134, 24)
    else:
        drawing.text(390, over - 11, "the input itself", FAINT)


def draw_densenet() -> None:
    """How the channels of a dense block grow; below, what one layer does."""
    drawing = Drawing(760, 338)
    shapes = outputs(densenet(121))
    names = [f"features.denseblock1.{index}" for index in range(6)]
    widths = [channels(shapes["features.pool0"]), *(channels(shapes[name]) for name in names)]
    shades = [(219, 233, 247), (254, 232, 201), (224, 241, 222), (234, 224, 245), (250, 220, 222), (214, 240, 240),
              (248, 244, 200)]  # fmt: skip
    bottom, step, left, unit = 214, 92, 28, 0.72
    for index, width in enumerate(widths):
        x = left + step * index
        edges = [0, *widths[: index + 1]]
        for part, (low, high) in enumerate(itertools.pairwise(edges)):
            drawing.bar((x, bottom - unit * high, x + 26, bottom - unit * low), shades[part], FILLS["data"][1])
        drawing.text(x + 13, bottom + 14, str(width))
        if index < len(names):
            box = drawing.box(x + 59, bottom - unit * width / 2, f"H{index + 1}", "conv", 30, 26)
            drawing.arrow((x + 26, box.y), box.left)
            added = bottom - unit * (width + widths[index + 1]) / 2
            drawing.arrow(box.top, (box.x, added), (x + step, added))
    drawing.text(6, 18, f"block 1 of densenet121, maps of 56x56: each layer adds {widths[1] - widths[0]} channels",
                 FAINT, "lm")  # fmt: skip
    _draw_layer_and_transition(drawing, shapes)
    drawing.save("block_densenet")


def _draw_layer_and_transition(drawing: Drawing, shapes: dict[str, str]) -> None:
    y, layer = 298, "features.denseblock1.denselayer1"
    narrow, added = (channels(shapes[f"{layer}.{conv}"]) for conv in ("conv1", "conv2"))
    drawing.text(34, y, "H:", INK, "mm")
    boxes = [drawing.box(103, y, f"BN, ReLU\n1x1, {narrow}", "conv"), drawing.box(213, y, f"BN, ReLU\n3x3, {added}")]
    drawing.chain(boxes)
    drawing.text(352, y, "transition:", INK, "mm")
    after = channels(shapes["features.transition1.conv"])
    boxes = [
        drawing.box(440, y, f"BN, ReLU\n1x1, {after}", "conv"),
        drawing.box(548, y, "mean 2x2", "pool"),
        drawing.box(672, y, shapes["features.transition1.pool"], "data", 96, 30),
    ]
    drawing.chain(boxes)


def draw_squeezenet() -> None:
    """The first fire module."""
    drawing = Drawing(760, 170)
    shapes = outputs(squeezenet("1.0"), 227)
    fire = "features.3"
    count = {part: channels(shapes[f"{fire}.{part}"]) for part in ("squeeze", "expand1x1", "expand3x3")}
    image = drawing.box(70, 76, shapes["features.2"], "data", 96, 30)
    squeeze = drawing.box(220, 76, f"squeeze\n1x1, {count['squeeze']}", "conv", 104)
    expand = [
        drawing.box(390, 40, f"expand\n1x1, {count['expand1x1']}", "conv", 104),
        drawing.box(390, 112, f"expand\n3x3, {count['expand3x3']}", "conv", 104),
    ]
    join = drawing.sign(530, 76, "")
    result = drawing.box(660, 76, shapes[f"{fire}.expand"], "data", 104, 30)
    drawing.chain([image, squeeze])
    for box in expand:
        drawing.arrow(squeeze.right, (300, 76), (300, box.y), box.left)
        drawing.line(box.right, (480, box.y), (480, 76))
    drawing.arrow((480, 76), join.left)
    drawing.arrow(join.right, result.left)
    drawing.text(530, 108, "channels\nside by side", FILLS["join"][1])
    drawing.text(310, 156, "each convolution with ReLU", FAINT)
    drawing.save("block_squeezenet")


if __name__ == "__main__":
    main()
