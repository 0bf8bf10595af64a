"""Metadata: what is kept, in which format and by which command, as Pillow and tifffile see it; what is not is said."""

import io
import json
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageCms, PngImagePlugin, features

import imgtool
from imgtool.cli.main import execute
from imgtool.errors import ImageError
from imgtool.image.codecs.header import format_of_bytes
from imgtool.image.embedding import add_tags
from imgtool.image.metadata import PLACES, from_plain, to_plain
from imgtool.image.resolution import Resolution

PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PIXELS = np.add.outer(np.arange(20) * 3, np.arange(30) * 2)[:, :, None].astype(np.uint8) + np.arange(3, dtype=np.uint8)
THUMBNAIL = b"\xff\xd8THUMBNAIL\xff\xd9"
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:Description tiff:Orientation="%d" dc:title="T"/></x:xmpmeta>'
MAKE, MODEL, ORIENTATION, DATE, EXIF, GPS, MAKER_NOTE = 271, 272, 274, 306, 34665, 34853, 37500


def entry(tag, kind, count, value, order):
    return struct.pack(order + "HHI", tag, kind, count) + value


def exif_block(order="<", *, orientation=1, maker_note=b"", thumbnail=True, width=30):
    """Return a block as cameras write it: main directory, EXIF's and GPS's, a second one with a thumbnail."""
    short, long = (lambda n: struct.pack(order + "HH", n, 0)), (lambda n: struct.pack(order + "I", n))
    main, exif, gps, second = 8, 200, 300, 340
    note = 400 + len(THUMBNAIL)

    def directory(entries, following=0):
        return struct.pack(order + "H", len(entries)) + b"".join(entries) + long(following)

    parts = {
        0: (b"II*\0" if order == "<" else b"MM\0*") + long(main),
        main: directory(
            [entry(MAKE, 2, 4, b"Cam\0", order), entry(ORIENTATION, 3, 1, short(orientation), order),
             entry(DATE, 2, 20, long(150), order), entry(EXIF, 4, 1, long(exif), order),
             entry(GPS, 4, 1, long(gps), order)], second if thumbnail else 0),
        150: b"2024:01:02 03:04:05\0",
        exif: directory(
            [entry(33434, 5, 1, long(280), order), entry(40962, 3, 1, short(width), order),
             entry(40963, 4, 1, long(20), order)]
            + ([entry(MAKER_NOTE, 7, len(maker_note), long(note), order)] if maker_note else [])),
        280: struct.pack(order + "II", 1, 125),
        gps: directory([entry(1, 2, 2, b"N\0\0\0", order)]),
        second: directory([entry(513, 4, 1, long(400), order), entry(514, 4, 1, long(len(THUMBNAIL)), order)]),
        400: THUMBNAIL,
        note: maker_note,
    }  # fmt: skip
    block = bytearray(max(place + len(part) for place, part in parts.items()))
    for place, part in parts.items():
        if thumbnail or place not in (second, 400):
            block[place : place + len(part)] = part
    return bytes(block)


def save(format, pixels=PIXELS, *, exif=b"", profile=None, dpi=None, xmp=b"", **options):
    """Return a file that Pillow wrote."""
    given = {"exif": b"Exif\0\0" + exif} if exif and format != "TIFF" else {}
    given |= {"xmp": xmp} if xmp and format in ("JPEG", "WEBP") else {}
    given |= {"icc_profile": profile} if profile else {}
    given |= {"dpi": dpi} if dpi and format != "WEBP" else {}
    if format == "PNG" and xmp:
        texts = PngImagePlugin.PngInfo()
        texts.add_itxt("XML:com.adobe.xmp", xmp.decode())
        given["pnginfo"] = texts
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **given, **options)
    return stream.getvalue()


def command(data, suffix, *arguments, tmp_path, name="in"):
    """Return what a command makes of a file's bytes."""
    source, target = tmp_path / name, tmp_path / f"out.{suffix}"
    source.write_bytes(data)
    assert execute([*arguments, str(source), "-o", str(target), "--force"]) == 0
    return target.read_bytes()


