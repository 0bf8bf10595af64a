"""The formats that imgtool reads, told by their first bytes, and what a file's header says of its image."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import NamedTuple

from imgtool.errors import ImageError

MAX_PIXELS = 178_000_000  # an image that has more is refused unless told otherwise

_SIGNATURES = {
    "png": rb"\x89PNG\r\n\x1a\n",
    "jpeg": rb"\xff\xd8",
    "webp": rb"RIFF....WEBP",
    "gif": rb"GIF8[79]a",
    "bmp": rb"BM",
    "jp2": rb"\x00\x00\x00\x0cjP  \r\n\x87\n|\xff\x4f\xff\x51",
    "tiff": rb"II[*+]\x00|MM\x00[*+]",
    "pnm": rb"P[1-7Ff][\s#]",
    "npy": rb"\x93NUMPY",
}
SIGNATURES = {name: re.compile(signature, re.DOTALL) for name, signature in _SIGNATURES.items()}
READ = (*SIGNATURES, "avif", "heic")  # formats; `decoders` says by what

# The brands of ISO's media files: what each holds.
_BRANDS = {
    "avif": (b"avif", b"avis"),
    "heic": (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs"),
    "camera raw (CR3)": (b"crx ",),
}

# What else is known by its first bytes, so that it is refused by its name. Signatures of two bytes come last.
_UNREAD = {
    "JPEG XL": rb"\xff\x0a|\x00\x00\x00\x0cJXL \r\n\x87\n",
    "camera raw (RAF)": rb"FUJIFILMCCD-RAW",
    "camera raw (ORF)": rb"IIR[OS]|MMOR",
    "camera raw (RW2)": rb"IIU\x00",
    "camera raw (CRW)": rb"II\x1a\x00\x00\x00HEAPCCDR",
    "camera raw (X3F)": rb"FOVb",
    "camera raw (MRW)": rb"\x00MRM",
    "PSD": rb"8BPS",
    "ICO": rb"\x00\x00[\x01\x02]\x00[^\x00]\x00",
    "PDF": rb"[\s\S]{0,1000}?%PDF-",
    "EPS": rb"%!PS|\xc5\xd0\xd3\xc6",
    "SVG": rb"(?:\xef\xbb\xbf)?\s*<(?:svg|!DOCTYPE svg|(?:\?xml|!--)[\s\S]{0,2000}?<svg)",
    "OpenEXR": rb"\x76\x2f\x31\x01",
    "Radiance HDR": rb"#\?R(?:ADIANCE|GBE)",
    "JPEG XR": rb"II\xbc[\x00\x01]",
    "DDS": rb"DDS ",
    "QOI": rb"qoif",
    "FITS": rb"SIMPLE  =",
    "ICNS": rb"icns",
    "DjVu": rb"AT&TFORM",
    "FLIF": rb"FLIF",
    "BPG": rb"BPG\xfb",
    "XCF": rb"gimp xcf ",
    "JPEG-LS": rb"\xff\xd8\xff\xf7",
    "a GZIP archive": rb"\x1f\x8b",
    "a ZIP archive": rb"PK\x03\x04",
    "Sun raster": rb"\x59\xa6\x6a\x95",
    "PCX": rb"\x0a[\x00\x02-\x05][\x00\x01][\x01\x02\x04\x08]",
    "SGI": rb"\x01\xda[\x00\x01][\x01\x02]",
    # no color map or one of 24 or 32 bits, a known type, and a depth
    "TGA": rb".(?:\x00[\x02\x03\x0a\x0b].{5}|\x01[\x01\x09]...\x01[\x18\x20]).{8}[\x08\x0f\x10\x18\x20][\x00-\x3f]",
}
_UNREAD_SIGNATURES = {name: re.compile(signature, re.DOTALL) for name, signature in _UNREAD.items()}
_HEAD_BYTES = 4096  # in which a signature stands

# The names of an image's bands, by their number.
BANDS = {
    1: ("gray",),
    2: ("gray", "alpha"),
    3: ("red", "green", "blue"),
    4: ("red", "green", "blue", "alpha"),
}


# Formats whose files may hold several pages, frames or images: `header` and `decode` of their modules take `page`.
PAGED = frozenset({"png", "jpeg", "webp", "gif", "tiff", "pnm", "avif", "heic"})


class Page(NamedTuple):
    """What one page, frame or image of a file is, and its size as it is displayed."""

    kind: str
    width: int
    height: int


@dataclass(frozen=True)
class Header:
    """What a file says of itself before its pixels are decoded.

    orientation is EXIF's, 1 to 8, as stored; profile is the name or size of a color profile, None without one; page is
    the number of the page described, counted from 1; pages are all that the file holds; bands are the names of the
    samples of a pixel: the last are those beyond color and alpha, which `channels` does not count; broken: a link to a
    further page leads nowhere.
    """

    format: str
    height: int
    width: int
    channels: int
    dtype: str
    orientation: int = 1
    profile: str | None = None
    page: int = 1
    pages: tuple[Page, ...] = ()
    bands: tuple[str, ...] = ()
    broken: bool = False

    def __post_init__(self) -> None:
        pages = self.pages or (Page("image", self.width, self.height),)
        object.__setattr__(self, "pages", tuple(Page(*each) for each in pages))
        object.__setattr__(self, "bands", tuple(self.bands) or BANDS.get(self.channels, ()))


def require_page(page: int | None, count: int, broken: bool = False) -> int:
    """Return the number of the page to read, the first unless told otherwise. Raises ImageError without that page."""
    if page is not None and page > count:
        more = ", and a link to a further one that leads nowhere" if broken else ""
        raise ImageError(f"has no page {page}: it holds {count}{more}")
    return page or 1


def format_of_bytes(data: bytes) -> str:
    """Return the format that the first bytes tell. Raises ImageError when it is none that imgtool reads."""
    for name, signature in SIGNATURES.items():
        if signature.match(data):
            return name
    head = bytes(data[:_HEAD_BYTES])
    name = _format_of_brands(head) if head[4:8] == b"ftyp" else ""
    if name in READ:
        return name
    for unread, pattern in _UNREAD_SIGNATURES.items():
        if not name and pattern.match(head):
            name = unread
    if name:
        raise ImageError(f"is {name}, which imgtool does not read (it reads {', '.join(READ)})")
    raise ImageError(f"is no image that imgtool reads ({', '.join(READ)})")


def _format_of_brands(head: bytes) -> str:
    """Return what a media file is by its brands: the first that is known, the main one before the others."""
    end = int.from_bytes(head[:4], "big")
    for brand in [head[8:12], *(head[k : k + 4] for k in range(16, min(end, len(head)), 4))]:
        for name, brands in _BRANDS.items():
            if brand in brands:
                return name
    return "a video or another media file"
