"""The table of decoders: apart from what these import, so that nothing imports itself."""

from __future__ import annotations

# Format -> module of codecs with `header(data)`, `decode(data, allow_truncated)` and, where the format has room for
# any, `metadata(content, found)`.
#
# png   OpenCV for 16 bits and plain 8 bits, else Pillow (Pillow makes 16-bit color 8-bit, OpenCV mistakes tRNS); chunks
#       by ourselves: whether all rows are there, and what there is of a cut file
# jpeg  OpenCV for common ones that end as they should (the same bits, faster), else Pillow
# webp  Pillow: it says when a file is cut, which OpenCV does not
# jp2   Pillow, OpenCV for several components above 8 bits (Pillow makes them 8-bit); boxes by ourselves: palettes,
#       order of channels, color space
# gif   Pillow; sizes, transparent gray and background by ourselves
# bmp, pnm, npy   short enough to read ourselves (readers differ on BMP's bit fields, runs and palettes; OpenCV ignores
#       PNM's maxval)
# tiff  tifffile for tags; strips, tiles, depths, predictors, photometry, palette, orientation by ourselves, since
#       tifffile leaves most of it to a package of 40 MB; LZW, PackBits, Zstandard, fax, JPEG, WebP by Pillow's codecs,
#       one strip at a time
# avif, heic   Pillow and pillow-heif; sizes, depth and number of images by ourselves
DECODERS = {
    "png": "imgtool.image.codecs.png",
    "jpeg": "imgtool.image.codecs.jpeg",
    "webp": "imgtool.image.codecs.webp",
    "gif": "imgtool.image.codecs.gif",
    "bmp": "imgtool.image.codecs.bmp",
    "jp2": "imgtool.image.codecs.jp2",
    "tiff": "imgtool.image.codecs.tiff",
    "pnm": "imgtool.image.codecs.pnm",
    "npy": "imgtool.image.codecs.npy",
    "avif": "imgtool.image.codecs.avif",
    "heic": "imgtool.image.codecs.heic",
}
