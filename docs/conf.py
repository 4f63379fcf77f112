"""Settings of the documentation: ``python -m sphinx -W -b html docs docs/_build``."""

import os
import sys
from pathlib import Path

import jaxlib

import collapse_jax

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))
import prepare  # noqa: E402

project = "collapse_jax"
author = "The collapse_jax developers"
copyright = author
version = release = collapse_jax.__version__

extensions = [
    "myst_nb",
    "sphinx.ext.autodoc",
    "sphinx.ext.doctest",
    "sphinx.ext.mathjax",
    "sphinx.ext.napoleon",
    "sphinx.ext.viewcode",
]
exclude_patterns = ["_build", "jupyter_execute"]
html_theme = "furo"
html_title = "collapse_jax"
html_static_path = ["_static"]
html_css_files = ["site.css"]

# Pages. Concept pages and the quick notebooks are run when the site is built, so what they show is what the library does.
nb_execution_mode = "auto"
nb_execution_timeout = 300
nb_execution_raise_on_error = True
nb_execution_excludepatterns = prepare.tutorials(HERE.parent / "examples", HERE / "tutorials")
if os.environ.get("COLLAPSE_JAX_SMOKE"):  # .ci/run, which executes every notebook by itself
    nb_execution_excludepatterns = ["tutorials/*"]
nb_output_stderr = "remove"  # what a machine says of its accelerators
nb_merge_streams = True
myst_enable_extensions = ["amsmath", "colon_fence", "dollarmath"]
myst_heading_anchors = 3
os.environ.setdefault("MPLBACKEND", "agg")
# Compiling is most of what the pages compute: without XLA's optimisations the site takes half the time. As in conftest.py.
quick = ["--xla_backend_optimization_level=0"]
if jaxlib.__version__.startswith("0.10."):
    quick.append("--xla_cpu_use_fusion_emitters=false")
os.environ.setdefault("XLA_FLAGS", " ".join(quick))

# ``-b linkcheck`` needs a network, so .ci/run does not do it.
linkcheck_timeout = 20
linkcheck_retries = 2
linkcheck_workers = 4

# Docstrings say shapes, ranges and units themselves; pytest runs their examples.
autodoc_typehints = "none"
autodoc_member_order = "bysource"
napoleon_numpy_docstring = False
napoleon_use_ivar = True
doctest_test_doctest_blocks = ""
doctest_global_setup = """
import jax
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
import collapse_jax as cj
"""

prepare.thumbnails(HERE / "pictures", HERE / "thumbnails")
