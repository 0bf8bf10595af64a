"""Too little memory and full disks: one line in every command, and what was stored before stays."""

import contextlib
import os
import subprocess
import sys

import numpy as np
import pytest
from every_command import PRINTING, prepare, run

from imgtool.cli.memory import LINE
from imgtool.datasets.feature_file import FeatureTable, save
from imgtool.errors import ImgtoolError, MissingExtraError, OutputError, failed_import, is_out_of_memory
from imgtool.evaluation.store import Predictions, Store
from imgtool.features.codebook import Dictionary, save_codebook
from imgtool.networks import checkpoint

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="limits to address space and files")
# Kilobytes of address space in which NumPy, OpenCV, SciPy and scikit-learn are not loaded, or just so.
LIMITS = [100_000, 250_000, 500_000]
A_LINE_A_MODEL = ("compare", "evaluate")  # where each model fails, each is a row with its reason (C1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    pytest.importorskip("sklearn", reason="needs the extra 'classic'")
    return prepare(tmp_path_factory.mktemp("memory"))


@pytest.mark.parametrize("command", PRINTING)
def test_F26_too_little_memory_is_one_line(folder, command):
    for limit in LIMITS:
        done = run(folder, "", command, *PRINTING[command], before=f"ulimit -v {limit};")
        own = [
            line
            for line in done.stderr.splitlines(keepends=True)
            if b"images of" not in line and b"classes" not in line
        ]
        if done.returncode:
            assert done.returncode == 1
            said = [each == LINE or b"not enough memory" in each or b"more memory than" in each for each in own]
            assert said
            assert all(said)
            assert len(said) == 1 or command in A_LINE_A_MODEL  # a line for each model
        assert b"internal" not in done.stderr


@pytest.mark.parametrize(
    ("error", "short"),
    [
        (MemoryError(), True),
        (ImportError("libarrow.so: failed to map segment from shared object"), True),
        (OSError(12, "Cannot allocate memory"), True),
        (RuntimeError("can't start new thread"), True),
        (ImportError("undefined symbol"), False),
        (FileNotFoundError(2, "No such file or directory", "out of memory.png"), False),
    ],
    ids=repr,
)
def test_memory_is_short_whatever_a_library_calls_it(error, short):
    assert is_out_of_memory(error) == short
    later = ValueError("later")
    later.__cause__ = error
    assert is_out_of_memory(later) == short


@pytest.mark.parametrize("limited", [False, True])
def test_F26_c_code_that_fails_without_a_reason_is_out_of_memory_where_that_is_limited(limited, tmp_path):
    program = (
        "import imgtool.cli.main as main\n"
        "def fail(arguments): raise SystemError('error return without exception set')\n"
        "main.execute = fail\n"
        "main.run()\n"
    )
    line = f'{"ulimit -v 4000000; " if limited else ""}exec {sys.executable} -c "$0"'
    done = subprocess.run(["bash", "-c", line, program], capture_output=True, cwd=tmp_path)
    assert done.returncode == 1
    assert (done.stderr == LINE) == limited
    assert (b"internal error" in done.stderr) != limited


def test_an_import_that_fails_is_no_missing_extra_unless_it_is_missing():
    purpose = "fitting"
    assert isinstance(failed_import("classic", purpose, ModuleNotFoundError("sklearn")), MissingExtraError)
    assert isinstance(failed_import("classic", purpose, ImportError("failed to map segment")), MemoryError)
    broken = failed_import("classic", purpose, ImportError("undefined\nsymbol"))
    assert type(broken) is ImgtoolError
    assert str(broken) == "fitting needs a package that cannot be loaded: undefined symbol"


WITHOUT_SEMAPHORES = """
import _multiprocessing, errno, os, sys
def full(*args, **kwargs):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
_multiprocessing.SemLock = full
from imgtool.__main__ import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "command",
    [["features", "fit", "--components", "2", "-o", "book.safetensors", "data"],
     ["train", "data", "--model", "hog-svm", "-o", "fitted"]],
    ids=["features fit", "train"],
)  # fmt: skip
def test_F26_a_full_disk_where_semaphores_lie_is_no_warning(folder, command):
    program = [sys.executable, "-c", WITHOUT_SEMAPHORES, *command, "-q"]
    done = subprocess.run(program, cwd=folder, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@contextlib.contextmanager
def full_disk(size):
    """Let this process write no file of more bytes."""
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def store_checkpoint(path, seed):
    arrays = {"module.w": np.random.default_rng(seed).random(5000, np.float32)}
    checkpoint.save(path, checkpoint.Checkpoint({"recipe": {"epochs": 3}}, 1, [], arrays))


def store_predictions(path, seed):
    scores = np.random.default_rng(seed).random((5000, 2))
    store = Store(path.parent)
    store.path = lambda *_: path
    store.put("key", Predictions("model", "0" * 64, ("a", "b"), scores))


def store_codebook(path, seed):
    atoms = np.eye(100, dtype=np.float32)[np.random.default_rng(seed).permutation(100)]
    save_codebook(path, Dictionary(atoms), overwrite=True)


def store_features(path, seed):
    values = np.random.default_rng(seed).random((50, 100), np.float32)
    save(path, FeatureTable(values, ["a"] * 50, ["b"] * 50), overwrite=True)


STORES = {
    "checkpoint": store_checkpoint,
    "x.predictions": store_predictions,
    "book.safetensors": store_codebook,
    **{f"rows{suffix}": store_features for suffix in (".npz", ".npy", ".csv", ".jsonl", ".parquet")},
}


@pytest.mark.parametrize("name", STORES)
def test_F26_on_a_full_disk_what_was_stored_stays(tmp_path, name):
    if name.endswith("parquet"):
        pytest.importorskip("pyarrow", reason="needs the extra 'parquet'")
    path = tmp_path / name
    STORES[name](path, 0)
    before = path.read_bytes()
    with full_disk(10_000), pytest.raises(OutputError, match="cannot be written: ") as caught:
        STORES[name](path, 1)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == [name]
    STORES[name](path, 1)
    assert path.read_bytes() != before
