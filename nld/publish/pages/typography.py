"""What a browser would break between two lines and must not: a formula and the punctuation behind it."""

import re

_FORMULA = re.compile(r'(<span class="math notranslate nohighlight">\\\([^<]*\\\)</span>)([.,;:!?)\]’”]+)')


def keep_punctuation(body: str) -> str:
    r"""The HTML of a page in which punctuation stays on the line of the formula before it.

    >>> keep_punctuation('<span class="math notranslate nohighlight">\\(q\\)</span>, so')
    '<span class="nld-keep"><span class="math notranslate nohighlight">\\(q\\)</span>,</span> so'
    """
    return _FORMULA.sub(r'<span class="nld-keep">\1\2</span>', body)


def typeset_page(app, page: str, template: str, context: dict, doctree) -> None:
    """Do so in a page before it is laid out."""
    if "body" in context:
        context["body"] = keep_punctuation(context["body"])
