"""Pages, frames and images of files that hold several; bands beyond color; what is left out is a remark."""

import io
import struct
import sys
import time

import numpy as np
import pytest
import tifffile
from PIL import Image

from imgtool.errors import ImageError, MissingExtraError, ParameterError
from imgtool.image import encode, probe, read, read_metadata

LEVELS = (10, 200, 90)  # of three pages
NOISE = np.random.default_rng(0).integers(0, 256, (8, 12, 6), dtype=np.uint8)


def page_of(level):
    image = np.full((8, 12, 3), level, np.uint8)
    image[0, 0] = (level, 255 - level, 0)  # so that no two frames are one
    return image


PAGES = [page_of(level) for level in LEVELS]


def by_pillow(format, **settings):
    first, *others = (Image.fromarray(page) for page in PAGES)
    stream = io.BytesIO()
    first.save(stream, format, save_all=True, append_images=others, **settings)
    return stream.getvalue()


def tiff_pages(**settings):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        for page in PAGES:
            file.write(page, photometric="rgb", contiguous=False, metadata=None, **settings)
    return stream.getvalue()


def tiff_tree():
    """Return a page with a SubIFD, then another page."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        file.write(PAGES[0], photometric="rgb", metadata=None, subifds=1)
        file.write(PAGES[1], photometric="rgb", metadata=None)
        file.write(PAGES[2], photometric="rgb", metadata=None)
    return stream.getvalue()


def heic_images():
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    first, *others = (Image.fromarray(page) for page in PAGES)
    file, stream = pillow_heif.from_pillow(first), io.BytesIO()
    for each in others:
        file.add_from_pillow(each)
    file.save(stream, quality=-1, chroma=444)
    return stream.getvalue()


FILES = {
    "tiff": (tiff_pages, "page"),
    "tiff big-endian": (lambda: tiff_big(">"), "page"),
    "bigtiff deflated": (lambda: tiff_big("<", True), "page"),
    "tiff with SubIFD": (tiff_tree, "page"),
    "gif": (lambda: by_pillow("GIF"), "frame"),
    "apng": (lambda: by_pillow("PNG"), "frame"),
    "apng with default image": (lambda: by_pillow("PNG", default_image=True), None),
    "webp": (lambda: by_pillow("WEBP", lossless=True), "frame"),
    "mpo": (lambda: by_pillow("MPO", quality=95), "image"),
    "avif": (lambda: by_pillow("AVIF", quality=100), "frame"),
    "heic": (heic_images, "image"),
    "ppm": (lambda: b"".join(encode(page, "ppm") for page in PAGES), "image"),
}
LOSSY = {"mpo": 12, "avif": 4, "heic": 6, "gif": 4}


def tiff_big(order, big=False):
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream, byteorder=order, bigtiff=big) as file:
        for page in PAGES:
            file.write(page, photometric="rgb", contiguous=False, metadata=None, compression="zlib" if big else None)
    return stream.getvalue()


@pytest.mark.parametrize("name", FILES)
def test_F18_each_page_is_read_and_the_others_are_a_remark(name):
    make, kind = FILES[name]
    data = make()
    header = probe(data)
    assert (header.page, len(header.pages)) == (1, 3)
    assert {(each.width, each.height) for each in header.pages} == {(12, 8)}
    assert kind is None or {each.kind for each in header.pages} == {kind}
    for number, page in enumerate(PAGES, 1):
        difference = (read(data, page=number)[:, :, :3].astype(int) - page)[:, 6 if name in LOSSY else 0 :]
        assert np.abs(difference).max() <= LOSSY.get(name, 0), number
        assert probe(data, page=number).page == number
    remarks = []
    np.testing.assert_array_equal(read(data, remarks=remarks), read(data, page=1))
    assert sum(each.count for each in remarks if each.kind == "pages") == 2
    chosen = []
    read(data, page=1, remarks=chosen)
    assert chosen == []
    with pytest.raises(ImageError, match=r"has no page 4: it holds 3"):
        read(data, page=4)
    with pytest.raises(ImageError, match=r"has no page 4: it holds 3"):
        probe(data, page=4)


@pytest.mark.parametrize("format", ["png", "jpeg", "webp", "bmp", "jp2", "tif", "ppm", "npy"])
def test_files_of_one_image_have_no_second(format):
    data, remarks = encode(PAGES[0], format), []
    assert read(data, page=1, remarks=remarks).shape == read(data).shape == (8, 12, 3)
    assert remarks == []
    with pytest.raises(ImageError, match="has no page 2: it holds 1"):
        read(data, page=2)


@pytest.mark.parametrize("page", [0, -1, 1.5, "1", True])
def test_a_page_is_a_whole_number_from_1_on(page):
    with pytest.raises(ParameterError, match="page must be a whole number from 1 on"):
        read(encode(PAGES[0], "png"), page=page)


def camera(main_photometric=32803, preview=True):
    """Return what cameras write: a preview (NewSubfileType 1) whose SubIFD is the full picture."""
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        if preview:
            file.write(PAGES[0], photometric="rgb", subfiletype=1, subifds=1, metadata=None)
        if main_photometric == 2:
            file.write(np.repeat(np.repeat(PAGES[1], 2, 0), 2, 1), photometric="rgb", metadata=None)
        else:
            shape = (16, 24) if main_photometric == 32803 else (16, 24, 3)
            file.write(np.zeros(shape, np.uint16), photometric=main_photometric, metadata=None)
    return stream.getvalue()


def test_the_first_page_that_is_no_reduced_version_is_read():
    remarks = []
    assert read(camera(2), remarks=remarks).shape == (16, 24, 3)
    assert [(each.kind, each.count, each.detail) for each in remarks] == [("pages", 1, "reduced version")]
    assert [each.kind for each in probe(camera(2)).pages] == ["reduced version", "page"]
    np.testing.assert_array_equal(read(camera(2), page=1), PAGES[0])
    stream = io.BytesIO()  # previews only: the first
    tifffile.imwrite(stream, PAGES[2], photometric="rgb", subfiletype=1, metadata=None)
    np.testing.assert_array_equal(read(stream.getvalue()), PAGES[2])


@pytest.mark.parametrize(("photometric", "what"), [(32803, "a color filter array"), (34892, "linear raw samples")])
def test_pictures_that_are_none_yet_are_refused_and_their_previews_named(photometric, what):
    data = camera(photometric)
    with pytest.raises(ImageError, match=f"full picture is {what}, which .* page 1 reads the preview") as caught:
        read(data)
    assert caught.value.parameters == ("page",)
    np.testing.assert_array_equal(read(data, page=1), PAGES[0])
    with pytest.raises(ImageError, match="its page 2 is"):
        read(data, page=2)
    with pytest.raises(ImageError, match=f"full picture is {what}, which imgtool does not read$"):
        read(camera(photometric, preview=False))


def raw_with_jpeg(canon, orientation=1):
    """Return a camera's file whose first page is a JPEG file in the old way; Canon's is not called a preview."""
    preview = encode(PAGES[1], "jpeg", quality=95)
    first = {254: 0 if canon else 1, 259: 6, 273: 0, 274: orientation, 279: len(preview)}
    second = {254: 0, 256: 24, 257: 16, 258: 16, 259: 1, 262: 1 if canon else 32803, 273: 8, 279: 768}
    head = 16 if canon else 8
    sizes = [2 + 12 * len(each) + 4 for each in (first, second)]
    first[273] = head + sum(sizes)
    start = struct.pack("<2sHI", b"II", 42, head) + (b"CR\2\0" + bytes(4) if canon else b"")
    for entries, following in ((first, head + sizes[0]), (second, 0)):
        body = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(entries.items()))
        start += struct.pack("<H", len(entries)) + body + struct.pack("<I", following)
    return start + preview


@pytest.mark.parametrize("canon", [True, False])
def test_previews_in_cameras_files_may_be_jpeg(canon):
    with pytest.raises(ImageError, match=r"full picture is a color filter array.*page 1 reads the preview"):
        read(raw_with_jpeg(canon))
    found = probe(raw_with_jpeg(canon), page=1)
    assert [each.kind for each in found.pages] == ["reduced version", "color filter array"]
    assert (found.width, found.height, found.pages[0].width) == (12, 8, 12)
    assert np.abs(read(raw_with_jpeg(canon), page=1).astype(int) - PAGES[1])[:, 6:].max() <= 12
    turned = raw_with_jpeg(canon, orientation=6)
    assert (probe(turned, page=1).width, read(turned, page=1).shape) == (8, (12, 8, 3))


def test_directories_that_lead_to_garbage_or_back_are_no_pages():
    good = tiff_pages()
    with tifffile.TiffFile(io.BytesIO(good)) as file:
        places = [page.offset for page in file.pages]
    count = struct.unpack_from("<H", good, places[2])[0]
    for target in (places[0], places[1], 8, len(good) - 5, 1 << 31):
        assert len(probe(with_link(good, 2, target)).pages) == 3
    children = np.arange(100, 60_100, dtype="<u4").tobytes()  # each leads into zeros or into another
    entry = struct.pack("<HHII", 330, 4, len(children) // 4, len(good))
    begin = time.perf_counter()
    data = good[: places[0] + 2 + 12 * (count - 1)] + entry + good[places[0] + 2 + 12 * count :] + children
    assert probe(data).page == 1
    assert time.perf_counter() - begin < 5


def with_link(data, page, target):
    """Return a TIFF of which one page's link to the next leads somewhere else."""
    with tifffile.TiffFile(io.BytesIO(data)) as file:
        place = file.pages[page].offset
    last = place + 2 + 12 * struct.unpack_from("<H", data, place)[0]
    return data[:last] + struct.pack("<I", target) + data[last + 4 :]


