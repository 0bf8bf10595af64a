"""What `import imgtool` offers: names, how they are imported, and what their docstrings say."""

import ast
import doctest
import importlib.util
import inspect
import re
import subprocess
import sys

import pytest

import imgtool
from locations import ROOT, SAMPLES

SOURCE = ROOT / "imgtool" / "__init__.py"
FUNCTIONS = [name for name in imgtool.__all__ if inspect.isfunction(getattr(imgtool, name))]
ERRORS = [name for name in imgtool.__all__ if name.endswith("Error")]
SECTION = re.compile(r"^ *([A-Z]\w+)\n *-{3,}$", re.MULTILINE)
# Examples that need more than the base install.
EXTRAS = {"fit_codebook": "sklearn", "training_curves": "matplotlib"}


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_importing_imgtool_imports_nothing_else():
    loaded = run("import sys; before = set(sys.modules); import imgtool; print(*set(sys.modules) - before)").split()
    assert loaded == ["imgtool"]


@pytest.mark.timed
def test_importing_imgtool_takes_less_than_10_ms():
    code = "import time; begin = time.perf_counter(); import imgtool; print(time.perf_counter() - begin)"
    assert min(float(run(code)) for _ in range(5)) < 0.010


def test_a_name_imports_what_it_needs_and_no_more():
    code = "import sys, imgtool; imgtool.{}; print(*sys.modules)"
    assert not {"numpy", "cv2"} & set(run(code.format("ImageError")).split())
    assert not {"cv2", "scipy", "PIL", "torch"} & set(run(code.format("kernel")).split())
    assert not {"sklearn", "torch", "skimage"} & set(run(code.format("fit_codebook")).split())


def test_names_are_sorted_listed_and_defined_where_the_table_says():
    assert imgtool.__all__ == sorted(imgtool.__all__)
    assert set(imgtool.__all__) == set(imgtool._MODULES) <= set(dir(imgtool))
    for name, module in imgtool._MODULES.items():
        assert getattr(imgtool, name).__module__ == module


def test_type_checkers_see_the_names_from_the_same_modules():
    (block,) = [
        node for node in ast.parse(SOURCE.read_text()).body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    ]  # fmt: skip
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    assert seen == imgtool._MODULES


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'hgo'"):
        imgtool.hgo  # noqa: B018


def test_all_errors_are_there_and_those_of_arguments_and_images_are_value_errors():
    from imgtool import errors

    defined = {
        name for name, each in vars(errors).items() if inspect.isclass(each) and each.__module__ == errors.__name__
    }
    assert defined == set(ERRORS)
    assert all(issubclass(getattr(imgtool, name), imgtool.ImgtoolError) for name in ERRORS)
    value_errors = {name for name in ERRORS if issubclass(getattr(imgtool, name), ValueError)}
    assert value_errors == {"ImageError", "ParameterError"}


def sections(function):
    """Return the sections of a docstring by their names."""
    text = inspect.getdoc(function)
    parts = SECTION.split(text)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def described(section):
    """Yield the names that a section of parameters describes."""
    for line in section.splitlines():
        if line and not line.startswith(" ") and (" : " in line or line.startswith("*")):
            yield from (name.strip().lstrip("*") for name in line.partition(" : ")[0].split(","))


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_have_numpys_sections_and_each_parameter(name):
    function = getattr(imgtool, name)
    found, parameters = sections(function), list(inspect.signature(function).parameters)
    order = ["Parameters", "Returns", "Yields", "Raises", "Notes", "Examples"]
    assert list(found) == [each for each in order if each in found]
    assert {"Raises", "Examples"} <= found.keys()
    assert "Returns" in found or "Yields" in found
    assert list(described(found.get("Parameters", ""))) == parameters
    for raised in re.findall(r"^\w.*", found["Raises"], re.MULTILINE):
        assert set(raised.split(", ")) <= set(ERRORS)


@pytest.mark.parametrize("name", [name for name in imgtool.__all__ if name not in ERRORS])
def test_examples_run(name, tmp_path, monkeypatch):
    if name in EXTRAS and importlib.util.find_spec(EXTRAS[name]) is None:
        pytest.skip(f"needs {EXTRAS[name]}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (tmp_path / "sample_images").symlink_to(SAMPLES)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    examples = doctest.DocTestFinder(recurse=False).find(getattr(imgtool, name), name, globs={})
    for example in examples:
        runner.run(example)
    assert runner.summarize().failed == 0
    assert name not in FUNCTIONS or runner.tries > 0
