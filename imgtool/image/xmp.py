"""XMP packets: text in XML of which only what a new picture makes wrong is changed, the rest kept byte by byte.

Source: ISO 16684-1; Adobe, "XMP Specification Part 3: Storage in Files".
"""

from __future__ import annotations

import re

from imgtool.image import marks

MAX_JPEG_BYTES = 65535 - 2 - len(marks.XMP)  # bytes of a packet that one segment of a JPEG holds
_ORIENTATION = re.compile(rb"(tiff:Orientation\s*(?:=\s*[\"']|>\s*))([1-8])(?=\s*[\"'<])")
_THUMBNAILS = re.compile(rb"<xmp:Thumbnails>.*?</xmp:Thumbnails>", re.DOTALL)
_SIZES = tuple(
    re.compile(rb"((?:%s)\s*(?:=\s*[\"']|>\s*))(\d+)(?=\s*[\"'<])" % names)
    for names in (b"exif:PixelXDimension|tiff:ImageWidth", b"exif:PixelYDimension|tiff:ImageLength")
)
# Names of what says where in the file other images are: containers, motion photos, depth and gain maps.
_OTHER_IMAGES = (
    b"photos/1.0/container", b"photos/1.0/camera", b"photos/1.0/depthmap", b"photos/1.0/image", b"photos/dd/1.0/",
    b"hdr-gain-map/1.0/", b"HDRGainMap/1.0/",
)  # fmt: skip


def upright_packet(packet: bytes) -> tuple[bytes, int]:
    """Return a packet with orientation 1 and without thumbnails, and the orientation that it named, 0 without one."""
    found = _ORIENTATION.search(packet)
    packet = _ORIENTATION.sub(rb"\g<1>1", packet)
    return _THUMBNAILS.sub(b"", packet), int(found[2]) if found else 0


def sized_packet(packet: bytes, width: int, height: int) -> bytes:
    """Return a packet that names this size wherever it names one."""
    for pattern, side in zip(_SIZES, (width, height), strict=True):
        packet = pattern.sub(rb"\g<1>%d" % side, packet)
    return packet


def describes_other_images(packet: bytes) -> bool:
    """Tell whether a packet says where in the file a gain map, a depth map or a film is, which the result lacks."""
    return any(name in packet for name in _OTHER_IMAGES)