def test_F18_a_link_to_a_page_that_leads_nowhere_is_a_remark():
    good = tiff_pages()
    for target in (len(good) - 5, 1 << 31, len(good) - 100):  # cut, behind the end, no tags
        data, remarks = with_link(good + bytes(100), 1, target), []
        np.testing.assert_array_equal(read(data, remarks=remarks), PAGES[0])
        broken = ("pages", 1, "behind a broken link, perhaps with more")
        assert [(each.kind, each.count, each.detail) for each in remarks] == [("pages", 1, "further"), broken]
        assert (len(probe(data).pages), probe(data).broken) == (2, True)
        with pytest.raises(ImageError, match="has no page 3: it holds 2, and a link to a further one that leads nowh"):
            read(data, page=3)
    assert not probe(good).broken
    assert not probe(with_link(good, 1, 0)).broken  # an end is no break
    assert not probe(with_link(good, 2, 8)).broken  # all pages of a circle are there


def test_metadata_are_those_of_the_page():
    stream = io.BytesIO()
    with tifffile.TiffWriter(stream) as file:
        for dots, page in zip((72, 300), PAGES, strict=False):
            file.write(page, photometric="rgb", metadata=None, contiguous=False, resolution=(dots, dots),
                       resolutionunit=2)  # fmt: skip
    found = [read_metadata(stream.getvalue(), page=page).resolution for page in (None, 1, 2)]
    assert [round(each.per("inch")[0][0] / each.per("inch")[0][1]) for each in found] == [72, 72, 300]


