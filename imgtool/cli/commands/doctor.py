"""`imgtool doctor`."""

from __future__ import annotations

import importlib.metadata
import platform
import sys
from collections.abc import Iterator

import click

import imgtool
from imgtool import device
from imgtool.batch.pool import processors
from imgtool.cli import options
from imgtool.cli.commands.completion import current_shell
from imgtool.cli.messages import complain
from imgtool.cli.tables import emit, json_line

PACKAGES = ("numpy", "scipy", "opencv", "Pillow", "tifffile", "click", "safetensors")
EXTRAS = {
    "classic": "scikit-learn",
    "torch": "torch",
    "report": "matplotlib",
    "cluster": "distributed",
    "onnx": "onnxruntime",
    "parquet": "pyarrow",
    "heif": "pillow-heif",
}
OPENCV_WHEELS = (
    "opencv-python-headless",
    "opencv-python",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)

# On PyPI this is a signer of firmware images, with the same command and a package of the same name. Ours is imgtool-cv.
OTHER_PROGRAM = "imgtool"

EXAMPLES = """
imgtool doctor
imgtool doctor --json | jq .extras
"""


@options.command("doctor", examples=EXAMPLES)
@click.option("--json", is_flag=True, help="Print one JSON object.")
def command(json: bool) -> None:
    """Report versions, extras and devices on this machine."""
    found = findings()
    if json:
        emit(json_line(found))
    else:
        emit("".join(f"{name:<12}{_line(value)}\n" for name, value in found.items()))
    for warning in warnings():
        complain(warning)


def findings() -> dict[str, object]:
    """Return versions, processors, GPU, caches and extras."""
    from imgtool.classifiers.published import cache_folder

    count = device.cuda_devices()
    return {
        "imgtool": imgtool.__version__,
        "python": f"{platform.python_version()} ({sys.platform}, {platform.machine()})",
        "processors": processors(),
        "gpu": f"{count} CUDA" if count else "none",
        "completion": f'eval "$(imgtool completion {current_shell() or "bash"})"',
        "cache": str(cache_folder()),
        "packages": {name: version(name) for name in PACKAGES},
        "extras": {extra: version(package) for extra, package in EXTRAS.items()},
    }


def version(package: str) -> str | None:
    """Return the version of an installed package, None when it is not there."""
    names = OPENCV_WHEELS if package == "opencv" else (package,)
    return next(filter(None, map(_version, names)), None)


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def warnings() -> Iterator[str]:
    """Yield what is wrong with this installation."""
    wheels = [name for name in OPENCV_WHEELS if _version(name)]
    if len(wheels) > 1:
        yield f"{' and '.join(wheels)} overwrite each other's files; uninstall all and install one again"
    if device.cuda_devices() and device.torch_build() == "cpu":
        yield "there is a GPU, but the PyTorch installed here is built for the CPU only"
    if other := _version(OTHER_PROGRAM):
        yield (
            f"the distribution {OTHER_PROGRAM} {other} is installed here, another program with the same command and "
            f"package; uninstall {OTHER_PROGRAM} and imgtool-cv, then install imgtool-cv again"
        )


def _line(value: object) -> str:
    """Return one line for a table of packages, or a plain value."""
    if isinstance(value, dict):
        return "  ".join(f"{name} {version or 'missing'}" for name, version in value.items())
    return str(value)
