"""Sphinx: ``make docs`` builds the site into ``docs/_build/html``; no page asks the network."""

import sys
from importlib.metadata import version as installed
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import generated

project = "fhemb_xr"
author = "The fhemb_xr team"
version = release = installed("fhemb_xr")
extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "sphinx_design",
    "sphinx_copybutton",
]
exclude_patterns = ["_build"]
nitpicky = False

html_theme = "furo"
html_title = "fhemb_xr"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_sourcelink = False
html_show_copyright = False
html_copy_source = False

# the notebooks are executed by the tests, and stored with their outputs
nb_execution_mode = "off"
nb_mime_priority_overrides = [("html", "image/png", 0), ("html", "text/html", 10)]
myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autosummary_generate = True
autodoc_typehints = "none"  # the docstrings say it in words
autodoc_preserve_defaults = True
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True


def setup(app: object) -> None:
    """Write the pages that are made of the code."""
    generated.write(Path(__file__).parent)
