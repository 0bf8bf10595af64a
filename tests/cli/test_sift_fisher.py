"""`imgtool sift`, `fisher` and `features`: options, rows, feature files, codebooks, errors."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from imgtool.classifiers.registry import open_model
from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.features.codebook import Codebook, Dictionary, hash_of, load_codebook, save_codebook
from imgtool.features.encoding import LocalSettings, encode, encode_sparsely, fit_dictionary, fit_to_images
from imgtool.features.keypoints import sparse_sift
from imgtool.features.phow import phow
from imgtool.features.sift import dense_sift, root
from locations import REFERENCE

RNG = np.random.default_rng(0)
IMAGES = {name: RNG.integers(0, 256, shape, dtype=np.uint8) for name, shape in {"a": (40, 48), "b": (44, 41)}.items()}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in" / "cat").mkdir(parents=True)
    for name, image in IMAGES.items():
        cv2.imwrite(f"in/cat/{name}.png", image)
    (tmp_path / "bad.png").write_bytes(b"no image")
    cv2.imwrite("tiny.png", IMAGES["a"][:9, :9])
    return tmp_path


@pytest.fixture
def book():
    basis = np.linalg.qr(RNG.normal(size=(128, 6)))[0].T.astype(np.float32)
    shapes = RNG.uniform(0.01, 0.1, (2, 3, 6)).astype(np.float32)
    priors = np.array([0.25, 0.25, 0.5], np.float32)
    meta = {"sift": LocalSettings(step=5, bins=(4, 6)).to_meta()}
    save_codebook("book.safetensors", Codebook(np.zeros(128, np.float32), basis, *shapes, priors, meta))
    return load_codebook("book.safetensors")


@pytest.fixture
def atoms():
    atoms = np.abs(RNG.normal(size=(12, 128))).astype(np.float32)
    meta = {"sift": LocalSettings(step=5, bins=(4,), root=False).to_meta()}
    found = Dictionary(atoms / np.linalg.norm(atoms, axis=1, keepdims=True), meta)
    save_codebook("atoms.safetensors", found)
    return found


def rooted(found):
    return root(found.values)


CASES = [
    ([], lambda image: dense_sift(image).values),
    (["--step", "7", "--bin", "3"], lambda image: dense_sift(image, step=7, bin_size=3).values),
    (["--window", "flat"], lambda image: dense_sift(image, window="flat").values),
    (["--root"], lambda image: rooted(dense_sift(image))),
    (["--bounds", "2,3,30,38"], lambda image: dense_sift(image, bounds=(2, 3, 30, 38)).values),
    (["--bin", "4,6"], lambda image: phow(image, step=4, sizes=(4, 6)).values),
    (["--bin", "4,6", "--window", "gaussian"], lambda i: phow(i, step=4, sizes=(4, 6), window="gaussian").values),
]


@pytest.mark.parametrize(("arguments", "expected"), CASES)
def test_sift_options_reach_the_descriptors(arguments, expected, rows_of):
    rows = rows_of("sift", "in", "--values", *arguments)
    assert [row["path"] for row in rows] == ["in/cat/a.png", "in/cat/b.png"]
    for row, image in zip(rows, IMAGES.values(), strict=True):
        values = expected(image)
        assert row["shape"] == list(values.shape)
        assert len(row["frames"]) == row["number"] == len(values)
        np.testing.assert_array_equal(np.float32(row["values"]), values)


@pytest.fixture
def pair():
    """Two pictures of the same scene, the second shifted by (12, 7) pixels."""
    camera = np.load(REFERENCE / "images.npz")["camera_256"]
    cv2.imwrite("left.png", camera[7:, 12:])
    cv2.imwrite("right.png", camera[:-7, :-12])
    return camera


def test_sift_at_keypoints(pair, rows_of):
    (row,) = rows_of("sift", "--sparse", "--values", "--visualize", "drawn.png", "left.png")
    found = sparse_sift(pair[7:, 12:])
    assert (row["number"], row["shape"]) == (len(found.values), list(found.values.shape))
    np.testing.assert_array_equal(np.float32(row["values"]), found.values)
    np.testing.assert_array_equal(np.float32(row["frames"]), found.frames)
    drawn = cv2.imread("drawn.png")
    assert drawn.shape == (249, 244, 3)
    assert (drawn != pair[7:, 12:, None]).any()
    assert execute(["sift", "--sparse", "--root", "left.png", "right.png", "-o", "s.npz"]) == 0
    table = feature_file.load("s.npz")
    np.testing.assert_array_equal(table.rows(0), rooted(found))


def test_sift_matches_two_images(pair, rows_of):
    (row,) = rows_of("sift", "--match", "right.png", "left.png", "--visualize", "drawn.png")
    assert row["other"] == "right.png"
    assert row["keypoints"] == [len(sparse_sift(each).values) for each in (pair[7:, 12:], pair[:-7, :-12])]
    assert row["matches"] >= row["inliers"] > 100
    np.testing.assert_allclose(row["homography"], [[1, 0, 12], [0, 1, 7], [0, 0, 1]], atol=0.1)
    assert cv2.imread("drawn.png").shape == (249, 244 + 8 + 244, 3)
    (row,) = rows_of("sift", "--match", "in/cat/a.png", "left.png")
    assert row["inliers"] < 10


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["--sparse", "--step", "4"], 2, "--step is for SIFT on a grid"),
        (["--match", "in/cat/b.png", "--bin", "4"], 2, "--bin is for SIFT on a grid"),
        (["--match", "in/cat/b.png", "--values"], 2, "--match gives rows"),
        (["--visualize", "x.png"], 2, "--visualize goes with --sparse"),
        (["--match", "gone.png"], 1, "gone.png"),
        (["--match", "bad.png"], 1, "bad.png"),
    ],
)
def test_keypoints_refuse_what_does_not_go_together(arguments, status, message, capsys):
    assert execute(["sift", "in/cat/a.png", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert message in captured.err


def test_sift_gives_a_summary_unless_values_are_asked_for(rows_of):
    (row,) = rows_of("sift", "in/cat/a.png", "--bin", "4,6", "--step", "8")
    assert (row["descriptor"], row["shape"], row["number"], row["grid"]) == ("sift", [32, 128], 32, ["5x4", "4x3"])
    assert "values" not in row


def test_sift_table(capsys):
    assert execute(["sift", "in/cat/a.png", "--format", "table"]) == 0
    number = len(dense_sift(IMAGES["a"]).values)
    assert capsys.readouterr().out.split() == [
        "path", "descriptor", "number", "grid", "in/cat/a.png", "sift", str(number), "9x7",
    ]  # fmt: skip


def test_sift_feature_file_holds_local_descriptors(capsys):
    assert execute(["sift", "in", "bad.png", "--root", "-o", "s.npz"]) == 1
    assert "bad.png" in capsys.readouterr().err
    table = feature_file.load("s.npz")
    assert list(table.paths) == ["in/cat/a.png", "in/cat/b.png"]
    assert list(table.labels) == ["cat", "cat"]
    for index, image in enumerate(IMAGES.values()):
        found = dense_sift(image)
        np.testing.assert_array_equal(table.rows(index), root(found.values))
    np.testing.assert_array_equal(table.frames[: table.offsets[1]], dense_sift(IMAGES["a"]).frames)
    assert table.meta["parameters"]["root"] is True


@pytest.mark.parametrize("command", [["sift"], ["fisher", "--codebook", "book.safetensors"]])
def test_feature_files_are_not_overwritten_by_accident(command, book, capsys):
    assert execute([*command, "in", "-o", "f.npz"]) == 0
    assert execute([*command, "in", "-o", "f.npz"]) == 1
    assert "exists; --force" in capsys.readouterr().err
    assert execute([*command, "in", "-o", "f.npz", "--force", "--quiet"]) == 0
    assert capsys.readouterr().err == ""
    assert execute([*command, "in", "-o", "f.txt"]) == 2
    assert execute([*command, "bad.png", "-o", "g.npz"]) == 1


def test_fisher_equals_the_library(book, rows_of):
    rows = rows_of("fisher", "in", "--codebook", "book.safetensors", "--pyramid", "1x1,2x1")
    for row, image in zip(rows, IMAGES.values(), strict=True):
        assert (row["descriptor"], row["shape"]) == ("fisher", [108])
        np.testing.assert_array_equal(np.float32(row["values"]), encode(image, book, levels=["1x1", "2x1"]))


@pytest.mark.parametrize(("encoding", "numbers"), [("fisher", 36), ("vlad", 18), ("bow", 3)])
def test_encodings_equal_the_librarys(encoding, numbers, book, rows_of):
    options = ["--codebook", "book.safetensors", "--encoding", encoding]
    row = rows_of("fisher", "in", *options)[0]
    assert (row["descriptor"], row["shape"]) == (encoding, [numbers])
    np.testing.assert_array_equal(np.float32(row["values"]), encode(IMAGES["a"], book, encoding=encoding))
    assert execute(["fisher", "in", *options, "--pyramid", "1x1,2x2", "-o", "f.npz"]) == 0
    table = feature_file.load("f.npz")
    expected = encode(IMAGES["b"], book, encoding=encoding, levels=["1x1", "2x2"])
    np.testing.assert_array_equal(table.features[1], expected)
    assert table.meta["descriptor"] == encoding
    described = {"codebook": "book.safetensors", "sha256": hash_of(book), "pyramid": ["1x1", "2x2"]}
    assert table.meta["parameters"] == described


def test_images_are_searched_by_the_codebook_that_described_them_and_no_other(book, run):
    assert execute(["fisher", "in", "-q", "--codebook", "book.safetensors", "-o", "f.npz"]) == 0
    cv2.imwrite("copy.png", IMAGES["b"])  # not in the file
    search = ["features", "search", "--query", "copy.png", "--top", "1", "f.npz"]
    assert run(*search).status == 0
    save_codebook("book.safetensors", replace(book, means=book.means + 1), overwrite=True)
    found = run(*search)
    assert found.status == 1
    assert "f.npz: book.safetensors: is another codebook than the one that described the images\n" in found.err


@pytest.mark.parametrize("solver", ["feature-sign", "llc"])
def test_sparse_codes_equal_the_librarys(solver, atoms, rows_of):
    options = ["--codebook", "atoms.safetensors", "--encoding", "sparse", "--solver", solver]
    row = rows_of("fisher", "in", *options)[0]
    assert (row["descriptor"], row["shape"]) == ("sparse", [21 * 12])
    np.testing.assert_array_equal(np.float32(row["values"]), encode_sparsely(IMAGES["a"], atoms, solver=solver))
    row = rows_of("fisher", "in", *options, "--pyramid", "3x1")[0]
    expected = encode_sparsely(IMAGES["a"], atoms, solver=solver, levels=["3x1"])
    np.testing.assert_array_equal(np.float32(row["values"]), expected)
    assert execute(["fisher", "in", "-q", *options, "-o", "s.npz"]) == 0
    cv2.imwrite("copy.png", IMAGES["b"])  # not in the file: it is described anew, by the same solver
    (found,) = rows_of("features", "search", "--query", "copy.png", "--top", "1", "s.npz")
    assert (found["path"], found["score"]) == ("in/cat/b.png", pytest.approx(1, abs=1e-5))
    if solver == "feature-sign":
        assert rows_of("fisher", "in", *options[:-2], "--pyramid", "3x1")[0]["values"] == row["values"]


def test_fisher_without_a_codebook_uses_that_of_the_model_that_ships(rows_of):
    model = open_model("sift-fv-svm")
    (row,) = rows_of("fisher", "in/cat/a.png")
    expected = encode(model.prepare(IMAGES["a"]), model.codebook)
    np.testing.assert_array_equal(np.float32(row["values"]), expected)
    (row,) = rows_of("fisher", "in/cat/a.png", "--pyramid", "1x1,3x1")
    expected = encode(model.prepare(IMAGES["a"]), model.codebook, levels=("1x1", "3x1"))
    np.testing.assert_array_equal(np.float32(row["values"]), expected)


def test_features_fit_equals_the_library_and_info_describes(capsys, rows_of):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    options = ["--components", "2", "--dimensions", "5", "--step", "2", "--bin", "3,4", "--places", "--seed", "4"]
    assert execute(["features", "fit", "in", "bad.png", "-o", "b.safetensors", *options]) == 1
    settings = {"components": 2, "dimensions": 5, "with_places": True, "seed": 4, "local": LocalSettings(2, (3, 4))}
    expected = fit_to_images(IMAGES.values(), 3, starts=3, **settings)
    found = load_codebook("b.safetensors")
    np.testing.assert_allclose(found.means, expected.means, atol=1e-5)
    once = fit_to_images(IMAGES.values(), 3, starts=1, **settings)
    assert not np.allclose(found.means, once.means, atol=1e-5)
    assert found.meta == expected.meta
    capsys.readouterr()
    assert execute(["fisher", "in", "--codebook", "b.safetensors", "-o", "f.npz"]) == 0
    assert execute(["features", "fit", "in", "-o", "b.safetensors"]) == 1
    assert "exists" in capsys.readouterr().err
    book_row, vectors, broken = rows_of("features", "info", "b.safetensors", "f.npz", "gone.npz", status=1)
    assert (book_row["kind"], book_row["numbers"]) == ("codebook", "2x7")
    assert (vectors["kind"], vectors["images"], vectors["numbers"], vectors["labels"]) == ("vectors", 2, "2x28", 1)
    assert "no such file" in broken["error"]


@pytest.mark.parametrize("what", [["--components", "2"], ["--dictionary", "9", "--samples", "200"]])
def test_equal_seeds_fit_equal_bytes(what, folder):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    fit = ["features", "fit", "in", "-q", "--step", "2", "--bin", "3", *what]
    for name, seed in {"a": "0", "b": "0", "c": "1"}.items():
        assert execute([*fit, "--seed", seed, "-o", f"{name}.safetensors"]) == 0
    first, same, other = ((folder / f"{name}.safetensors").read_bytes() for name in "abc")
    assert first == same != other
    one, another = load_codebook("a.safetensors"), load_codebook("c.safetensors")
    if isinstance(one, Dictionary):
        assert isinstance(another, Dictionary)
        assert not np.array_equal(one.atoms, another.atoms)


def test_features_fit_learns_the_librarys_dictionary(capsys, rows_of):
    fit = ["features", "fit", "in", "--step", "2", "--bin", "3", "--dictionary", "9", "--samples", "200", "--seed", "4"]
    assert execute([*fit, "-o", "d.safetensors"]) == 0
    assert capsys.readouterr().err == "imgtool: d.safetensors: 9 atoms of 128 numbers\n"
    assert execute([*fit, "-v", "--force", "-o", "d.safetensors"]) == 0
    assert "done\nimgtool: dictionary\nimgtool: d.safetensors: 9 atoms" in capsys.readouterr().err
    assert execute([*fit, "-q", "--force", "-o", "d.safetensors"]) == 0
    assert capsys.readouterr().err == ""
    expected = fit_dictionary(IMAGES.values(), 2, local=LocalSettings(2, (3,)), atoms=9, samples=200, seed=4)
    np.testing.assert_array_equal(load_codebook("d.safetensors").atoms, expected.atoms)
    (row,) = rows_of("features", "info", "d.safetensors")
    assert (row["kind"], row["numbers"], row["images"]) == ("dictionary", "9x128", 2)
    assert execute([*fit, "--places", "-o", "e.safetensors"]) == 2
    assert "--places is for mixtures" in capsys.readouterr().err
    assert execute(["features", "fit", "in", "--dictionary", "9", "--samples", "4", "-o", "e.safetensors"]) == 1
    assert "4 descriptors are too few for 9 atoms" in capsys.readouterr().err


def test_features_fit_says_which_image_cannot_be_described(capsys):
    np.save("nan.npy", np.full((40, 40), np.nan))
    fit = ["features", "fit", "in", "nan.npy", "-q", "--dictionary", "9", "--samples", "200"]
    assert execute([*fit, "-o", "d.safetensors"]) == 1
    assert capsys.readouterr().err == "imgtool: nan.npy: holds NaN or infinity, so it has no SIFT\n"
    assert isinstance(load_codebook("d.safetensors"), Dictionary)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["sift", "in", "--bin", "4,x"], 2, "whole numbers"),
        (["sift", "in", "--bin", "0"], 2, "below 1"),
        (["sift", "in", "--bounds", "1,2,3"], 2, "4 numbers"),
        (["sift", "in", "--bounds", "9,9,3,3"], 2, "bounds"),
        (["sift", "in", "--bounds", "0,0,500,30"], 1, "48x40 pixels"),
        (["sift", "tiny.png"], 1, "tiny.png: is 9x9 pixels; SIFT with bins of 4 needs 13x13"),
        (["sift", "in", "-o", "s.csv"], 2, "npz only"),
        (["fisher", "in", "--codebook", "gone.safetensors"], 1, "gone.safetensors: no such codebook"),
        (["fisher", "in", "--codebook", "bad.png"], 1, "bad.png: is no codebook"),
        (["fisher", "in", "--codebook", "book.safetensors", "--pyramid", "2"], 2, "ROWSxCOLUMNS"),
        (["fisher", "in", "--solver", "llc"], 2, "--solver is for --encoding sparse"),
        (["fisher", "in", "--encoding", "sparse"], 1, "sift-fv-svm: is no dictionary"),
        (["fisher", "in", "--codebook", "atoms.safetensors", "--encoding", "bow"], 1, "is a dictionary, which is for"),
        (["features", "fit", "in", "-o", "b.npz"], 2, ".safetensors"),
        (["features", "fit", "in", "--seed", "4294967296", "-o", "b.safetensors"], 2, "4294967295"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, status, message, book, atoms, capsys):
    assert execute(arguments) == status
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[0]
    assert len(lines) == (2 if message == "48x40 pixels" else 1)  # one for each image
