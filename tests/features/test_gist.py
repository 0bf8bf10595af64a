"""GIST against LMgist (tests/reference/gist.npz)."""

import re
import tracemalloc
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from imgtool.errors import ImageError, ParameterError
from imgtool.features.gist import PRESETS, gabor_bank, gist, normalize_contrast, square, stretch
from imgtool.image.alpha import flatten
from locations import REFERENCE

GIST = np.load(REFERENCE / "gist.npz")
IMAGES = np.load(REFERENCE / "images.npz")
KEYS = [key for key in GIST.files if key.startswith(("exact_", "orig_"))]


def parse(key):
    kind, name, size, orientations, rest = re.match(r"(exact|orig)_(.*)_s(\d+)_o(\d+)(.*)", key).groups()
    parameters = {"size": int(size), "orientations": tuple(map(int, orientations))}
    if rest.startswith("_b"):
        parameters["blocks"] = int(rest[2:])
    if rest.startswith("_fc"):
        parameters["prefilter"] = float(rest[3:])
    return kind, IMAGES[name], parameters


def test_there_are_reference_arrays():
    assert len(KEYS) == 17


@pytest.mark.parametrize("key", KEYS)
def test_equals_the_reference_arrays(key):
    kind, image, parameters = parse(key)
    tolerance = 1e-5 if kind == "exact" else 2e-5
    np.testing.assert_allclose(gist(image, **parameters), GIST[key], rtol=0, atol=tolerance * np.abs(GIST[key]).max())


@pytest.mark.parametrize("key", [key for key in GIST.files if key.startswith("inter__")])
def test_stages_equal_the_reference_arrays(key):
    _, name, stage = key.split("__")
    _, image, parameters = parse(name)
    planes = square(image, parameters["size"])
    if stage != "resized":
        planes = stretch(planes)
    if stage == "prefiltered":
        planes = normalize_contrast(planes, 4.0)
    np.testing.assert_allclose(planes[0], GIST[key], rtol=0, atol=1e-4)


def test_gabor_bank_equals_the_reference_arrays():
    bank = gabor_bank(192, (8, 8, 8, 8))
    np.testing.assert_allclose(bank[0], GIST["gabor_first__s128_o8888"], rtol=0, atol=1e-12)
    np.testing.assert_allclose(bank[-1], GIST["gabor_last__s128_o8888"], rtol=0, atol=1e-12)


@given(
    hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)),
    st.lists(st.integers(1, 4), min_size=1, max_size=3), st.integers(1, 4), st.booleans(),
)  # fmt: skip
@settings(max_examples=30)
def test_length_and_finiteness_for_any_image(image, orientations, blocks, color):
    result = gist(image, size=32, orientations=orientations, blocks=blocks, color=color)
    assert result.shape == (sum(orientations) * blocks**2 * (3 if color else 1),)
    assert np.isfinite(result).all()
    assert (result >= 0).all()


def test_windows_run_down_the_columns_first():
    image = np.zeros((64, 64))
    image[40:, :20] = np.random.default_rng(0).random((24, 20))  # bottom left
    strongest = gist(image, size=64, orientations=(4,), blocks=2).reshape(4, 2, 2).sum(0).argmax()
    assert strongest == 1  # column 0, row 1


@pytest.mark.parametrize(("preset", "length"), [("lmgist", 512), ("lear", 960), ("hays-efros", 480)])
def test_presets_have_their_published_length(preset, length):
    assert len(gist(IMAGES["coffee_200x300"], **PRESETS[preset])) == length


@pytest.mark.parametrize("color", [False, True])
@pytest.mark.parametrize("shape", [(1, 1), (40, 50), (64, 64), (300, 7), (301, 223), (40, 50, 3), (13, 17, 4)])
@pytest.mark.parametrize("value", [0, 200, 0.1, 1 / 3, 1e15, -3.7])
def test_constant_image_gives_zeros(shape, value, color):
    dtype = np.uint8 if value in (0, 200) else np.float64
    result = gist(np.full(shape, value, dtype), size=64, color=color)
    assert len(result) == (512 if not color else 1536)
    assert not result.any()


@given(
    hnp.arrays(st.sampled_from([np.float32, np.float64]), hnp.array_shapes(min_dims=2, max_dims=2, max_side=10),
               elements={"allow_nan": True, "allow_infinity": True}, fill=st.nothing()),
    st.booleans(),
)  # fmt: skip
@settings(max_examples=60)
def test_any_floats_give_numbers_or_one_error(image, color):
    if np.isfinite(image).all() and np.abs(image.astype(np.float64)).max() <= 1e15:
        assert np.isfinite(gist(image, size=16, orientations=(2,), color=color)).all()
    else:
        with pytest.raises(ImageError, match=r"NaN|1e\+15"):
            gist(image, size=16, orientations=(2,), color=color)


@pytest.mark.parametrize("scale", [1e-300, 1e-40, 1e-5, 1e14])
def test_scale_of_brightness_changes_nothing(scale):
    image = IMAGES["camera_31x43"] / 255.0
    expected = gist(image, size=64)
    np.testing.assert_allclose(gist(image * scale, size=64), expected, rtol=0, atol=1e-5 * expected.max())


