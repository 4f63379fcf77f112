"""Settings of the documentation: ``python -m sphinx -W -b html docs docs/_build``."""

import collapse_jax

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
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = "collapse_jax"

# Pages. No page holds cells to run: the notebooks in examples/ are executed by .ci/run.
nb_execution_mode = "off"
myst_enable_extensions = ["amsmath", "dollarmath"]
myst_heading_anchors = 3

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