def as_pillow_sees(data):
    """Return profile, EXIF's tags with those below, resolution and XMP as Pillow reads them."""
    with Image.open(io.BytesIO(data)) as image:
        exif = image.getexif()
        tags = {**{tag: exif.get(tag) for tag in (MAKE, DATE)}, **exif.get_ifd(EXIF), **exif.get_ifd(GPS)}
        dpi = image.info.get("dpi")
        dpi = dpi or [float(exif.get(tag, 0)) * (2.54 if exif.get(296) == 3 else 1) for tag in (282, 283)]
        return {
            "profile": image.info.get("icc_profile"),
            "tags": {tag: value for tag, value in tags.items() if value is not None},
            "orientation": exif.get(ORIENTATION, 1),
            "dpi": tuple(round(float(each)) for each in dpi) if all(dpi) else None,
            "xmp": image.info.get("xmp") or exif.get(700),
            "thumbnail": THUMBNAIL in data,
        }


FULL = {"profile": PROFILE, "dpi": (300, 300), "exif": exif_block()}
SOURCES = {"jpeg": "JPEG", "png": "PNG", "webp": "WEBP"}
TARGETS = {"jpg": "jpeg", "png": "png", "webp": "webp", "tif": "tiff"}
KEEPING = {
    "gaussian": ("filter", "--kernel", "gaussian"), "median": ("filter", "--kernel", "median", "--size", "3"),
    "bilateral": ("filter", "--kernel", "bilateral"), "convert": ("convert",), "size": ("convert", "--size", "15x"),
}  # fmt: skip
DROPPING = {
    "sobel": ("filter", "--kernel", "sobel-x"), "stretch": ("filter", "--kernel", "box", "--range", "stretch"),
    "gradient": ("gradient",), "picture": ("gradient", "--show", "picture"), "gray": ("convert", "--color", "gray"),
}  # fmt: skip