def test_very_long_image_takes_little_memory():
    image = np.random.default_rng(0).integers(0, 256, (1, 100_000), dtype=np.uint8)
    tracemalloc.start()
    result = gist(image, size=64, orientations=(2,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert np.isfinite(result).all()
    assert peak < 200e6  # resized in whole, before the cut, it would be 64 x 6,400,000 numbers: 3 GB


@pytest.mark.parametrize("shape", [(37, 53), (64, 64), (200, 90), (7, 9), (64, 131)])
def test_resize_is_that_of_a_plain_sum(shape):
    image, size = np.random.default_rng(0).random(shape), 64
    np.testing.assert_allclose(square(image, size)[0], plain_square(image, size), rtol=0, atol=1e-12)


def plain_square(image, size):
    """Resize as the reference README's step 2 says, one output pixel at a time; then cut out the center."""
    scale = max(size / image.shape[0], size / image.shape[1])
    for _ in range(2):
        old = len(image)
        new = int(np.floor(old * scale + 0.5))
        s = new / old
        lines = []
        for o in range(new):
            c, r = (o + 0.5) / s - 0.5, 1 / min(s, 1)
            weights = {k: 1 - abs(k - c) / r for k in range(-3 * old, 4 * old) if abs(k - c) < r}
            folded = ((k % (2 * old), weight) for k, weight in weights.items())
            line = sum(weight * image[k if k < old else 2 * old - 1 - k] for k, weight in folded)
            lines.append(line / sum(weights.values()))
        image = np.array(lines)[(new - size) // 2 :][:size].T
    return image


def test_colors_that_are_gray_give_the_gray_descriptor_thrice():
    gray = IMAGES["camera_97x131"]
    once = gist(gray, size=64)
    thrice = gist(np.dstack([gray] * 3), size=64, color=True)
    np.testing.assert_allclose(thrice, np.tile(once, 3), rtol=0, atol=1e-6 * once.max())
    np.testing.assert_array_equal(gist(gray, size=64, color=True), thrice)


@pytest.mark.parametrize("planes", [1, 3])
@pytest.mark.parametrize("size", [40, 41])
@pytest.mark.parametrize("cutoff", [0.5, 3, 30])
def test_prefilter_is_that_of_a_plain_formula(size, planes, cutoff):
    """Step 4 of the reference README; several planes are divided by the deviation of their mean."""
    values = np.random.default_rng(0).random((planes, size, size)) * 255
    side = size + 10 + size % 2
    f = np.minimum(np.arange(side), side - np.arange(side))
    low = np.exp(-(f[:, None] ** 2 + f**2) / (cutoff / np.sqrt(np.log(2))) ** 2)

    def smooth(plane):
        return np.fft.ifft2(np.fft.fft2(plane) * low)

    around = [np.pad(np.pad(np.log(v + 1), 5, "symmetric"), (0, size % 2), "symmetric") for v in values]
    high = [each - smooth(each).real for each in around]
    deviation = np.sqrt(np.abs(smooth(np.mean(high, axis=0) ** 2)))
    expected = [(each / (0.2 + deviation))[5 : 5 + size, 5 : 5 + size] for each in high]
    np.testing.assert_allclose(normalize_contrast(values, cutoff), expected, rtol=0, atol=1e-10)


@pytest.mark.parametrize("cutoff", [1e-300, 1e-160, 1e300])
def test_any_cutoff_gives_numbers(cutoff):
    assert np.isfinite(gist(IMAGES["camera_31x43"], size=32, orientations=(2,), prefilter=cutoff)).all()


def test_color_keeps_the_channels_apart():
    image = np.zeros((64, 64, 3), np.uint8)
    image[..., 0] = 90  # constant red, textured blue
    image[..., 2] = IMAGES["camera_128"][:64, :64]
    red, green, blue = gist(image, size=64, color=True).reshape(3, -1)
    assert red.max() < 1e-3 * blue.max()
    assert green.max() < 1e-3 * blue.max()


@pytest.mark.parametrize("degrees", [0, 45, 90, 135])
def test_orientation_j_answers_to_gradients_at_minus_180_j_over_o_degrees(degrees):
    y, x = np.mgrid[:128, :128]
    angle = np.radians(degrees)
    image = np.sin(2 * np.pi * 0.3 * (x * np.cos(angle) + y * np.sin(angle)))
    strongest = gist(image, size=128, orientations=(8,), blocks=1).argmax()
    assert strongest == (-degrees * 8 // 180) % 8


def test_what_is_transparent_is_seen_on_white():
    color = IMAGES["coffee_200x300"]
    alpha = np.random.default_rng(0).integers(0, 256, color.shape[:2], dtype=np.uint8)
    image = np.dstack([color, alpha])
    np.testing.assert_array_equal(gist(image, size=64), gist(flatten(image), size=64))
    image[..., 3] = 255
    np.testing.assert_array_equal(gist(image, size=64), gist(color, size=64))


@pytest.mark.parametrize("size", [33, 40, 64])
def test_same_bytes_wherever_in_memory_the_work_is_done(size):
    rng = np.random.default_rng(0)
    results, held = set(), []
    for _ in range(60):
        held += [np.empty(n, np.uint8) for n in rng.integers(1, 20_000, 40)]  # moves what is allocated next
        held = [each for each in held if rng.random() < 0.7]
        results.add(gist(IMAGES["camera_97x131"], size=size).tobytes())
    assert len(results) == 1


def test_threads_agree():
    gabor = (3, 2)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda _: gist(IMAGES["camera_128"], size=96, orientations=gabor), range(8)))
    for result in results:
        np.testing.assert_array_equal(result, results[0])


@pytest.mark.parametrize("wrong", [{"orientations": ()}, {"orientations": (0,)}, {"blocks": 0}, {"prefilter": 0},
                                   {"prefilter": np.nan}, {"size": 3}, {"size": 5000}])  # fmt: skip
def test_wrong_parameters_are_refused(wrong):
    with pytest.raises(ParameterError):
        gist(np.zeros((8, 8)), **wrong)
