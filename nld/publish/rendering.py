"""HTML from the templates beside the modules that fill them: values are escaped, and Python builds no tags."""

import html
import re
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_eval_context
from jinja2.ext import Extension
from jinja2.nodes import EvalContext
from markupsafe import Markup

FOLDERS = [Path(__file__).parent / package / "templates" for package in ("pages", "exports", "explorables")]
BETWEEN_TAGS = re.compile(r"(?<=[>}])\n\s*|\n\s*(?=[<{])")


def render(template: str, **values: Any) -> str:
    """The text of a template, such as "card.html", with these values.

    Raises:
        jinja2.UndefinedError: the template asks for a value that is not given.
    """
    return _environment().get_template(template).render(values)


class _OneLine(Extension):
    """Parts of a page are written in lines and rendered as one; whole pages (``<!doctype``) keep their lines.

    A line break beside a tag or an expression stands for nothing, any other for a space.
    """

    def preprocess(self, source: str, name: str | None, filename: str | None = None) -> str:
        if not (name or "").endswith(".html") or source.startswith("<!doctype"):
            return source
        return re.sub(r"\n\s*", " ", BETWEEN_TAGS.sub("", source))


@pass_eval_context
def _escaped(context: EvalContext, value: Any) -> Any:
    """A value as `html.escape` writes it; Jinja's own escape spells quotes otherwise."""
    if not context.autoescape or hasattr(value, "__html__"):
        return value
    return Markup(html.escape(str(value)))


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(FOLDERS),
        extensions=[_OneLine],
        autoescape=lambda name: not (name or "").endswith(".txt"),
        finalize=_escaped,
        undefined=StrictUndefined,
        keep_trailing_newline=True,
    )
