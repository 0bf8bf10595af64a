"""Classic classifiers on small pictures of three textures: learning, storing, refusing."""

import json
from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from imgtool.classifiers import storage
from imgtool.classifiers.classic import vector_svm
from imgtool.classifiers.classic.vector_svm import VectorSvm, short_side
from imgtool.classifiers.registry import create, open_model
from imgtool.datasets.cache import ImageCache
from imgtool.datasets.dataset import Dataset
from imgtool.errors import DataError, ParameterError
from imgtool.image.resize import resize
from imgtool.image.write import encode

SMALL = {
    "sift-fv-svm": {"size": 48, "k": 4, "dimensions": 8, "step": 6, "bins": (4,)},
    "sift-fv-softmax": {"size": 48, "k": 4, "dimensions": 8, "step": 6, "bins": (4,)},
    "sift-vlad-svm": {"size": 48, "k": 8, "dimensions": 8, "step": 2, "bins": (4,), "color": "opponent"},
    "sift-bow-svm": {"size": 48, "k": 8, "dimensions": 8, "step": 2, "bins": (4,), "pyramid": ("1x1", "2x1")},
    "scspm": {"size": 48, "k": 16, "samples": 1000, "pyramid": ("1x1", "2x2")},
    "pixels-svm": {"size": 8},
    "hog-svm": {"size": 32},
    "gist-svm": {"size": 32, "orientations": (4, 4), "blocks": 2},
    "cnn-svm": {"network": "lenet@mnist"},
}
NAMES = tuple(SMALL)


def stripes(generator, kind, shape):
    """Return a noisy picture: stripes across, stripes down, or dots."""
    y, x = np.indices(shape)
    phase = generator.uniform(0, 6)
    waves = [np.sin(x + phase), np.sin(y + phase), np.sin(x + phase) * np.sin(y)]
    return np.clip(128 + 60 * waves[kind] + generator.normal(scale=20, size=shape), 0, 255).astype(np.uint8)


def textures(each, seed=0):
    generator = np.random.default_rng(seed)
    labels = np.repeat(np.arange(3), each)
    images = [stripes(generator, label, tuple(generator.integers(50, 70, 2))) for label in labels]
    return Dataset(images, labels, ("across", "dots", "down"))


@pytest.fixture(scope="module")
def fitted():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    return {name: create(name, **SMALL[name]).fit(textures(8), seed=1) for name in NAMES}


@pytest.mark.parametrize("name", NAMES)
def test_textures_are_told_apart(fitted, name):
    test = textures(10, seed=5)
    scores = fitted[name].scores([test.image(index) for index in range(len(test))])
    assert scores.shape == (30, 3)
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)
    floor = 0.4 if name == "pixels-svm" else 0.9  # pixels hardly tell stripes of any phase apart
    assert (scores.argmax(axis=1) == test.labels).mean() >= floor


@pytest.mark.parametrize("name", NAMES)
def test_what_is_stored_answers_alike(fitted, name, tmp_path):
    model, images = fitted[name], textures(3, seed=9).items
    model.save(tmp_path / "m")
    found = open_model(str(tmp_path / "m"))
    assert found.classes == ("across", "dots", "down")
    assert found.settings == model.settings
    assert found.provenance["data"]["images"] == 24
    np.testing.assert_array_equal(found.scores(images), model.scores(images))
    model.save(tmp_path / "q", quantize=["svm.weights"])
    np.testing.assert_allclose(open_model(str(tmp_path / "q")).scores(images), model.scores(images), atol=0.03)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_model(fitted, name):
    again = create(name, **SMALL[name]).fit(textures(8), seed=1)
    for key, array in fitted[name].arrays().items():
        np.testing.assert_array_equal(again.arrays()[key], array)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(1, 1), (3, 400), (400, 3), (90, 70, 3), (64, 64, 4), (33, 31, 2)])
