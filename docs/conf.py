"""How Sphinx builds the documentation; only what is built into Sphinx is used, so that it builds anywhere."""

from __future__ import annotations

import re
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent.parent / "l7" / "__init__.py"

project = "l7"
author = "the l7 developers"
release = re.findall(r'^__version__ = "(.+)"$', _PACKAGE.read_text("utf-8"), re.MULTILINE)[0]
version = release

root_doc = "index"
exclude_patterns = ["_build"]
default_role = "literal"
nitpicky = True
smartquotes = False

html_theme = "alabaster"
html_title = f"l7 {release}"
html_theme_options = {"description": "A reverse proxy you start in one line", "page_width": "1040px"}
html_copy_source = False
