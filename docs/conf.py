"""Sphinx configuration. Build with ``make docs``; every warning is an error."""

from importlib import metadata

project = "synthgan"
author = "the synthgan contributors"
project_copyright = author
release = version = metadata.version("synthgan")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.viewcode",
    "numpydoc",
]
exclude_patterns = ["_build"]
html_theme = "furo"
html_title = f"synthgan {release}"
html_static_path = ["_static"]

myst_enable_extensions = ["colon_fence", "deflist", "dollarmath"]
myst_heading_anchors = 3

autodoc_typehints = "none"  # numpydoc sections name the types
autodoc_member_order = "bysource"
numpydoc_show_class_members = False
numpydoc_xref_param_type = False

# Nothing is fetched while building, so only names of this package can be checked.
nitpick_ignore_regex = [("py:.*", r"(?!synthgan(\.|$)).*")]


def _skip(app, what, name, obj, skip, options):
    """Leave out the methods that scikit-learn adds, and refers to its own pages in."""
    routing = name.startswith("set_") and name.endswith("_request")
    return True if routing or name in ("get_metadata_routing", "set_output") else None


def setup(app):
    app.connect("autodoc-skip-member", _skip)


# numpydoc makes citations of the References sections, which text need not cite.
suppress_warnings = ["ref.citation"]
