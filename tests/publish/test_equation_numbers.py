"""Numbers of equations: the paper's are never taken for the book's, the book's have no gaps."""

import re

import pytest

from nld.publish.execution.chapters import find_chapter, read_chapters
from nld.publish.exports.plain_notebook import plain_notebook
from nld.publish.pages.equation_numbers import as_roles, own_numbers, renumber

NUMBERS = {
    "book/a": {"displaymath": {"equation-eq-first": (1,), "equation-eq-paper-3": (2,), "equation-eq-second": (3,)}},
    "book/b": {"figure": {"fig-1": (1,)}, "displaymath": {"equation-eq-third": (4,), "equation-eq-paper-17": (5,)}},
}
SHOWN = '<div class="math notranslate nohighlight" id="equation-{}">\n<span class="eqno">({})<a class="headerlink">'
CITED = '<a class="reference internal" href="b.html#equation-{}">({})</a>'


def test_the_books_own_equations_are_counted_without_the_papers():
    assert own_numbers(NUMBERS) == {"eq-first": 1, "eq-second": 2, "eq-third": 3}


def test_all_chapters_on_one_page_have_the_same_numbers():
    joined = {f"{name}/{kind}": found for name, kinds in NUMBERS.items() for kind, found in kinds.items()}
    assert own_numbers({"book/a": joined}) == own_numbers(NUMBERS)


@pytest.mark.parametrize("form", [SHOWN, CITED])
@pytest.mark.parametrize(
    ("label", "before", "after"),
    [
        ("eq-second", 3, "(2)"),
        ("eq-third", 4, "(3)"),
        ("eq-paper-3", 2, "T&amp;K (3)"),
        ("eq-paper-17", 5, "T&amp;K (17)"),
    ],
)
def test_an_equation_has_one_number_where_it_stands_and_where_it_is_cited(form, label, before, after):
    page = renumber(f"<p>(3) apples</p>{form.format(label, before)}", own_numbers(NUMBERS))
    assert page == f"<p>(3) apples</p>{form.format(label, before).replace(f'({before})', after)}"


def test_an_equation_that_no_number_is_known_of_is_an_error():
    with pytest.raises(KeyError):
        renumber(CITED.format("eq-new", 9), own_numbers(NUMBERS))


@pytest.mark.parametrize(
    ("text", "roles"),
    [
        ("T&K (17) over it", "{eq}`eq-paper-17` over it"),
        ("as Eq 6 gives", "as {eq}`eq-paper-6` gives"),
        ("Eqs and Sequence 3, T&K alone", "Eqs and Sequence 3, T&K alone"),
    ],
)
def test_mentions_in_texts_become_references(text, roles):
    assert as_roles(text) == roles


def test_chapters_cite_the_papers_equations_by_reference(request):
    for page in sorted((request.config.rootpath / "book").glob("*.md")):
        prose = re.sub(r"```.*?```|`[^`]*`", "", page.read_text("utf-8"), flags=re.DOTALL)
        assert not re.search(r"\bEqs? \d", prose), f"{page.name}: write {{eq}}`eq-paper-N` for equation N of the paper"


def test_a_plain_notebook_cites_them_alike(request):
    root = request.config.rootpath
    chapter = find_chapter(read_chapters(root), "keeping-the-books")
    text = "\n".join(cell.source for cell in plain_notebook(root, chapter).cells if cell.cell_type == "markdown")
    assert re.search(r"\[T&K \(8\)\]\(https://\S+#equation-eq-paper-8\)", text)
    assert "[eq-paper-" not in text
