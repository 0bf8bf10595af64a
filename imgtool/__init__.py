"""From a photograph to a decision: filter, describe, classify and compare images.

    import imgtool

    image = imgtool.read("photo.jpg")
    edges = imgtool.convolve(image, imgtool.kernel("sobel-x"))

`__all__` names what the library offers; each name is imported when it is asked for, so that `import imgtool` imports
nothing else. docs/python.md shows them beside the calls of other libraries, docs/architecture.md the packages behind
them.
"""

__version__ = "0.1.0"

# Name -> the module that defines it. The imports below repeat it for editors and type checkers; a test compares them.
_MODULES = {
    "read": "imgtool.image.read",
    "probe": "imgtool.image.read",
    "Metadata": "imgtool.image.metadata",
    "read_metadata": "imgtool.image.read",
    "encode": "imgtool.image.write",
    "write": "imgtool.batch.image_files",
    "convert": "imgtool.image.color",
    "convert_depth": "imgtool.image.depth",
    "to_gray": "imgtool.image.color",
    "resize": "imgtool.image.resize",
    "flatten": "imgtool.image.alpha",
    "kernel": "imgtool.filters.kernels",
    "convolve": "imgtool.filters.convolve",
    "neighborhood": "imgtool.filters.neighborhood",
    "gradient": "imgtool.filters.gradient",
    "magnitude": "imgtool.filters.gradient",
    "phase": "imgtool.filters.gradient",
    "hog": "imgtool.features.hog",
    "explain_hog": "imgtool.features.explain_hog",
    "dalal_triggs": "imgtool.features.dalal_triggs",
    "uoctti": "imgtool.features.uoctti",
    "gist": "imgtool.features.gist",
    "gist_filters": "imgtool.features.gist",
    "dense_sift": "imgtool.features.sift",
    "phow": "imgtool.features.phow",
    "sparse_sift": "imgtool.features.keypoints",
    "match": "imgtool.features.keypoints",
    "fisher_vector": "imgtool.features.fisher",
    "vlad": "imgtool.features.fisher",
    "bag_of_words": "imgtool.features.fisher",
    "sparse_codes": "imgtool.features.sparse",
    "fit_codebook": "imgtool.features.codebook",
    "load_codebook": "imgtool.features.codebook",
    "save_codebook": "imgtool.features.codebook",
    "Codebook": "imgtool.features.codebook",
    "Dictionary": "imgtool.features.codebook",
    "embed": "imgtool.classifiers.embedding",
    "open_model": "imgtool.classifiers.registry",
    "grad_cam": "imgtool.classifiers.grad_cam",
    "train": "imgtool.classifiers.training",
    "training_preview": "imgtool.evaluation.training_pictures",
    "training_curves": "imgtool.evaluation.curves",
    "load_dataset": "imgtool.datasets.formats",
    "evaluate": "imgtool.evaluation.comparing",
    "compare": "imgtool.evaluation.comparing",
    "search": "imgtool.pipelines.search",
    "classify_images": "imgtool.pipelines.classify_images",
    "describe_images": "imgtool.pipelines.describe",
    "filter_image": "imgtool.pipelines.filter_images",
    "filter_images": "imgtool.pipelines.filter_images",
    "filter_sheet": "imgtool.pipelines.filter_sheet",
    "gradient_sheet": "imgtool.pipelines.gradient_sheet",
    "explain_filter": "imgtool.pipelines.explain_filter",
    "explain_convolution": "imgtool.networks.explain_convolution",
    "explain_network": "imgtool.classifiers.explain_network",
    "ImgtoolError": "imgtool.errors",
    "ImageError": "imgtool.errors",
    "OutputError": "imgtool.errors",
    "DataError": "imgtool.errors",
    "ClusterError": "imgtool.errors",
    "TrainingError": "imgtool.errors",
    "ParameterError": "imgtool.errors",
    "MissingExtraError": "imgtool.errors",
    "DeviceError": "imgtool.errors",
}