@pytest.mark.parametrize("how", [*KEEPING, *DROPPING])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("source", SOURCES)
def test_profile_exif_and_resolution_are_kept_where_they_hold(source, target, how, tmp_path):
    data = save(SOURCES[source], **FULL)
    result = command(data, target, *{**KEEPING, **DROPPING}[how], tmp_path=tmp_path)
    seen = as_pillow_sees(result)
    width = 15 if how == "size" else 30
    assert seen["profile"] == (PROFILE if how in KEEPING else None)
    assert seen["tags"] == {MAKE: "Cam", DATE: "2024:01:02 03:04:05", 33434: 1 / 125, 40962: width,
                            40963: width * 2 // 3, 1: "N"}  # fmt: skip
    assert source == "webp" or seen["dpi"] == (300, 300)
    assert not seen["thumbnail"]


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("source", SOURCES)
def test_results_are_upright_for_all_who_read_them(source, order, orientation, tmp_path):
    block = exif_block(order, orientation=orientation)
    data = save(SOURCES[source], exif=block, xmp=XMP % orientation, dpi=(300, 150))
    for target in TARGETS:
        seen = as_pillow_sees(command(data, target, "convert", tmp_path=tmp_path))
        assert seen["orientation"] == 1
        assert seen["xmp"] == XMP % 1
        assert (seen["tags"][40962], seen["tags"][40963]) == ((20, 30) if orientation >= 5 else (30, 20))
        if source != "webp":
            assert seen["dpi"] == ((150, 300) if orientation >= 5 else (300, 150))


@pytest.mark.parametrize("target", [*TARGETS, "bmp", "jp2", "npy"])
@pytest.mark.parametrize("source", SOURCES)
def test_strip_writes_no_metadata_and_says_nothing(source, target, tmp_path, capfd):
    result = command(save(SOURCES[source], **FULL, xmp=XMP % 6), target, "convert", "--strip", tmp_path=tmp_path)
    assert not imgtool.read_metadata(result)
    assert capfd.readouterr().err == ""
    plain = command(save(SOURCES[source], dpi=None, lossless=True), target, "convert", tmp_path=tmp_path)
    assert len(result) <= len(plain) + 2000


def parts_without_metadata(data):
    """Return a file's bytes without the parts that hold metadata."""
    if format_of_bytes(data) == "jpeg":
        kept, place = [], 2
        while data[place + 1] != 0xDA:
            end = place + 2 + int.from_bytes(data[place + 2 : place + 4], "big")
            kept += [data[place:end]] if data[place + 1] not in (0xE0, 0xE1, 0xE2, 0xFE) else []
            place = end
        return [*kept, data[place:]]
    if format_of_bytes(data) == "png":
        found, place = [], 8
        while place < len(data):
            end = place + 12 + int.from_bytes(data[place : place + 4], "big")
            found += [data[place:end]] if data[place + 4 : place + 5].isupper() else []
            place = end
        return found
    return [imgtool.read(data).tobytes()]


@pytest.mark.parametrize("target", TARGETS)
def test_pixels_are_the_same_bytes_with_metadata_as_without(target, tmp_path):
    data = save("JPEG", **FULL, xmp=XMP % 1, comment="hello")
    kept = command(data, target, "filter", "--kernel", "box", tmp_path=tmp_path)
    stripped = command(data, target, "filter", "--kernel", "box", "--strip", tmp_path=tmp_path)
    assert kept != stripped
    assert parts_without_metadata(kept) == parts_without_metadata(stripped)


GEOREFERENCE = [
    (33550, 12, 3, (10.0, 10.0, 0.0)), (33922, 12, 6, (0.0, 0.0, 0.0, 500000.0, 4600000.0, 0.0)),
    (34735, 3, 8, (1, 1, 0, 1, 3072, 0, 1, 32633)), (34736, 12, 1, (6378137.0,)), (34737, 2, 0, "WGS 84|"),
]  # fmt: skip
GDAL = [(42112, 2, 0, "<GDALMetadata><Item name='a'>1</Item></GDALMetadata>"), (42113, 2, 0, "-9999")]


def geotiff(path, pixels=PIXELS, **options):
    tags = [(*each, True) for each in GEOREFERENCE + GDAL]
    tifffile.imwrite(path, pixels, metadata=None, extratags=tags, resolution=(254, 254), resolutionunit=2,
                     datetime="2024:01:02 03:04:05", description="a field", iccprofile=PROFILE, **options)  # fmt: skip
    return path


def tiff_tags(path):
    with tifffile.TiffFile(path) as file:
        return {tag.code: tag.value for tag in file.pages[0].tags}


@pytest.mark.parametrize("byteorder", ["<", ">"], ids=["little", "big"])
@pytest.mark.parametrize("bigtiff", [False, True], ids=["tiff", "bigtiff"])
@pytest.mark.parametrize("large", [10**9, 1], ids=["whole", "strips"])
def test_georeference_stays_with_pictures_of_the_same_size(large, bigtiff, byteorder, tmp_path, monkeypatch, capfd):
    monkeypatch.setattr("imgtool.filters.strip_filter.LARGE_PIXELS", large)
    source, target = str(geotiff(tmp_path / "a.tif", bigtiff=bigtiff, byteorder=byteorder)), str(tmp_path / "b.tif")
    before = tiff_tags(source)
    where, what = [each[0] for each in GEOREFERENCE], [each[0] for each in GDAL]

    def kept(*arguments):
        assert execute([*arguments, source, "-o", target, "--force"]) == 0
        after = tiff_tags(target)
        assert (after[282], after[306], after[270]) == ((254, 1), before[306], "a field")
        return [code for code in (*where, *what, 34675) if code in after and after[code] == before[code]]

    assert kept("filter", "--kernel", "gaussian") == [*where, *what, 34675]
    assert kept("filter", "--kernel", "median", "--size", "5") == [*where, *what, 34675]
    assert kept("gradient") == kept("filter", "--kernel", "laplacian-4") == where
    assert kept("convert", "--depth", "16") == [*where, 34675]
    assert capfd.readouterr().err.count("metadata") == 0  # all by rule
    assert kept("convert", "--size", "10x") == [*what, 34675]
    assert "georeference: the picture has another size" in capfd.readouterr().err


@pytest.mark.parametrize("orientation", range(1, 9))
def test_georeference_of_pictures_that_are_stored_turned_is_left_out(orientation, tmp_path, capfd):
    tags = [(*each, True) for each in GEOREFERENCE] + [(ORIENTATION, 3, 1, orientation, True)]
    tifffile.imwrite(tmp_path / "a.tif", PIXELS, metadata=None, extratags=tags, resolution=(300, 150))
    assert execute(["convert", str(tmp_path / "a.tif"), "-o", str(tmp_path / "b.tif")]) == 0
    after = tiff_tags(tmp_path / "b.tif")
    assert ([code for code, *_ in GEOREFERENCE if code in after] == []) == (orientation > 1)
    assert ("georeference: the picture was turned upright" in capfd.readouterr().err) == (orientation > 1)
    assert after[282][0] / after[282][1] == (150 if orientation >= 5 else 300)


@pytest.mark.parametrize("target", ["tif", "png", "jpg", "webp", "npy"])
@pytest.mark.parametrize("how", ["gaussian", "median", "sobel", "gradient"])
def test_large_images_keep_what_small_ones_keep(how, target, tmp_path, monkeypatch):
    geotiff(tmp_path / "a.tif")
    (tmp_path / "a.jpg").write_bytes(save("JPEG", **FULL))
    for source in ("a.tif", "a.jpg"):
        results = []
        for large in (10**9, 1):
            monkeypatch.setattr("imgtool.filters.strip_filter.LARGE_PIXELS", large)
            command_line = [*{**KEEPING, **DROPPING}[how], str(tmp_path / source), "-o", str(tmp_path / f"b.{target}")]
            assert execute([*command_line, "--force"]) == 0
            results.append(imgtool.read_metadata(tmp_path / f"b.{target}"))
        assert results[0] == results[1]
        assert bool(results[0]) == (target != "npy")


@pytest.mark.parametrize("how", ["file", "pipe"])
def test_standard_input_and_output_are_no_exception(how, tmp_path):
    data = save("JPEG", **FULL)
    (tmp_path / "a.jpg").write_bytes(data)
    line = [sys.executable, "-m", "imgtool", "convert", "--to", "png", "-o", "-"]
    given = {"input": data} if how == "pipe" else {}
    done = subprocess.run([*line, "-" if how == "pipe" else str(tmp_path / "a.jpg")], capture_output=True, **given)
    assert as_pillow_sees(done.stdout)["profile"] == PROFILE
    assert as_pillow_sees(done.stdout)["tags"][MAKE] == "Cam"


NO_PLACE = {
    "bmp": ["ICC profile", "EXIF", "XMP"],
    "ppm": ["ICC profile", "EXIF", "XMP", "resolution"], "pam": ["ICC profile", "EXIF", "XMP", "resolution"],
    "npy": ["ICC profile", "EXIF", "XMP", "resolution"],
}  # fmt: skip


@pytest.mark.parametrize("target", NO_PLACE)
def test_F18_what_a_format_has_no_place_for_is_said(target, tmp_path, capfd):
    command(save("JPEG", **FULL, xmp=XMP % 1), target, "convert", "--json", tmp_path=tmp_path)
    out, err = capfd.readouterr()
    assert f'"left_out": {{"metadata": {len(NO_PLACE[target])}}}' in out
    for name in NO_PLACE[target]:
        assert f"{name}: " in err
    assert err.count("\n") == 1
    if target == "bmp":
        assert imgtool.read_metadata(tmp_path / f"out.{target}").resolution.per("inch")[0][0] > 0


def test_F18_what_is_dropped_by_rule_is_in_the_record_and_told_to_who_asks(tmp_path, capfd):
    data = save("PNG", profile=PROFILE)
    command(data, "png", "filter", "--kernel", "sobel-x", "--json", tmp_path=tmp_path)
    out, err = capfd.readouterr()
    assert '"metadata": 1' in out
    assert "metadata" not in err
    command(data, "png", "filter", "--kernel", "sobel-x", "-v", tmp_path=tmp_path)
    assert "ICC profile: the numbers no longer mean what it says" in capfd.readouterr().err


def boxes_of(data, inside=()):
    """Return (name, content) of each box, those in the header box, too."""
    found, place = [], 0
    while place < len(data):
        length = int.from_bytes(data[place : place + 4], "big") or len(data) - place
        name, content = data[place + 4 : place + 8], data[place + 8 : place + length]
        found += boxes_of(content) if name in (b"jp2h", b"res ") else [(name, content)]
        place += length
    assert place == len(data)
    return found


@pytest.mark.parametrize(
    "pixels", [PIXELS, PIXELS[:, :, 0], np.dstack([PIXELS, PIXELS[:, :, :1]])], ids=["rgb", "gray", "rgba"]
)
def test_jpeg_2000_holds_profile_exif_xmp_and_resolution_where_others_look_for_them(pixels, tmp_path):
    profile = PROFILE if pixels.ndim == 3 else gray_profile()
    given = save("PNG", pixels, profile=profile, exif=exif_block(), xmp=XMP % 1, dpi=(300, 150))
    data = command(given, "jp2", "convert", "--json", tmp_path=tmp_path)
    found = boxes_of(data)
    names = [name for name, _ in found]
    assert names[:3] == [b"jP  ", b"ftyp", b"ihdr"]
    assert names.index(b"colr") < names.index(b"resc") < names.index(b"uuid") < names.index(b"jp2c")
    assert [content for name, content in found if name == b"colr"] == [b"\2\0\0" + profile]
    exif, xmp = (content for name, content in found if name == b"uuid")
    assert exif[:16] == b"JpgTiffExif->JP2"  # as ExifTool writes it
    tags = Image.Exif()
    tags.load(exif[16:])
    assert (tags[MAKE], tags[ORIENTATION], tags.get_ifd(EXIF)[40962]) == ("Cam", 1, 30)
    assert xmp == bytes.fromhex("be7acfcb97a942e89c71999491e3afac") + XMP % 1  # as Adobe has it
    with Image.open(io.BytesIO(data)) as image:
        np.testing.assert_array_equal(np.asarray(image), pixels)
        assert tuple(round(each) for each in image.info["dpi"]) == (300, 150)
    import cv2

    seen = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(seen if pixels.ndim == 2 else seen[:, :, [2, 1, 0, 3][: pixels.shape[2]]], pixels)
    again = imgtool.read_metadata(data)
    assert again == imgtool.read_metadata(imgtool.encode(pixels, "jp2", metadata=again))
    assert (again.profile, again.xmp) == (profile, XMP % 1)


def gray_profile():
    """Return a gray profile of gamma 2.2."""
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, round(2.2 * 256)) + bytes(2)
    white = b"XYZ " + bytes(4) + struct.pack(">3i", 63190, 65536, 54061)
    tags = struct.pack(">I4sII4sII", 2, b"kTRC", 156, 14, b"wtpt", 172, 20)
    body = tags + curve + white
    head = bytearray(128)
    head[:4], head[8:24], head[36:40] = struct.pack(">I", 128 + len(body)), b"\2\x10\0\0mntrGRAYXYZ ", b"acsp"
    return bytes(head) + body


