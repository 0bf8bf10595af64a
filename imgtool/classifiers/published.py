"""Published weights of a thousand classes: which file, where it lies, and the model that it makes.

The files are torchvision's (BSD-3-Clause), trained on ImageNet-1k (Russakovsky et al., IJCV 2015); accuracies are
those that torchvision publishes for the 50,000 validation images, not measured here. A file's name holds the start of
its SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from imgtool.errors import DataError
from imgtool.files import open_regular, read_regular

if TYPE_CHECKING:
    from imgtool.classifiers.storage import ModelData

ADDRESS = "https://download.pytorch.org/models/"
CACHE_VARIABLE = "IMGTOOL_CACHE"
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's training images
IMAGES = 50_000  # of ImageNet for validation
RECORD_SUFFIX = ".json"
MAX_RECORD_BYTES = 10_000
_DIGITS = re.compile(r"-([0-9a-f]{8})\.pth")


@dataclass(frozen=True)
class Published:
    """One file of weights.

    megabytes: its size in units of 2 ** 20 bytes, as torchvision has it; top1, top5: percent; resize: pixels that the
    shorter side is brought to before the center of 224 is taken; is_centered: the network sees values from -1 to 1.
    """

    file: str
    megabytes: float
    top1: float
    top5: float
    resize: int = 256
    is_centered: bool = False

    @property
    def digits(self) -> str:
        """The start of its SHA-256."""
        found = _DIGITS.search(self.file)
        assert found is not None
        return found[1]


PUBLISHED = {
    "alexnet@imagenet": Published("alexnet-owt-7be5be79.pth", 233.087, 56.522, 79.066),
    "vgg11@imagenet": Published("vgg11-8a719046.pth", 506.84, 69.020, 88.628),
    "vgg13@imagenet": Published("vgg13-19584684.pth", 507.545, 69.928, 89.246),
    "vgg16@imagenet": Published("vgg16-397923af.pth", 527.796, 71.592, 90.382),
    "vgg19@imagenet": Published("vgg19-dcbb9e9d.pth", 548.051, 72.376, 90.876),
    "vgg11_bn@imagenet": Published("vgg11_bn-6002323d.pth", 506.881, 70.370, 89.810),
    "vgg13_bn@imagenet": Published("vgg13_bn-abd245e5.pth", 507.59, 71.586, 90.374),
    "vgg16_bn@imagenet": Published("vgg16_bn-6c64b313.pth", 527.866, 73.360, 91.516),
    "vgg19_bn@imagenet": Published("vgg19_bn-c79401a0.pth", 548.143, 74.218, 91.842),
    "googlenet@imagenet": Published("googlenet-1378be20.pth", 49.731, 69.778, 89.530, is_centered=True),
    "resnet18@imagenet": Published("resnet18-f37072fd.pth", 44.661, 69.758, 89.078),
    "resnet34@imagenet": Published("resnet34-b627a593.pth", 83.275, 73.314, 91.420),
    "resnet50@imagenet": Published("resnet50-0676ba61.pth", 97.781, 76.130, 92.862),
    "resnet50@imagenet-v2": Published("resnet50-11ad3fa6.pth", 97.79, 80.858, 95.434, resize=232),
    "resnet101@imagenet": Published("resnet101-63fe2227.pth", 170.511, 77.374, 93.546),
    "resnet152@imagenet": Published("resnet152-394f9c45.pth", 230.434, 78.312, 94.046),
    "densenet121@imagenet": Published("densenet121-a639ec97.pth", 30.845, 74.434, 91.972),
    "densenet161@imagenet": Published("densenet161-8d451a50.pth", 110.369, 77.138, 93.560),
    "densenet169@imagenet": Published("densenet169-b2777c0a.pth", 54.708, 75.600, 92.806),
    "densenet201@imagenet": Published("densenet201-c1103571.pth", 77.373, 76.896, 93.370),
    "squeezenet1_0@imagenet": Published("squeezenet1_0-b66bff10.pth", 4.778, 58.092, 80.420),
    "squeezenet1_1@imagenet": Published("squeezenet1_1-b8a52dc0.pth", 4.729, 58.178, 80.624),
}


def cache_folder() -> Path:
    """Return the folder that fetched files go to: IMGTOOL_CACHE, or the system's place for caches."""
    if chosen := os.environ.get(CACHE_VARIABLE):
        return Path(chosen)
    import platformdirs

    return Path(platformdirs.user_cache_dir("imgtool"))


def _torch_folder() -> Path:
    """Return where PyTorch keeps what it fetched, as its `torch.hub` documents it."""
    caches = os.environ.get("XDG_CACHE_HOME", "~/.cache")
    home = os.environ.get("TORCH_HOME", os.path.join(caches, "torch"))
    return Path(os.path.expanduser(home), "hub", "checkpoints")