TYPE_CHECKING = False  # as type checkers take it; importing `typing` takes longer than all the rest
if TYPE_CHECKING:
    from imgtool.batch.image_files import write
    from imgtool.classifiers.embedding import embed
    from imgtool.classifiers.explain_network import explain_network
    from imgtool.classifiers.grad_cam import grad_cam
    from imgtool.classifiers.registry import open_model
    from imgtool.classifiers.training import train
    from imgtool.datasets.formats import load_dataset
    from imgtool.errors import (
        ClusterError,
        DataError,
        DeviceError,
        ImageError,
        ImgtoolError,
        MissingExtraError,
        OutputError,
        ParameterError,
        TrainingError,
    )
    from imgtool.evaluation.comparing import compare, evaluate
    from imgtool.evaluation.curves import training_curves
    from imgtool.evaluation.training_pictures import training_preview
    from imgtool.features.codebook import Codebook, Dictionary, fit_codebook, load_codebook, save_codebook
    from imgtool.features.dalal_triggs import dalal_triggs
    from imgtool.features.explain_hog import explain_hog
    from imgtool.features.fisher import bag_of_words, fisher_vector, vlad
    from imgtool.features.gist import gist, gist_filters
    from imgtool.features.hog import hog
    from imgtool.features.keypoints import match, sparse_sift
    from imgtool.features.phow import phow
    from imgtool.features.sift import dense_sift
    from imgtool.features.sparse import sparse_codes
    from imgtool.features.uoctti import uoctti
    from imgtool.filters.convolve import convolve
    from imgtool.filters.gradient import gradient, magnitude, phase
    from imgtool.filters.kernels import kernel
    from imgtool.filters.neighborhood import neighborhood
    from imgtool.image.alpha import flatten
    from imgtool.image.color import convert, to_gray
    from imgtool.image.depth import convert_depth
    from imgtool.image.metadata import Metadata
    from imgtool.image.read import probe, read, read_metadata
    from imgtool.image.resize import resize
    from imgtool.image.write import encode
    from imgtool.networks.explain_convolution import explain_convolution
    from imgtool.pipelines.classify_images import classify_images
    from imgtool.pipelines.describe import describe_images
    from imgtool.pipelines.explain_filter import explain_filter
    from imgtool.pipelines.filter_images import filter_image, filter_images
    from imgtool.pipelines.filter_sheet import filter_sheet
    from imgtool.pipelines.gradient_sheet import gradient_sheet
    from imgtool.pipelines.search import search

__all__ = [
    "ClusterError",
    "Codebook",
    "DataError",
    "DeviceError",
    "Dictionary",
    "ImageError",
    "ImgtoolError",
    "Metadata",
    "MissingExtraError",
    "OutputError",
    "ParameterError",
    "TrainingError",
    "bag_of_words",
    "classify_images",
    "compare",
    "convert",
    "convert_depth",
    "convolve",
    "dalal_triggs",
    "dense_sift",
    "describe_images",
    "embed",
    "encode",
    "evaluate",
    "explain_convolution",
    "explain_filter",
    "explain_hog",
    "explain_network",
    "filter_image",
    "filter_images",
    "filter_sheet",
    "fisher_vector",
    "fit_codebook",
    "flatten",
    "gist",
    "gist_filters",
    "grad_cam",
    "gradient",
    "gradient_sheet",
    "hog",
    "kernel",
    "load_codebook",
    "load_dataset",
    "magnitude",
    "match",
    "neighborhood",
    "open_model",
    "phase",
    "phow",
    "probe",
    "read",
    "read_metadata",
    "resize",
    "save_codebook",
    "search",
    "sparse_codes",
    "sparse_sift",
    "to_gray",
    "train",
    "training_curves",
    "training_preview",
    "uoctti",
    "vlad",
    "write",
]


def __getattr__(name: str) -> object:
    """Import a public name when it is asked for, and keep it."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    found: object = getattr(import_module(_MODULES[name]), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """Return the public names, imported or not."""
    return sorted({*globals(), *__all__})