def test_F18_jpeg_2000_holds_no_profile_of_tables(tmp_path, capfd):
    table = PROFILE.replace(b"rTRC", b"A2B0")
    result = command(save("PNG", profile=table), "jp2", "convert", "--json", tmp_path=tmp_path)
    assert imgtool.read_metadata(result).profile is None
    out, err = capfd.readouterr()
    assert '"left_out": {"metadata": 1}' in out
    assert "ICC profile: JPEG 2000 holds profiles of curves and a matrix only" in err


def with_chunks(*chunks):
    """Return a PNG with chunks behind its header."""
    data = save("PNG")
    packed = [struct.pack(">I", len(b)) + n + b + struct.pack(">I", zlib.crc32(n + b)) for n, b in chunks]
    return data[:33] + b"".join(packed) + data[33:]


SRGB = [(b"sRGB", b"\0"), (b"gAMA", struct.pack(">I", 45455)), (b"cICP", b"\1\x0d\0\1"),
        (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000))]  # fmt: skip
OTHERS = [(b"gAMA", struct.pack(">I", 100000)), (b"cICP", b"\x09\x10\0\1"), (b"cHRM", bytes(32)), (b"mDCV", bytes(24))]
TEXTS = [(b"tEXt", b"Title\0a cat"), (b"zTXt", b"Comment\0\0" + zlib.compress(b"long")), (b"iTXt", b"k\0\0\0\0\0v")]


