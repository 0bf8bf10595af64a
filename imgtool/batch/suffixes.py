"""How files in folders are told by their names: images, formats that are not read, and what belongs to no one.

A file that is named on the command line is read whatever its name; its first bytes tell the format
(`imgtool.image.codecs.header`).
"""

from __future__ import annotations

import functools
import importlib.util
import os

from imgtool.errors import EXTRAS

# Format, as `imgtool.image` calls it -> suffixes of its files.
SUFFIXES = {
    "avif": (".avif", ".avifs"),
    "bmp": (".bmp", ".dib"),
    "gif": (".gif",),
    "jp2": (".jp2", ".j2k", ".j2c", ".jpc", ".jpf", ".jpx"),
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif", ".jfi", ".jif", ".mpo"),
    "npy": (".npy",),
    "png": (".png", ".apng"),
    "pnm": (".pnm", ".pbm", ".pgm", ".ppm", ".pam", ".pfm"),
    "tiff": (".tif", ".tiff", ".btf", ".tf8"),
    "webp": (".webp",),
    "heic": (".heic", ".heif", ".hif", ".heics", ".heifs"),
}
IMAGE_SUFFIXES = frozenset(suffix for suffixes in SUFFIXES.values() for suffix in suffixes)

# Format -> the extra that reads it, and the module that tells whether the extra is there.
NEEDED = {"heic": ("heif", "pillow_heif")}

# What files of formats that are not read are called, and their suffixes.
_UNREAD = {
    "camera raw": ".3fr .ari .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos .mrw .nef .nrw .orf .pef"
    " .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f",
    "BPG": ".bpg",
    "DDS": ".dds",
    "DjVu": ".djv .djvu",
    "EPS": ".eps",
    "FITS": ".fit .fits .fts",
    "FLIF": ".flif",
    "ICNS": ".icns",
    "ICO": ".ico .cur",
    "JPEG XL": ".jxl",
    "JPEG XR": ".hdp .jxr .wdp",
    "JPEG-LS": ".jls",
    "OpenEXR": ".exr",
    "PCX": ".pcx",
    "PDF": ".pdf",
    "PSD": ".psd .psb",
    "QOI": ".qoi",
    "Radiance HDR": ".hdr",
    "SGI": ".sgi .rgb .rgba .bw",
    "SVG": ".svg .svgz",
    "Sun raster": ".ras",
    "TGA": ".tga .icb .vda .vst",
    "WMF": ".emf .wmf",
    "XCF": ".xcf",
    "XPM": ".xbm .xpm",
}
_UNREAD_SUFFIXES = {suffix: name for name, suffixes in _UNREAD.items() for suffix in suffixes.split()}

# What systems put among a user's files, beside what is hidden.
_STRANGERS = {
    "@eadir", "__macosx", "lost+found", "thumbs.db", "desktop.ini", "#recycle", "@recycle", "$recycle.bin",
    "system volume information",
}  # fmt: skip


def is_stranger(name: str) -> bool:
    """Tell whether a file or folder is hidden, or put there by a system, so that nothing is said of it."""
    return name.startswith(".") or name.lower() in _STRANGERS


def is_image_name(name: str) -> bool:
    """Tell whether a name is that of an image that can be read here, if it is whole."""
    suffix = os.path.splitext(name)[1].lower()
    return suffix in IMAGE_SUFFIXES and suffix not in _lacking()


def unread_kind(name: str) -> str:
    """Return what kind of image a file is by its name that cannot be read here; "" for a file that is none."""
    suffix = os.path.splitext(name)[1].lower()
    return _lacking().get(suffix) or _UNREAD_SUFFIXES.get(suffix, "")


@functools.cache
def _lacking() -> dict[str, str]:
    """Return the suffixes of formats whose extra is not installed, and what is said of them."""
    missing = {name: extra for name, (extra, module) in NEEDED.items() if importlib.util.find_spec(module) is None}
    return {
        suffix: f"{name.upper()}, which needs the extra '{extra}': pip install "
        + " ".join(f'"{each}"' for each in EXTRAS[extra])
        for name, extra in missing.items()
        for suffix in SUFFIXES[name]
    }
