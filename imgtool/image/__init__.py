"""Read, write and convert images: bytes in, arrays out."""

from imgtool.image.read import probe, read

__all__ = ["probe", "read"]