@pytest.mark.parametrize("chunks", [SRGB, OTHERS, TEXTS, []], ids=["srgb", "others", "texts", "none"])
@pytest.mark.parametrize("how", ["gaussian", "convert", "sobel"])
def test_chunks_of_color_and_text_stay_in_png(chunks, how, tmp_path, capfd):
    data = with_chunks(*chunks)
    kept = imgtool.read_metadata(command(data, "png", *{**KEEPING, **DROPPING}[how], tmp_path=tmp_path))
    assert list(kept.color) == [each for each in chunks if each not in TEXTS and how != "sobel"]
    assert list(kept.texts) == [each for each in chunks if each in TEXTS]
    capfd.readouterr()
    command(data, "jpg", *{**KEEPING, **DROPPING}[how], tmp_path=tmp_path)
    silent = chunks in (SRGB, []) or (chunks is OTHERS and how == "sobel")
    assert ("metadata" in capfd.readouterr().err) != silent


def test_exif_that_older_programs_write_as_text_is_exif(tmp_path):
    block = exif_block(orientation=6)
    text = b"Raw profile type exif\0\nexif\n%8d\n" % (len(block) + 6) + (b"Exif\0\0" + block).hex().encode() + b"\n"
    for chunk in ((b"tEXt", text), (b"zTXt", text[:22] + b"\0" + zlib.compress(text[22:]))):
        data = with_chunks(chunk)
        result = command(data, "png", "convert", tmp_path=tmp_path)
        assert imgtool.read(result).shape == (30, 20, 3)
        assert as_pillow_sees(result)["orientation"] == 1
        assert as_pillow_sees(result)["tags"][MAKE] == "Cam"