def tiff_bands(image, extra, planar=False, **settings):
    stream = io.BytesIO()
    if planar:
        image = np.moveaxis(image, 2, 0)
    settings = {"photometric": "rgb", **settings}
    tifffile.imwrite(stream, image, extrasamples=extra, planarconfig="separate" if planar else "contig", metadata=None,
                     **settings)  # fmt: skip
    return stream.getvalue()


@pytest.mark.parametrize("planar", [False, True])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "float32"])
def test_F18_bands_beyond_color_are_a_remark_and_can_be_picked(dtype, planar):
    image = NOISE[:, :, :5].astype(dtype)
    data, remarks = tiff_bands(image, [0, 0], planar), []
    np.testing.assert_array_equal(read(data, remarks=remarks), image[:, :, :3])
    assert [(each.kind, each.count, each.detail) for each in remarks] == [("bands", 2, "unspecified")]
    assert probe(data).bands == ("red", "green", "blue", "unspecified", "unspecified")
    for bands in ((5,), (4, 3, 2), (1, 2, 4), (1,), (2, 2, 2)):
        chosen, picked = [], [each - 1 for each in bands]
        expected = image[:, :, picked] if len(bands) > 1 else image[:, :, picked[0]]
        np.testing.assert_array_equal(read(data, bands=bands, remarks=chosen), expected)
        assert chosen == []
    with pytest.raises(ImageError, match="would take band 4, which is unspecified, for alpha"):
        read(data, bands=(1, 2, 3, 4))
    with pytest.raises(ImageError, match="has no band 6: its 5 are red, green, blue"):
        read(data, bands=(6,))


def test_alpha_is_found_behind_other_bands():
    image = NOISE[:, :, :5]
    data = tiff_bands(image, [0, 2])
    assert probe(data).bands == ("red", "green", "blue", "unspecified", "alpha")
    np.testing.assert_array_equal(read(data), image[:, :, [0, 1, 2, 4]])
    np.testing.assert_array_equal(read(data, bands=(2, 1, 4, 5)), image[:, :, [1, 0, 3, 4]])
    np.testing.assert_array_equal(read(data, bands=(4,)), image[:, :, 3])


