"""`imgtool embed`: feature files that know their network by the hash of its weights, and workers that are sent it."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import imgtool
from imgtool import device
from imgtool.batch import shared
from imgtool.classifiers import registry
from imgtool.classifiers.registry import locate, open_model
from imgtool.classifiers.storage import load_model
from imgtool.cli.main import execute
from imgtool.datasets import feature_file
from imgtool.errors import DataError
from imgtool.pipelines.descriptors import complete, descriptor_of
from imgtool.pipelines.embeddings import weights_to_send
from locations import SAMPLES


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """Six images in two classes, and a network of one's own, which is LeNet's."""
    monkeypatch.chdir(tmp_path)
    for name in ("brick", "gravel"):
        (tmp_path / "in" / name).mkdir(parents=True)
        for index in range(3):
            shutil.copy(SAMPLES / "textures" / name / f"{name}_{index:02}.png", tmp_path / "in" / name)
    shutil.copytree(locate("lenet@cifar10"), tmp_path / "mine")
    return tmp_path


def meta_of(path):
    return {
        key: value for key, value in json.loads(str(np.load(path)["meta"])).items() if key not in ("digest", "format")
    }


def other_weights(place):
    """Replace a model by one with other weights."""
    model = open_model(place)
    arrays = model.arrays()
    model.restore({name: array + np.float32(0.01) for name, array in arrays.items()})
    model.save(Path(place), overwrite=True)


def test_a_file_says_by_which_weights_and_where_it_was_made(folder):
    assert execute(["embed", "-q", "--model", "lenet", "in", "-o", "f.npz"]) == 0
    weights = open_model("lenet").weights_hash
    parameters = {"model": "lenet@cifar10", "weights": weights}
    assert meta_of("f.npz") == {
        "descriptor": "embed", "parameters": parameters, "version": imgtool.__version__, "device": "cpu"
    }  # fmt: skip
    table = feature_file.load("f.npz")
    assert table.features.shape == (6, 84)
    assert table.labels == ["brick"] * 3 + ["gravel"] * 3
    for path, row in zip(table.paths, table.features, strict=True):
        np.testing.assert_array_equal(row, imgtool.embed(imgtool.read(path), model="lenet"))


@pytest.mark.parametrize("name", ["mine", "./mine", "mine/"])
def test_a_network_of_ones_own_is_a_folder_and_its_rows_those_of_its_weights(name, rows_of):
    (own,), (shipped,) = (rows_of("embed", "--model", each, "in/brick/brick_00.png") for each in (name, "lenet"))
    assert own["values"] == shipped["values"]
    assert own["weights"].split()[1] == shipped["weights"].split()[1]
    assert "/" in own["weights"]


def left_unfinished(*arguments):
    """Leave what a run leaves that ends at its second image."""
    reads = 0
    original = imgtool.pipelines.source.Source.read

    def read(self, index, remarks):
        nonlocal reads
        if (reads := reads + 1) > 3:
            raise KeyboardInterrupt
        return original(self, index, remarks)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(imgtool.pipelines.source.Source, "read", read)
        with pytest.raises(KeyboardInterrupt):
            execute(["embed", "-q", "-j", "1", "in", "-o", "f.npz", *arguments])
    assert Path("f.npz.partial").exists()


def test_resume_goes_on_with_the_same_weights(run):
    assert run("embed", "-q", "--model", "mine", "in", "-o", "whole.npz").status == 0
    left_unfinished("--model", "mine")
    assert run("embed", "-q", "--model", "mine", "in", "-o", "f.npz", "--resume").status == 0
    assert Path("f.npz").read_bytes() == Path("whole.npz").read_bytes()


def test_resume_refuses_another_device(run, monkeypatch):
    pytest.importorskip("torch", reason="the extra 'torch' is not installed")
    left_unfinished("--model", "mine")
    for module in (device, registry):
        monkeypatch.setattr(module, "resolve", lambda name: "cpu" if name == "cpu" else "cpu:0")
    other = run("embed", "--model", "mine", "--device", "cuda", "in", "-o", "f.npz", "--resume")
    assert (other.status, other.err.count("\n")) == (1, 1)
    assert "f.npz.partial: was begun on device cpu, not cpu:0; --force begins anew" in other.err


def test_resume_refuses_other_weights_and_another_layer(run):
    left_unfinished("--model", "mine")
    other = run("embed", "--model", "mine", "--layer", "pool1", "in", "-o", "f.npz", "--resume")
    assert (other.status, other.err.count("\n")) == (1, 1)
    assert "was begun with other settings; --force begins anew" in other.err
    other_weights("mine")
    other = run("embed", "--model", "mine", "in", "-o", "f.npz", "--resume")
    assert (other.status, other.err.count("\n")) == (1, 1)
    assert "f.npz.partial: was begun with other weights of the network; --force begins anew" in other.err


def test_a_query_is_described_by_the_files_weights_or_not_at_all(run):
    assert run("embed", "-q", "--model", "mine", "in", "-o", "f.npz").status == 0
    query = str(SAMPLES / "textures" / "brick" / "brick_05.png")
    found = run("features", "search", "--query", query, "--top", "2", "--format", "jsonl", "f.npz")
    assert found.status == 0
    assert len(found.rows) == 2
    other_weights("mine")
    done = run("features", "search", "--query", query, "f.npz")
    assert (done.status, done.err.count("\n")) == (1, 1)
    assert "./mine has other weights" in done.err
    shutil.rmtree("mine")
    done = run("features", "search", "--query", query, "f.npz")
    assert (done.status, done.err.count("\n")) == (1, 1)


def test_other_formats_and_duplicates(run):
    assert run("embed", "-q", "--model", "lenet", "in", "-o", "f.csv").status == 0
    assert run("embed", "-q", "--model", "lenet", "in", "-o", "f.npz").status == 0
    np.testing.assert_array_equal(feature_file.load("f.csv").features, feature_file.load("f.npz").features)
    pairs = run("features", "search", "--duplicates", "--threshold", "0.5", "--format", "jsonl", "f.npz")
    assert pairs.status == 0
    assert pairs.rows


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--model", "nothing"], "no model 'nothing'"),
        (["--model", "hog-svm"], "no trained 'hog-svm'"),
        (["--model", "sift-fv-svm"], "is no network"),
        (["--model", "lenet", "--layer", "conv9"], "no layer 'conv9'"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(arguments, says, run):
    done = run("embed", *arguments, "in")
    assert (done.status, done.err.count("\n"), done.out) == (2, 1, "")
    assert says in done.err


def test_a_worker_takes_the_weights_that_it_was_sent(monkeypatch):
    """Its machine need not have the model's folder; and nothing else is taken for it."""
    monkeypatch.setattr(shared, "_values", {})
    parameters = complete("embed", {"model": "mine"})
    meta = {"descriptor": "embed", "parameters": parameters}
    image = imgtool.read("in/brick/brick_00.png")
    expected = descriptor_of(meta)(image)
    key, data = weights_to_send(parameters)
    assert key == parameters["weights"] == load_model(Path("mine")).weights_hash
    shutil.rmtree("mine")
    with pytest.raises(DataError):
        descriptor_of(meta)
    shared.receive(key, data)
    np.testing.assert_array_equal(descriptor_of(meta)(image), expected)


@pytest.mark.slow
def test_D5_workers_are_sent_the_weights_once(monkeypatch):
    """The folder is gone once they have them, and the second run sends none."""
    distributed = pytest.importorskip("distributed", reason="--cluster needs the extra 'cluster'")
    assert execute(["embed", "-q", "--model", "mine", "in", "-o", "alone.npz"]) == 0
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address=None,
        scheduler_kwargs={"dashboard_address": "127.0.0.1:0"},
    ) as local:  # fmt: skip
        for name in ("one.npz", "two.npz"):
            arguments = ["embed", "-q", "--model", "mine", "in", "-o", name, "--cluster", local.scheduler_address]
            assert execute(arguments) == 0
            assert Path(name).read_bytes() == Path("alone.npz").read_bytes()
        with distributed.Client(local, set_as_default=False) as client:
            held = client.run(_received_keys)
            assert list(held.values()) == [[load_model(Path("mine")).weights_hash]] * 2
            plugins = client.run_on_scheduler(lambda dask_scheduler: list(dask_scheduler.worker_plugins))
            assert sum(name.startswith("imgtool-") for name in plugins) == 1


def _received_keys():
    return list(shared._values)