@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.float32])
def test_images_of_any_size_depth_and_color_are_scored(fitted, name, shape, kind):
    image = np.random.default_rng(0).random(shape)
    image = (image * (1 if kind is np.float32 else np.iinfo(kind).max)).astype(kind)
    scores = fitted[name].scores([image, np.zeros((40, 40), np.uint8)])
    assert np.isfinite(scores).all()
    np.testing.assert_allclose(scores.sum(axis=1), 1, atol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_no_images_give_no_scores(fitted, name):
    assert fitted[name].scores([]).shape == (0, 3)


def test_a_fit_emits_progress_and_a_pyramid_lengthens_the_vector():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    events = []
    model = create("sift-fv-svm", **SMALL["sift-fv-svm"], pyramid="1x1,3x1", places="no")
    model.fit(textures(4), events=events.append)
    assert model.length() == 4 * 2 * 8 * model.codebook.components
    assert {event.what.split(",")[0] for event in events} >= {"sampling descriptors", "describing images", "fit"}
    assert all(0 <= event.done <= event.total for event in events)


@pytest.mark.parametrize(
    ("name", "settings", "what"),
    [
        ("hog-svm", {"size": 0}, "size"),
        ("hog-svm", {"size": 10**9}, "size"),
        ("hog-svm", {"cell": "x"}, "cell"),
        ("hog-svm", {"costs": "1,-1"}, "costs"),
        ("gist-svm", {"orientations": (1,) * 17}, "orientations"),
        ("sift-fv-svm", {"bins": (0,)}, "bins"),
        ("sift-fv-svm", {"window": "box"}, "window"),
        ("sift-fv-svm", {"resolution": -1}, "resolution"),
        ("sift-fv-svm", {"pyramid": "all"}, "pyramid"),
        ("sift-fv-svm", {"colour": "yes"}, "colour"),
    ],
)
def test_wrong_settings_are_refused(name, settings, what):
    with pytest.raises(ParameterError, match=what):
        create(name, **settings)


@pytest.mark.parametrize("name", NAMES)
def test_an_unfitted_model_says_so(name):
    with pytest.raises(DataError, match="not fitted"):
        create(name).decide(np.zeros((1, 3), np.float32))


def test_large_images_show_no_more_detail_than_enlarged_training_images(fitted):
    assert 50 <= fitted["sift-fv-svm"].settings["resolution"] < 70
    model = create("sift-fv-svm", size=48, resolution=20)
    large = stripes(np.random.default_rng(0), 2, (120, 160))
    np.testing.assert_array_equal(model.prepare(large), model.prepare(resize(large, 20, 27)))
    assert model.prepare(large).shape == (48, 65)
    np.testing.assert_array_equal(create("sift-fv-svm", size=48).prepare(large), resize(large, 48, 64))


def test_models_from_before_k_was_called_so_open(fitted, tmp_path):
    data = fitted["sift-fv-svm"].to_data()
    before = {"components" if name == "k" else name: value for name, value in data.parameters.items()}
    before = {name: value for name, value in before.items() if name not in ("color", "mirror")}
    storage.save_model(tmp_path / "m", replace(data, parameters=before))
    found = open_model(str(tmp_path / "m"))
    assert found.settings == {**data.parameters, "mirror": False}
    assert (found.settings["k"], found.settings["color"]) == (4, "gray")
    storage.save_model(tmp_path / "both", replace(data, parameters={**data.parameters, "components": 4}))
    with pytest.raises(DataError, match="components is unknown"):
        open_model(str(tmp_path / "both"))


@pytest.mark.parametrize("name", ["hog-svm", "sift-fv-softmax"])
def test_vectors_in_a_file_give_the_same_model(fitted, name, monkeypatch):
    seen = []
    monkeypatch.setattr(vector_svm, "MAX_TABLE_BYTES", 1000)
    fit = VectorSvm.fit_machine if name == "hog-svm" else type(fitted[name]).fit_machine
    monkeypatch.setattr(
        type(fitted[name]), "fit_machine", lambda self, table, *more: seen.append(table) or fit(self, table, *more)
    )
    again = create(name, **SMALL[name]).fit(textures(8), seed=1)
    assert isinstance(seen[0], np.memmap)
    for key, array in fitted[name].arrays().items():
        np.testing.assert_array_equal(again.arrays()[key], array)


def test_letters_and_digits_are_not_mirrored_unless_asked_for():
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    data = textures(3)
    own = {**SMALL["sift-fv-svm"], "costs": (1.0,), "folds": 1}
    for classes, settings, expected in (("ABC", {}, False), ("ABC", {"mirror": True}, True), (data.classes, {}, True)):
        model = create("sift-fv-svm", **own, **settings).fit(replace(data, classes=tuple(classes)))
        assert model.settings["mirror"] is expected


def test_colors_count_where_they_are_asked_for(fitted):
    """A gray texture, and a green one of the same brightness."""
    texture = stripes(np.random.default_rng(0), 1, (60, 60)).astype(np.float32) / 1000
    none = np.zeros_like(texture)
    gray, green = np.dstack([texture] * 3), np.dstack([none, texture / np.float32(0.587), none])
    for name, differ in (("sift-fv-svm", False), ("sift-vlad-svm", True)):
        model = fitted[name]
        one, other = model.features([model.prepare(gray), model.prepare(green)])
        assert (np.abs(one - other).max() > 0.01) == differ


def test_vectors_of_hog_have_length_1(fitted):
    vectors = fitted["hog-svm"].features([fitted["hog-svm"].prepare(image) for image in textures(2).items])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-3)