def find(name: str) -> Path | None:
    """Return where the file of published weights lies: imgtool's cache, else PyTorch's; None for nowhere."""
    places = (folder / PUBLISHED[name].file for folder in (cache_folder(), _torch_folder()))
    return next((path for path in places if path.is_file()), None)


def locate(name: str) -> Path:
    """Return what `find` finds. Raises DataError where that is nothing."""
    path = find(name)
    if path is None:
        raise DataError(f"{name} is not on this machine: its weights are published, and not included", hint="fetch")
    return path


def digest_of(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with open_regular(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def record(path: Path, digest: str) -> bytes:
    """Return what is written beside a fetched file: its size and whole SHA-256."""
    return json.dumps({"file": path.name, "bytes": path.stat().st_size, "sha256": digest}).encode() + b"\n"


def recorded_digest(path: Path) -> str | None:
    """Return the SHA-256 that was recorded when a file was fetched; None where there is no record of this file."""
    try:
        found = json.loads(read_regular(f"{path}{RECORD_SUFFIX}", MAX_RECORD_BYTES))
        is_its = found["file"] == path.name and found["bytes"] == path.stat().st_size
        digest = found["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if is_its and isinstance(digest, str) and re.fullmatch("[0-9a-f]{64}", digest) else None


def check(name: str) -> str:
    """Return the SHA-256 of published weights, read whole. Raises DataError where it is not what it should be."""
    path, digits = locate(name), PUBLISHED[name].digits
    digest, before = digest_of(path), recorded_digest(path)
    if not digest.startswith(digits) or before not in (None, digest):
        raise DataError(f"{path}: is not the published file: its SHA-256 begins with {digest[:8]}", hint="fetch-again")
    return digest


def load(name: str) -> ModelData:
    """Return the model that published weights make; the file is mapped, and read where it is used.

    Raises MissingExtraError without PyTorch, DataError for a file that is not there or does not fit.
    """
    from imgtool.classifiers.network import require_torch
    from imgtool.classifiers.shipped import DEFAULT_NETWORK, SHIPPED_FOLDER
    from imgtool.classifiers.storage import ModelData, load_description
    from imgtool.networks.catalogue import CATALOGUE
    from imgtool.networks.declaration import require_arrays

    path, published, architecture = locate(name), PUBLISHED[name], name.partition("@")[0]
    require_torch(f"reading {name}")
    from imgtool.classifiers.weights_torch import read_tensors

    own = CATALOGUE[architecture]
    classes = [(each["name"], each["id"]) for each in load_description(SHIPPED_FOLDER / DEFAULT_NETWORK)["classes"]]
    network = own.declare(len(classes), own.parameters, own.preprocessing).without_auxiliary()
    arrays = {_name_here(key): array for key, array in read_tensors(path).items() if _is_used(key)}
    try:
        require_arrays(network.arrays(), arrays)
    except DataError as error:
        raise error.within(str(path)) from None
    digest = recorded_digest(path) or digest_of(path)
    mean, deviation = ((0.5,) * 3, (0.5,) * 3) if published.is_centered else (MEAN, DEVIATION)
    seen = replace(own.preprocessing, side=224, resize=published.resize, mean=mean, deviation=deviation)
    return ModelData(
        name=architecture,
        parameters=own.parameters.to_json(),
        classes=classes,
        provenance=_provenance(published, digest),
        arrays=arrays,
        preprocessing=seen.to_json(),
        weights_hash=digest,
        weights_bytes=path.stat().st_size,
    )


def _provenance(published: Published, digest: str) -> Mapping[str, Any]:
    """Return where the weights come from, as `model.json` has it."""
    return {
        "kind": "published",
        "source": ADDRESS + published.file,
        "license": "BSD-3-Clause (torchvision); ImageNet's images have terms of their own",
        "sha256": {"pth": digest},
        "accuracy": {
            "value": round(published.top1 / 100, 5),
            "top5": round(published.top5 / 100, 5),
            "n": IMAGES,
            "of": "ImageNet's validation images, as torchvision published it",
        },
    }


def _is_used(key: str) -> bool:
    """Tell whether a tensor of a file is one that predicts: no count of batches, no classifier in the middle."""
    return not key.endswith("num_batches_tracked") and not key.startswith(("aux1.", "aux2."))


def _name_here(key: str) -> str:
    """Return a tensor's name today; DenseNet's files call a layer's parts `norm.1`, and torchvision since `norm1`."""
    return re.sub(r"(denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", key)
