"""How files mark pieces of metadata, and how large one may be: apart, so that images without any import no more."""

MAX_PIECE_BYTES = 1 << 24
EXIF = b"Exif\0\0"  # what a JPEG's segment has before a block
XMP = b"http://ns.adobe.com/xap/1.0/\0"  # ... and before a packet
XMP_EXTENSION = b"http://ns.adobe.com/xmp/extension/\0"
XMP_KEYWORD = b"XML:com.adobe.xmp"  # PNG's name of a packet
JP2_EXIF = b"JpgTiffExif->JP2"  # a JPEG 2000's box that holds a block
JP2_XMP = bytes.fromhex("be7acfcb97a942e89c71999491e3afac")  # ... and a packet
JP2_PROFILE = b"\2\0\0"  # and what stands before a profile where its color space is said