def test_short_side():
    assert short_side(np.zeros((30, 60), np.uint8), 20).shape == (20, 40)
    assert short_side(np.zeros((60, 30, 3), np.uint8), 45).shape == (90, 45, 3)
    assert short_side(np.zeros((2, 900), np.uint8), 20).shape == (20, 80)
    same = np.zeros((20, 30), np.uint8)
    assert short_side(same, 20) is same


def test_a_folder_with_any_array_changed_is_refused(fitted, tmp_path):
    import hashlib

    model = fitted["sift-fv-svm"]
    model.save(tmp_path / "m")
    weights, description = next((tmp_path / "m").glob("weights-*")), tmp_path / "m" / storage.DESCRIPTION
    arrays, text = load_file(weights), json.loads(description.read_text())
    for name, array in arrays.items():
        for wrong in (None, array[:0], np.ascontiguousarray(array[..., :-1]), array.astype(np.int32), array[None]):
            changed = {key: value for key, value in {**arrays, name: wrong}.items() if value is not None}
            save_file(changed, weights)
            text["weights"]["sha256"] = hashlib.sha256(weights.read_bytes()).hexdigest()
            text["digest"] = storage.digest_of(text)
            description.write_text(json.dumps(text))
            with pytest.raises(DataError):
                open_model(str(tmp_path / "m"))


@pytest.mark.parametrize(("images", "words"), [(41, 20), (125, 64)])
def test_a_codebook_sees_256_descriptors_of_an_image_and_has_a_word_for_500(images, words):
    """Each image offers 324; 41 images 10,496, 4 too few for 21 words, and 125 exactly enough for 64."""
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    generator = np.random.default_rng(0)
    pictures = [generator.integers(0, 256, (48, 48), dtype=np.uint8) for _ in range(images)]
    dataset = Dataset(pictures, np.arange(images) % 2, ("a", "b"))
    settings = {"size": 48, "k": 200, "dimensions": 2, "step": 2, "bins": (4,), "places": False}
    model = create("sift-fv-svm", **settings, pyramid="1x1", costs=(1.0,), folds=2).fit(dataset)
    assert model.features([model.prepare(pictures[0])]).shape == (1, 2 * words * 2)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("budget", [0, 1 << 24])
def test_vectors_that_nothing_was_learned_for_are_kept_from_fit_to_fit(name, budget, tmp_path, monkeypatch):
    """Folds of a comparison fit one kind several times, to many of the same images."""
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    images = textures(6)
    paths = [tmp_path / f"{index}.png" for index in range(len(images))]
    for index, path in enumerate(paths):
        path.write_bytes(encode(images.image(index), "png"))
    plain = Dataset(paths, images.labels, images.classes)
    kept = plain.with_cache(ImageCache(budget))
    model, described = create(name, **SMALL[name]), []
    describe = type(model).describe
    monkeypatch.setattr(type(model), "describe", lambda self, image: described.append(0) or describe(self, image))
    halves = [np.arange(len(images)), np.arange(1, len(images))]
    for part in halves:
        model, same = (create(name, **SMALL[name]).fit(each.subset(part), seed=1) for each in (kept, plain))
        for array, expected in zip(model.arrays().values(), same.arrays().values(), strict=True):
            np.testing.assert_array_equal(array, expected)
    learns = name.startswith("s")  # a codebook
    assert len(described) == (2 * (18 + 17) if learns or not budget else 18 + (18 + 17))


@pytest.mark.parametrize(("name", "most"), [("sift-fv-svm", 4), ("sift-bow-svm", 40), ("sift-vlad-svm", 40)])
def test_means_alone_need_fewer_descriptors_than_gaussians(name, most):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    model = create(name, size=48, step=2, bins=(4,), dimensions=8, k=64, samples=2000)
    model.fit_descriptor(textures(8), 0, None)
    assert len(model.codebook.means) == most