def test_maker_notes_stay_where_they_were_or_are_left_out_with_a_remark(tmp_path, capfd):
    block = exif_block(maker_note=b"NOTE with offsets")
    data = save("JPEG", exif=block)
    for target in ("jpg", "png", "webp"):
        kept = imgtool.read_metadata(command(data, target, "convert", tmp_path=tmp_path)).exif
        assert kept.find(b"NOTE with") == block.find(b"NOTE with")
        assert THUMBNAIL not in kept  # which stood before it
    assert capfd.readouterr().err == ""
    assert MAKER_NOTE not in as_pillow_sees(command(data, "tif", "convert", tmp_path=tmp_path))["tags"]
    assert "EXIF's maker note" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("segment", "name"),
    [(b"\xff\xedPhotoshop 3.0\08BIM\x04\x04\0\0\0\0\0\0", "IPTC"), (b"\xff\xebJP\0\0", "signature"),
     (b"\xff\xe1http://ns.adobe.com/xmp/extension/\0etc", "extended XMP"),
     (b"\xff\xe1http://ns.adobe.com/xap/1.0/\0<x hdrgm='http://ns.adobe.com/hdr-gain-map/1.0/'/>", "XMP")],
)  # fmt: skip
def test_F18_what_is_not_kept_of_a_jpeg_is_said(segment, name, tmp_path, capfd):
    data = save("JPEG")
    segment = segment[:2] + struct.pack(">H", len(segment)) + segment[2:]
    command(data[:2] + segment + data[2:], "jpg", "convert", tmp_path=tmp_path)
    assert f"({name}" in capfd.readouterr().err


@pytest.mark.parametrize("comment", [b"hello", "Gr\u00fc\u00dfe".encode(), b"caf\xe9 \0 \0"])
@pytest.mark.parametrize("source", ["JPEG", "GIF"])
def test_comments_stay_in_jpeg_and_are_texts_in_png(source, comment, tmp_path, capfd):
    data = save(source, comment=comment)
    assert imgtool.read_metadata(command(data, "jpg", "convert", tmp_path=tmp_path)).comments == (comment,)
    with Image.open(io.BytesIO(command(data, "png", "convert", tmp_path=tmp_path))) as image:
        text = comment.decode("latin-1" if b"caf" in comment else "utf-8")
        assert image.text == {"Comment": text.rstrip("\0").replace("\0", " ")}
    assert capfd.readouterr().err == ""
    command(data, "webp", "convert", tmp_path=tmp_path)
    assert "comment: WebP has no place for it" in capfd.readouterr().err


