"""GIST as a plain port of LMgist to numpy.fft, in float64, with a prebuilt bank: what imgtool's is measured against.

Oliva and Torralba, "Modeling the shape of the scene", IJCV 42(3), 2001. It takes a gray image that already has the
right size, and is checked against imgtool's reference arrays by `python benchmarks/descriptors.py --check`.
"""

from __future__ import annotations

import numpy as np

MARGIN_PIXELS = 32


def gabor_bank(size: int, orientations: tuple[int, ...]) -> np.ndarray:
    """Return transfer functions (filters, size + 64, size + 64), zero frequency first."""
    side = size + 2 * MARGIN_PIXELS
    f = np.arange(-side // 2, side // 2)
    fx, fy = np.meshgrid(f, f)
    radius, angle = np.fft.fftshift(np.hypot(fx, fy)), np.fft.fftshift(np.arctan2(fy, fx))
    bank = []
    for scale, count in enumerate(orientations):
        for j in range(count):
            turned = angle + np.pi * j / count
            turned = turned + 2 * np.pi * (turned < -np.pi) - 2 * np.pi * (turned > np.pi)
            ring = -3.5 * (radius / side / (0.3 / 1.85**scale) - 1) ** 2
            bank.append(np.exp(ring - 2 * np.pi * (16 * count**2 / 1024) * turned**2))
    return np.array(bank)


def prefiltered(image: np.ndarray, cutoff: float = 4.0) -> np.ndarray:
    """Take away low frequencies and divide by the local deviation."""
    padded = np.pad(np.log(image + 1), 5, mode="symmetric")
    rows, columns = padded.shape
    fx, fy = np.meshgrid(np.arange(-columns // 2, columns // 2), np.arange(-rows // 2, rows // 2))
    low_pass = np.fft.fftshift(np.exp(-(fx**2 + fy**2) * np.log(2) / cutoff**2))
    high = padded - np.fft.ifft2(np.fft.fft2(padded) * low_pass).real
    deviation = np.sqrt(np.abs(np.fft.ifft2(np.fft.fft2(high**2) * low_pass)))
    return (high / (0.2 + deviation))[5:-5, 5:-5]


def gist(image: np.ndarray, bank: np.ndarray, blocks: int = 4) -> np.ndarray:
    """Describe a square gray image with an even side."""
    size = len(image)
    image = image.astype(np.float64)
    image = (image - image.min()) / (image.max() - image.min()) * 255
    spectrum = np.fft.fft2(np.pad(prefiltered(image), MARGIN_PIXELS, mode="symmetric"))
    edges = np.linspace(0, size, blocks + 1).astype(int)
    values = []
    for transfer in bank:
        response = np.abs(np.fft.ifft2(spectrum * transfer))[MARGIN_PIXELS:-MARGIN_PIXELS, MARGIN_PIXELS:-MARGIN_PIXELS]
        for column in range(blocks):
            for row in range(blocks):
                window = response[edges[row] : edges[row + 1], edges[column] : edges[column + 1]]
                values.append(window.mean())
    return np.array(values)
