"""The order of the layers: who imports whom, and what is imported late (docs/dev/architecture.md)."""

import ast
import re
import subprocess
import sys
from graphlib import TopologicalSorter

import pytest

from locations import ROOT

LAYERS = [
    {"errors"}, {"device", "events", "parameters", "arrays", "remarks", "text", "files", "names"}, {"image"},
    {"filters", "batch"}, {"datasets"}, {"features", "networks"}, {"classifiers"}, {"pipelines"}, {"evaluation"},
    {"cli"}, {"__main__", "__init__"},
]  # fmt: skip
LAYER = {package: number for number, packages in enumerate(LAYERS) for package in packages}
FILES = sorted((ROOT / "imgtool").rglob("*.py"))
# What is imported by a name that is put together: the file, and all that it can be.
KNOWN = {"cli/main.py": [f"imgtool.cli.commands.{path.stem}" for path in FILES if path.parent.name == "commands"]}
TORCH = {"classifiers/network.py"} | {
    f"networks/{name}.py" for name in ("torch_backend", "training", "augment", "distributed")
}


def package_of(path):
    parts = path.relative_to(ROOT / "imgtool").parts
    return parts[0].removesuffix(".py")


def imports(path, *, top_level=False):
    """Yield the modules that a file imports, anywhere or when it is itself imported.

    Anywhere: those for types and those inside functions count too, and modules of imgtool that a string names.
    """
    nodes = at_once(ast.parse(path.read_text())) if top_level else ast.walk(ast.parse(path.read_text()))
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            yield from (f"{node.module}.{alias.name}" if is_module(node.module, alias.name) else node.module
                        for alias in node.names)  # fmt: skip
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not top_level:
            yield from module_in(node.value)
    yield from () if top_level else KNOWN.get(str(path.relative_to(ROOT / "imgtool")), ())


def module_in(text):
    """Yield the module of imgtool that a string names, as import_module takes it; `module:attribute` names one too."""
    name = text.partition(":")[0]
    if re.fullmatch(r"imgtool(\.\w+)+", name) and is_module(*name.rsplit(".", 1)):
        yield name


def at_once(node):
    """Yield the nodes that run when a file is imported: none inside functions, none that only types need."""
    for child in ast.iter_child_nodes(node):
        for_types = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test)
        if not isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not for_types:
            yield child
            yield from at_once(child)


def is_module(package, name):
    """Tell whether `from package import name` imports a file of imgtool, not something in one."""
    folder = ROOT.joinpath(*package.split("."))
    return (folder / f"{name}.py").exists() or (folder / name / "__init__.py").exists()


def test_every_package_has_a_layer():
    assert {package_of(path) for path in FILES} - {"__init__"} <= LAYER.keys()


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_packages_import_from_layers_below_only(path):
    here = package_of(path)
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "imgtool" and len(parts) > 1 and parts[1] in LAYER and parts[1] != here:
            assert LAYER[parts[1]] < LAYER[here], f"{here} imports {module}"


def test_no_file_imports_itself_through_others():
    names = {path: ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in FILES}
    graph = {names[path]: {module for module in imports(path) if module in names.values()} for path in FILES}
    assert graph["imgtool.cli.commands.filter"] >= {"imgtool.cli.options", "imgtool.pipelines.filter_images"}
    assert graph["imgtool.image.decoders"] >= {"imgtool.image.codecs.png"}  # whose name is in a string
    assert graph["imgtool.cli.main"] >= {"imgtool.cli.commands.hog"}
    graph["imgtool"] = set()  # its imports are for type checkers; at run time names are imported when asked for
    list(TopologicalSorter(graph).static_order())  # raises CycleError, naming the circle


@pytest.mark.parametrize(
    ("text", "module"),
    [
        ("imgtool.image.read", ["imgtool.image.read"]),
        ("imgtool.cli.commands.hog:command", ["imgtool.cli.commands.hog"]),
        ("imgtool.models", []), ("see imgtool.image.read", []), ("imgtool", []), ("os.path", []),
    ],
)  # fmt: skip
def test_modules_are_seen_in_strings(text, module):
    assert list(module_in(text)) == module


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_name_of_a_module_is_put_together(path):
    """Else the tests above could not see what is imported."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("import_module"):
            together = isinstance(node.args[0], ast.JoinedStr | ast.BinOp)
            assert not together or str(path.relative_to(ROOT / "imgtool")) in KNOWN, ast.unparse(node)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_libraries_stay_in_their_packages(path):
    name, package = str(path.relative_to(ROOT / "imgtool")), package_of(path)
    found = {module.split(".")[0] for module in imports(path)}
    early = {module.split(".")[0] for module in imports(path, top_level=True)}
    if package != "cli":
        assert not found & {"click", "rich"}
    if package != "image":
        assert not found & {"PIL", "tifffile"}
    if name not in TORCH and not name.endswith("_torch.py"):
        assert "torch" not in found
    assert not early & {"sklearn", "skimage", "matplotlib", "distributed"}
    assert "skimage" not in found


def loaded_by(*arguments):
    """Return the modules that a command loads; it must do its work."""
    code = (
        "import sys; from imgtool.cli.main import execute; status = execute(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(result.stderr.split())


HEAVY = {"torch", "sklearn", "skimage", "matplotlib", "pandas", "distributed"}


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["filter", "--help"], ["classify", "--help"]])
def test_help_imports_neither_numpy_nor_opencv(arguments):
    assert not loaded_by(*arguments) & {"numpy", "cv2", "scipy", "PIL"} | HEAVY & loaded_by(*arguments)


@pytest.mark.parametrize("arguments", [["filter", "--list"], ["filter", "--kernel", "gabor", "--print-kernel"]])
def test_kernels_are_shown_without_opencv(arguments):
    assert not loaded_by(*arguments) & ({"cv2", "scipy", "PIL"} | HEAVY)


@pytest.mark.parametrize(
    "arguments",
    [
        ["filter", "--kernel", "sobel-x", "sample_images/camera.png", "-q", "-o", "{tmp}/a.png"],
        ["gradient", "sample_images/camera.png", "-q", "-o", "{tmp}/b.png"],
        ["hog", "sample_images/camera.png"],
        ["gist", "sample_images/camera.png"],
        ["sift", "sample_images/camera.png"],
        ["embed", "sample_images/camera.png"],
        ["info", "sample_images/camera.png"],
        ["classify", "sample_images/cat.jpg"],
        ["explain", "conv"],
        ["explain", "network", "lenet@mnist", "sample_images/text.png", "--label", "8"],
        ["classify", "--model", "sift-fv-svm", "sample_images/cat.jpg"],
    ],
    ids=lambda arguments: arguments[0],
)
def test_light_commands_import_nothing_heavy(tmp_path, arguments):
    assert not loaded_by(*(argument.replace("{tmp}", str(tmp_path)) for argument in arguments)) & HEAVY