RATIOS = st.tuples(st.integers(1, 5000), st.integers(1, 60)).filter(lambda each: each[0] > 3 * each[1])
METADATA = st.builds(
    imgtool.Metadata,
    profile=st.sampled_from([None, PROFILE, PROFILE + bytes(70_000)]),
    color=st.sampled_from([(), tuple(OTHERS)]),
    exif=st.sampled_from([None, exif_block("<", thumbnail=False), exif_block(">", thumbnail=False)]),
    xmp=st.sampled_from([None, XMP % 1]),
    resolution=st.none()
    | st.builds(Resolution.valid, RATIOS, RATIOS, st.sampled_from(["inch", "centimeter", "meter"])),
    texts=st.sampled_from([(), tuple(TEXTS)]),
    comments=st.sampled_from([(), (b"one", b"two")]),
    georeference=st.sampled_from([(), ((33550, 12, struct.pack("<3d", 1, 2, 3)),)]),
    nodata=st.sampled_from([(), ((42113, 2, b"-9999\0"),)]),
)


@given(METADATA, st.sampled_from(["png", "jpeg", "webp", "tiff", "bmp", "jp2", "pnm", "npy"]))
def test_F18_what_is_written_is_read_again_and_the_rest_is_told(metadata, format):
    remarks = []
    data = imgtool.encode(PIXELS, format, metadata=metadata, remarks=remarks)
    np.testing.assert_array_equal(imgtool.read(data), imgtool.read(imgtool.encode(PIXELS, format)))
    found = imgtool.read_metadata(data)
    missing = 0
    for name, place in PLACES.items():
        given_piece, piece = getattr(metadata, name), getattr(found, name)
        if (format, name) in (("png", "comments"), ("png", "texts")):
            assert len(found.texts) == len(metadata.texts) + len(metadata.comments)
        elif format not in place.formats:
            assert not piece
            missing += len(given_piece) if name == "color" else bool(given_piece)
        elif name == "resolution" and format == "jpeg" and given_piece and not piece:
            missing += 1  # no whole numbers are near it
        elif name == "resolution" and given_piece:
            for a, b in zip(given_piece.per("inch"), piece.per("inch"), strict=True):
                assert abs(a[0] / a[1] - b[0] / b[1]) <= 0.02 + 0.01 * a[0] / a[1]
        elif name == "exif" and given_piece and format != "jp2":
            assert as_pillow_sees(data)["tags"] == as_pillow_sees(save("PNG", exif=given_piece))["tags"]
        else:
            assert piece == given_piece
    assert sum(each.count for each in remarks) == missing


def without_exception(data, remarks):
    """Read metadata and write it to all formats."""
    found = imgtool.read_metadata(data, remarks=remarks)
    for format in ("png", "jpeg", "webp", "tiff", "bmp"):
        written = imgtool.encode(PIXELS, format, metadata=found)
        np.testing.assert_array_equal(imgtool.read(written).shape, PIXELS.shape)
        imgtool.read_metadata(written)
        with Image.open(io.BytesIO(written)) as image:
            image.load()
    return found


@given(st.data())
def test_damaged_exif_harms_nothing_else(data):
    block = bytearray(exif_block(data.draw(st.sampled_from("<>"))))
    for place in data.draw(st.lists(st.integers(0, len(block) - 1), min_size=1, max_size=4)):
        block[place] = data.draw(st.integers(0, 255))
    file = save("PNG", exif=bytes(block[: data.draw(st.integers(0, len(block)))]), profile=PROFILE)
    assert without_exception(file, []).profile == PROFILE


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("place", [3, 38, 131, 140])
def test_damaged_profiles_are_left_out_with_a_remark(place, target):
    damaged, remarks = bytearray(PROFILE), []
    damaged[place - 3 : place + 1] = b"\x7fabc"
    data = imgtool.encode(PIXELS, TARGETS[target], metadata=imgtool.Metadata(profile=bytes(damaged)))
    assert imgtool.read_metadata(data, remarks=remarks).profile is None
    assert [each.detail for each in remarks] == ["ICC profile: it is damaged"]


@given(st.data())
def test_damaged_tags_of_tiff_harm_no_picture(data):
    stream = io.BytesIO()
    geotiff(stream)
    file = bytearray(stream.getvalue())
    for place in data.draw(st.lists(st.integers(8, 600), min_size=1, max_size=4)):
        file[place] = data.draw(st.integers(0, 255))
    without_exception(bytes(file), [])


