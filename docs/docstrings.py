"""Show the examples in docstrings as code.

griffe knows the section as `Examples:`; the package writes `Example:`, or nothing above
examples of functions that only the package itself uses.
"""

from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe


class Examples(griffe.Extension):
    """Put the examples of each docstring into a section that griffe knows."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring:
            text = re.sub(r"^Example:$", "Examples:", obj.docstring.value, flags=re.M)
            obj.docstring.value = re.sub(
                r"^>>> .*(?:\n.+)*",
                lambda found: "Examples:\n" + textwrap.indent(found[0], "  "),
                text,
                flags=re.M,
            )
