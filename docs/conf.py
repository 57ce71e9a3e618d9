"""Sphinx configuration. Build with ``make docs``; every warning is an error."""

import os
from importlib import metadata

from synthgan.cli.parser import build_parser

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


def _verbs(app, page, source):
    """Put the help of the command line into its page."""
    if page != "reference/cli":
        return
    os.environ["COLUMNS"] = "88"  # argparse breaks lines there
    parser = build_parser()
    verbs = next(action for action in parser._actions if action.dest == "verb").choices
    parts = [f"## {name}\n\n```text\n{verb.format_help()}```\n" for name, verb in verbs.items()]
    whole = [f"```text\n{parser.format_help()}```\n", *parts]
    source[0] = source[0].replace("<!-- help of all verbs -->", "\n".join(whole))


def setup(app):
    app.connect("autodoc-skip-member", _skip)
    app.connect("source-read", _verbs)


# numpydoc makes citations of the References sections, which text need not cite.
suppress_warnings = ["ref.citation"]