@pytest.mark.parametrize("order", ["<", ">"])
def test_directories_that_lead_in_circles_or_outside_are_left_out_with_a_remark(order):
    good = exif_block(order)
    for place in (8, 200, 300):
        block = bytearray(good)
        at = block.index(struct.pack(order + "HHII", EXIF, 4, 1, 200)) + 8
        struct.pack_into(order + "I", block, at, {8: 8, 200: 60_000, 300: 2**32 - 2}[place])
        remarks = []
        assert without_exception(save("JPEG", exif=bytes(block)), remarks).exif is None
        assert [each.detail for each in remarks] == ["EXIF: it is damaged"]


def test_directories_of_thousands_of_tags_are_damaged():
    tags = [struct.pack("<HHII", 1000 + k % 60_000, 4, 1, k) for k in range(5000)]
    block, remarks = b"II*\0\x08\0\0\0" + struct.pack("<H", 5000) + b"".join(tags) + bytes(4), []
    assert without_exception(save("JPEG", exif=block), remarks).exif is None
    assert [each.detail for each in remarks] == ["EXIF: it is damaged"]


def test_huge_pieces_are_left_out_with_a_remark(tmp_path):
    bomb = zlib.compress(bytes(100_000_000))
    remarks = []
    found = without_exception(with_chunks((b"iCCP", b"p\0\0" + bomb), OTHERS[0]), remarks)
    assert (found.profile, found.color) == (None, (OTHERS[0],))
    assert [each.detail for each in remarks] == ["ICC profile: it is too large"]
    remarks = []
    assert imgtool.encode(PIXELS, "jpeg", metadata=imgtool.Metadata(exif=exif_block() + bytes(70_000)), remarks=remarks)
    assert [each.detail for each in remarks] == ["EXIF: JPEG has room for 65527 bytes"]


@pytest.mark.parametrize("options", [[], ["--isolate"]], ids=["here", "isolated"])
@pytest.mark.parametrize("suffix", [*TARGETS, "avif", "heic"])
def test_isolated_readers_keep_the_same(suffix, options, tmp_path):
    if suffix == "avif" and not features.check("avif"):
        pytest.skip("this build of Pillow lacks AVIF")
    if suffix == "heic":
        heif, stream, picture = pytest.importorskip("pillow_heif"), io.BytesIO(), Image.fromarray(PIXELS)
        picture.info["icc_profile"] = PROFILE
        heif.from_pillow(picture).save(stream, exif=b"Exif\0\0" + exif_block())
        data = stream.getvalue()
    elif suffix == "tif":
        data = command(save("JPEG", **FULL), "tif", "convert", tmp_path=tmp_path)
    else:
        data = save({"jpg": "JPEG"}.get(suffix, suffix.upper()), **FULL)
    seen = as_pillow_sees(command(data, "png", "convert", *options, tmp_path=tmp_path))
    assert seen["profile"] == PROFILE
    assert seen["tags"][MAKE] == "Cam"
    assert not seen["thumbnail"]


def test_sizes_in_xmp_follow_the_picture(tmp_path):
    xmp = b"<a exif:PixelXDimension=\"30\" tiff:ImageLength = '20'><exif:PixelYDimension>20</exif:PixelYDimension></a>"
    kept = imgtool.read_metadata(command(save("JPEG", xmp=xmp), "png", "convert", "--size", "15x", tmp_path=tmp_path))
    assert kept.xmp == xmp.replace(b"30", b"15").replace(b"20", b"10")


def test_panoramas_keep_their_xmp_and_motion_photos_do_not():
    spherical = b'<x xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"/>'
    motion = b'<x xmlns:Container="http://ns.google.com/photos/1.0/container/"/>'
    assert imgtool.read_metadata(save("JPEG", xmp=spherical)).xmp == spherical
    assert imgtool.read_metadata(save("JPEG", xmp=motion)).xmp is None


def test_metadata_beyond_4_gigabytes_is_refused_in_a_line():
    file = io.BytesIO(imgtool.encode(PIXELS, "tiff"))
    with pytest.raises(ImageError, match="has more metadata than a TIFF file of this size has room for"):
        add_tags(file, imgtool.Metadata(profile=PROFILE), 2**32 - 100)


@given(METADATA)
def test_metadata_goes_to_other_processes_and_back(metadata):
    assert from_plain(json.loads(json.dumps(to_plain(metadata)))) == metadata
    assert from_plain(to_plain(None)) is None
