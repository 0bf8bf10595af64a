"""How Sphinx builds the site: `python -m sphinx -W docs site`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

import imgtool  # noqa: E402 - that of this checkout, installed or not
import site_pages  # noqa: E402 - it lies beside this file

project = "imgtool"
author = "the authors of imgtool"
version = release = imgtool.__version__
extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]
exclude_patterns = ["images", "static"]
smartquotes_action = "D"  # dashes; quotation marks stay as they are typed
default_role = "code"  # `name` in docstrings
myst_heading_anchors = 3
autodoc_typehints = "none"  # the docstrings say types, shapes and units
napoleon_google_docstring = False
napoleon_use_rtype = False

html_theme = "furo"
html_title = "imgtool"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_copy_source = False
html_show_copyright = False

site_pages.write(HERE)
