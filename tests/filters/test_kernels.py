"""Kernels by name, from files and inline."""

import json
import pickle

import numpy as np
import pytest
import scipy.ndimage
from hypothesis import given
from hypothesis import strategies as st

from imgtool.errors import ParameterError
from imgtool.filters import kernels
from imgtool.filters.convolve import convolve
from imgtool.filters.kernels import KERNELS, kernel, load_kernel, normalized, parse_matrix

DERIVATIVES = [name for name in KERNELS if name.endswith(("-x", "-y"))]


@pytest.mark.parametrize("name", KERNELS)
def test_smoothing_adds_up_to_one_and_derivatives_to_zero(name):
    total = kernel(name).sum()
    assert total == pytest.approx(1.0 if name in ("box", "gaussian", "sharpen") else 0.0, abs=1e-12)
    assert kernels.is_derivative(kernel(name)) == (abs(total) < 0.5)


@pytest.mark.parametrize("name", DERIVATIVES)
def test_derivatives_are_positive_where_brightness_rises(name):
    ramp = np.tile(np.arange(9.0), (9, 1))
    ramp = ramp if name.endswith("x") else ramp.T
    assert (convolve(ramp, kernel(name))[4, 4]) > 0
    assert (convolve(ramp.T, kernel(name))[4, 4]) == 0


@pytest.mark.parametrize(
    ("name", "difference"),
    [("forward-x", lambda f, x: f[x + 1] - f[x]), ("backward-x", lambda f, x: f[x] - f[x - 1]),
     ("central-x", lambda f, x: f[x + 1] - f[x - 1])],
)  # fmt: skip
def test_differences_are_what_their_names_say(name, difference):
    f = np.array([3.0, 1.0, 4.0, 1.0, 5.0, 9.0])
    result = convolve(f[None], kernel(name))[0]
    assert [result[x] for x in range(1, 5)] == [difference(f, x) for x in range(1, 5)]


def test_sobel_of_a_step_of_200_is_800():
    step = np.where(np.arange(8) < 4, 0, 200)[None].repeat(5, 0)
    assert convolve(step, kernel("sobel-x")).max() == 800


@given(st.floats(0.3, 6))
def test_gaussian_equals_scipys(sigma):
    image = np.random.default_rng(0).random((20, 21))
    expected = scipy.ndimage.gaussian_filter(image, sigma, truncate=4.0)
    np.testing.assert_allclose(convolve(image, kernel("gaussian", sigma=sigma)), expected, atol=1e-12)


@given(st.floats(0.8, 4))
def test_laplacian_of_gaussian_comes_close_to_scipys(sigma):
    image = np.zeros((61, 61))
    image[30, 30] = 1
    expected = scipy.ndimage.gaussian_laplace(image, sigma, truncate=4.0)
    actual = convolve(image, kernel("log", sigma=sigma))
    assert np.abs(actual - expected).max() < 0.05 * np.abs(expected).max()


def test_normalized():
    taps = np.array([[1.0, 2.0, -1.0]])
    assert normalized(taps, "none").sum() == 2
    assert normalized(taps, "sum").sum() == pytest.approx(1)
    assert np.abs(normalized(taps, "abs")).sum() == pytest.approx(1)
    with pytest.raises(ParameterError, match="abs"):
        normalized(np.array([[1.0, -1.0]]), "sum")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("k.txt", "1 0 -1\n2 0 -2\n1 0 -1\n"),
        ("k.csv", "1,0,-1\n2,0,-2\n1,0,-1"),
        ("k.json", "[[1,0,-1],[2,0,-2],[1,0,-1]]"),
    ],
)
def test_kernel_files(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    np.testing.assert_array_equal(load_kernel(str(tmp_path / name)), kernel("sobel-x"))
    np.save(tmp_path / "k.npy", kernel("sobel-x"))
    np.testing.assert_array_equal(load_kernel(str(tmp_path / "k.npy")), kernel("sobel-x"))


@pytest.mark.parametrize("text", ["", ";", "1 2; 3", "1 x", "nan 1", "inf", "1e999"])
def test_bad_matrices_are_refused(text):
    with pytest.raises(ParameterError):
        parse_matrix(text)


@pytest.mark.parametrize("content", ["{}", "[[1, null]]", "[[[1]]]", '[["a"]]', "[", "true", "[" * 10_000])
def test_bad_json_is_refused(tmp_path, content):
    (tmp_path / "k.json").write_text(content)
    with pytest.raises(ParameterError, match=r"k\.json"):
        load_kernel(str(tmp_path / "k.json"))


class Hostile:
    def __reduce__(self):
        return (open, ("executed", "w"))


def test_pickled_kernel_executes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("k.npy", np.array([Hostile()], dtype=object), allow_pickle=True)
    (tmp_path / "p.npy").write_bytes(pickle.dumps(Hostile()))
    for name in ("k.npy", "p.npy", "missing.txt"):
        with pytest.raises(ParameterError, match=name.replace(".", r"\.")):
            load_kernel(name)
    assert not (tmp_path / "executed").exists()


def test_too_many_taps_are_refused(tmp_path):
    (tmp_path / "k.json").write_text(json.dumps([[1] * 4097]))
    with pytest.raises(ParameterError, match="4096"):
        load_kernel(str(tmp_path / "k.json"))
    with pytest.raises(ParameterError, match="4096"):
        kernel("gaussian", sigma=1000)


@pytest.mark.parametrize(
    ("name", "wrong"), [("sobel-x", {"sigma": 1}), ("box", {"sigma": 1}), ("gaussian", {"size": 3})]
)
def test_parameters_that_a_kernel_does_not_take_are_refused(name, wrong):
    with pytest.raises(ParameterError, match="does not go with"):
        kernel(name, **wrong)


@pytest.mark.parametrize("sigma", [0, -1, float("nan"), float("inf")])
def test_sigma_must_be_positive(sigma):
    with pytest.raises(ParameterError, match="positive"):
        kernel("gaussian", sigma=sigma)
