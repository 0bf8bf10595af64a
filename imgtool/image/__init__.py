"""Read, write and convert images: bytes in, arrays out."""
