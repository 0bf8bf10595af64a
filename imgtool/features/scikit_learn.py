"""Fitting by scikit-learn, which is imported only then."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

from imgtool.errors import failed_import


@contextmanager
def scikit_learn(purpose: str) -> Iterator[None]:
    """Import scikit-learn and fit by it, without warnings. Raises `failed_import` where it cannot be loaded."""
    with warnings.catch_warnings():
        # Where the disk is full, joblib says that it will do one thing after the other, as it is asked to here anyway.
        warnings.filterwarnings("ignore", "(?s).*joblib will operate in serial mode")
        try:
            from sklearn.exceptions import ConvergenceWarning

            warnings.simplefilter("ignore", ConvergenceWarning)  # more iterations hardly change what comes of it
            yield
        except ImportError as error:
            raise failed_import("classic", purpose, error) from None
