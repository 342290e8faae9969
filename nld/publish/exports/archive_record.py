"""What an archive says of itself: the record for Zenodo, and RO-Crate metadata of its files."""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

MEDIA = {
    ".csv": "text/csv",
    ".html": "text/html",
    ".ipynb": "application/x-ipynb+json",
    ".json": "application/json",
    ".jsonld": "application/ld+json",
    ".js": "text/javascript",
    ".nc": "application/x-netcdf",
    ".pdf": "application/pdf",
    ".png": "image/png",
    ".svg": "image/svg+xml",
    ".webp": "image/webp",
    ".whl": "application/zip",
}
LICENSES = {"code": "https://spdx.org/licenses/MIT", "text": "https://creativecommons.org/licenses/by/4.0/"}
LISTED = r"html/(figures/.*|book/[^/]*\.html)|runs/manifest\.json|(?!html/|runs/).*"  # what a person looks for


def zenodo(record: dict) -> dict:
    """The record of the archive for Zenodo, from `CITATION.cff`."""
    return {
        "title": record["title"],
        "description": record["abstract"],
        "version": str(record["version"]),
        "upload_type": "software",
        "license": record["license"],
        "publication_date": str(record["date-released"]),
        "creators": [{"name": _name(author)} for author in record["authors"]],
        "keywords": record["keywords"],
        "related_identifiers": [
            {"identifier": record["repository-code"], "relation": "isSupplementTo", "scheme": "url"},
            *(
                {"identifier": identifier["value"], "relation": "isSupplementTo", "scheme": "arxiv"}
                for reference in record["references"]
                for identifier in reference.get("identifiers", ())
            ),
        ],
    }


def describe(files: dict[str, bytes], record: dict) -> dict:
    """RO-Crate 1.1 metadata: the files that a person looks for, and which run made each figure."""
    from rocrate.model.contextentity import ContextEntity
    from rocrate.rocrate import ROCrate

    version = str(record["version"])
    crate = ROCrate(version="1.1")
    crate.metadata.extra_terms["sha256"] = "https://schema.org/sha256"  # younger than RO-Crate 1.1
    crate.name, crate.description = record["title"], record["abstract"]
    crate.datePublished = str(record["date-released"])
    crate.root_dataset["version"] = version
    crate.root_dataset["keywords"] = ", ".join(record["keywords"])

    def add(identifier: str, kind: str, **properties) -> Any:
        entity = ContextEntity(crate, identifier, {"@type": kind, **properties})
        crate.add(entity)
        return entity

    crate.root_dataset["license"] = add(LICENSES["text"], "CreativeWork", name="CC BY 4.0")
    crate.root_dataset["author"] = [
        add(f"#author-{number}", "Organization", name=_name(author))
        for number, author in enumerate(record["authors"], 1)
    ]
    add(record["repository-code"], "SoftwareSourceCode", name="nld", version=version, license=LICENSES["code"])
    names = [name for name in sorted(files) if re.fullmatch(LISTED, name)]
    for name in names:
        about = {
            "name": name.removeprefix("html/"),
            "encodingFormat": MEDIA.get(Path(name).suffix, "text/plain"),
            "contentSize": str(len(files[name])),
            "sha256": hashlib.sha256(files[name]).hexdigest(),
        }
        crate.add_file(dest_path=name, properties=about)
    for name in filter(re.compile(r".*/provenance\.json").fullmatch, names):
        origin, folder = json.loads(files[name]), name.rpartition("/")[0]
        parameters = json.dumps(origin["parameters"], sort_keys=True)
        add(
            f"#run-{origin['figure']}",
            "CreateAction",
            name=f"Computation of {origin['figure']} in the {origin['profile']} profile",
            description=f"parameters {parameters}, sources {origin['source_hash']}",
            instrument={"@id": record["repository-code"]},
            result=[{"@id": file} for file in names if file.startswith(f"{folder}/")],
        )
    return crate.metadata.generate()


def _name(author: dict) -> str:
    return author.get("name") or f"{author['family-names']}, {author['given-names']}"