def test_bands_of_gray_and_of_files_without_further_ones():
    data = tiff_bands(NOISE[:, :, :4], [0, 0, 0], photometric="minisblack")
    np.testing.assert_array_equal(read(data), NOISE[:, :, 0])
    np.testing.assert_array_equal(read(data, bands=(3, 2, 1)), NOISE[:, :, [2, 1, 0]])
    png = encode(NOISE[:, :, :4], "png")
    np.testing.assert_array_equal(read(png, bands=(4,)), NOISE[:, :, 3])
    np.testing.assert_array_equal(read(png, bands=(3, 2, 1, 4)), NOISE[:, :, [2, 1, 0, 3]])
    np.testing.assert_array_equal(read(encode(NOISE[:, :, 0], "png"), bands=(1, 1, 1)), NOISE[:, :, [0, 0, 0]])


def test_numbers_of_more_samples_than_an_image_has_are_read_by_bands(tmp_path):
    np.save(tmp_path / "a.npy", NOISE)
    pam = b"P7\nWIDTH 12\nHEIGHT 8\nDEPTH 6\nMAXVAL 255\nENDHDR\n" + NOISE.tobytes()
    for source in (tmp_path / "a.npy", pam):
        with pytest.raises(ImageError, match="has 6 samples a pixel; an image has up to 4, which bands picks"):
            read(source)
        np.testing.assert_array_equal(read(source, bands=(6, 1, 2)), NOISE[:, :, [5, 0, 1]])


@pytest.mark.parametrize("bands", [(), (0,), (1, 2, 3, 4, 5), ("1",), (1.5,), 3])
def test_bands_are_one_to_four_whole_numbers(bands):
    with pytest.raises(ParameterError, match="bands must be one to four whole numbers"):
        read(encode(PAGES[0], "png"), bands=bands)


@pytest.mark.parametrize(("depth", "alpha"), [(8, False), (10, False), (10, True), (12, False)])
def test_avif_is_read_at_its_depth(depth, alpha):
    import cv2

    levels = np.linspace(0, 2**depth - 1, 48).astype(np.uint16)
    image = np.repeat(np.repeat(levels[None, :, None], 32, 0), 3 + alpha, 2)
    stored = image.astype(np.uint8) if depth == 8 else image
    settings = [cv2.IMWRITE_AVIF_DEPTH, depth, cv2.IMWRITE_AVIF_QUALITY, 100]
    try:
        _, coded = cv2.imencode(".avif", stored, settings)
    except cv2.error:
        pytest.skip("this build of OpenCV writes no AVIF")
    found = read(coded.tobytes())
    assert probe(coded.tobytes()).dtype == found.dtype == ("uint8" if depth == 8 else "uint16")
    top = np.iinfo(found.dtype).max
    expected = np.rint(image[:, :, : found.shape[2]] * (top / (2**depth - 1)))
    assert np.abs(found.astype(float) - expected).max() <= 2 * top / (2**depth - 1)


def test_heic_is_read_at_its_depth_upright_and_with_its_metadata():
    pillow_heif = pytest.importorskip("pillow_heif", reason="needs the extra heif")
    deep = (np.arange(64 * 48).reshape(48, 64) * 21 % 1024).astype(np.uint16)
    coded = io.BytesIO()
    pixels = (np.repeat(deep[:, :, None], 3, 2) << 6).tobytes()
    pillow_heif.from_bytes("RGB;16", (64, 48), pixels).save(coded, quality=-1, chroma=444)
    found = read(coded.getvalue())
    assert found.dtype == np.uint16
    assert np.abs(found[:, :, 1] / 65535 - deep / 1023).max() < 0.01
    exif, coded = Image.Exif(), io.BytesIO()
    exif[0x0112], exif[0x010F] = 6, "maker"
    pillow_heif.from_pillow(Image.fromarray(np.zeros((20, 30, 3), np.uint8))).save(coded, exif=exif.tobytes())
    assert read(coded.getvalue()).shape == (probe(coded.getvalue()).height, probe(coded.getvalue()).width, 3)
    assert b"maker" in read_metadata(coded.getvalue()).exif


def test_without_its_extra_heic_is_refused_by_its_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(MissingExtraError, match=r"HEIC needs the extra 'heif': pip install .pillow-heif"):
        read(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(100))
