"""Where the tests find what they need, and how they start imgtool; for what is needed before there are fixtures."""

import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
SAMPLES = ROOT / "sample_images"
REFERENCE = ROOT / "tests" / "reference"
SHARED = ROOT.parent / "shared"  # corpora that are not in the repository; tests that need them skip without
IMGTOOL = [sys.executable, "-m", "imgtool"]
