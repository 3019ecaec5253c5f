"""Sphinx's settings of the course as a site. `python -m batchlab.website` assembles the pages and calls Sphinx.

Nothing is fetched when the site is read: system fonts, Sphinx's own search, and formulas as MathML, which browsers
draw by themselves.
"""

from typing import Any

from docutils import nodes
from latex2mathml.converter import convert
from sphinx.application import Sphinx

import batchlab

project = "Batchlab"
author = "the Batchlab authors"
release = batchlab.__version__
language = "en"

extensions = ["myst_nb"]
exclude_patterns = ["download/**", "files/**"]  # to fetch, no pages
myst_enable_extensions = ["colon_fence", "dollarmath"]
myst_heading_anchors = 3
myst_update_mathjax = False
nb_execution_mode = "off"  # the notebooks were executed on a quiet machine and are shown as they are
suppress_warnings = ["misc.highlighting_failure"]  # Triton's .pbtxt has no lexer

html_theme = "furo"
html_title = "Batchlab"
html_static_path = ["static"]
html_css_files = ["site.css"]
html_favicon = "static/favicon.svg"
html_copy_source = False
html_show_sourcelink = False
html_math_renderer = "mathml"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#00609c", "color-brand-content": "#00609c"},
    "dark_css_variables": {"color-brand-primary": "#7cc4f0", "color-brand-content": "#7cc4f0"},
}


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(convert(node.astext(), display="inline"))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    translator.body.append(f'<div class="math-block">{convert(node.astext(), display="block")}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    """Teach Sphinx to write formulas as MathML."""
    app.add_html_math_renderer("mathml", inline_renderers=(_inline, None), block_renderers=(_block, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
