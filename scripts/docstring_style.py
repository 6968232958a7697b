"""Shows the docstrings of prunus as they are meant: an extension of griffe, named in mkdocs.yml.

The google style knows "Examples:" and sections of several lines. Ours say "Example:", and put what
is one sentence on the line of its title: "Cost: one pass over the data."
"""

import re
from textwrap import dedent
from typing import Any

import griffe

ONE_SENTENCE = re.compile(r"(?<=\n)([A-Z][a-z]+): (\S.*(?:\n {4}.*)*)")


def as_griffe_reads(docstring: str) -> str:
    """Return a docstring whose sections griffe understands.

    Example:
        >>> print(as_griffe_reads("Cut.\\n\\nCost: one pass.\\n\\nExample:\\n    f()"))
        Cut.
        <BLANKLINE>
        **Cost:** one pass.
        <BLANKLINE>
        Examples:
            f()
    """
    docstring = re.sub(r"(?<=\n)Example:\n", "Examples:\n", docstring)
    docstring = re.sub(r"(?<=\n)Returns:\n {4}", "Returns: ", docstring)  # types are annotations
    return ONE_SENTENCE.sub(lambda found: f"**{found[1]}:** {_dedented(found[2])}", docstring)


def _dedented(text: str) -> str:
    first, _, rest = text.partition("\n")
    return f"{first}\n{dedent(rest)}" if rest else first


class DocstringStyle(griffe.Extension):
    """Rewrites every docstring before it is parsed."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = as_griffe_reads(obj.docstring.value)
