"""How to cite a figure: BibTeX, CSL-JSON and plain text, from its provenance and its data."""

import json
from dataclasses import dataclass
from pathlib import Path

import yaml

from nld.figures.recording import data_package
from nld.results import seals

TEMPLATE = """@misc{{{key},
  author  = {{{{{author}}}}},
  title   = {{{{{title}}}}},
  year    = {{{year}}},
  url     = {{{url}}},
  version = {{{version}}},
  note    = {{Figure {name} of {book}; data sha256:{digest}}}
}}"""


@dataclass(frozen=True)
class Citation:
    """What identifies a figure: its title, permalink, version and the hash of its data."""

    name: str
    title: str
    url: str
    version: str
    digest: str
    author: str
    year: int
    book: str

    @property
    def bibtex(self) -> str:
        """A BibTeX entry."""
        return TEMPLATE.format(key=f"nld-{self.name}", **self.__dict__)

    @property
    def csl(self) -> str:
        """A CSL-JSON item."""
        item = {
            "id": f"nld-{self.name}",
            "type": "figure",
            "title": self.title,
            "author": [{"literal": self.author}],
            "issued": {"date-parts": [[self.year]]},
            "container-title": self.book,
            "URL": self.url,
            "version": self.version,
            "note": f"data sha256:{self.digest}",
        }
        return json.dumps([item], indent=1, ensure_ascii=False)

    @property
    def text(self) -> str:
        """One line of plain text."""
        return (
            f"{self.author} ({self.year}). {self.title}. Figure {self.name} of {self.book}, version {self.version}. "
            f"{self.url} (data sha256:{self.digest})"
        )


def citation(root: Path, folder: Path, document: str) -> Citation:
    """Citation of the figure recorded in ``folder``, shown on the page ``document`` of the book in ``root``."""
    origin = json.loads((folder / "provenance.json").read_text("utf-8"))
    record = yaml.safe_load((root / "CITATION.cff").read_text("utf-8"))
    commit, author = origin["commit"], record["authors"][0]
    return Citation(
        name=origin["figure"],
        title=data_package.title(origin["caption"]),
        url=f"{base_address(root)}{document}.html#{origin['figure']}",
        version=origin["nld_version"]
        + (f" ({commit[:12]}{'+changes' * commit.endswith('+changes')})" if commit else ""),
        digest=seals.digest(folder / "data.nc")[:32],
        author=author.get("name") or f"{author['given-names']} {author['family-names']}",
        year=int(str(record["date-released"])[:4]),
        book=record["title"],
    )


def base_address(root: Path) -> str:
    """Address of the published book, with a slash at its end."""
    return yaml.safe_load((root / "_config.yml").read_text("utf-8"))["html"]["baseurl"].rstrip("/") + "/"
