"""The card below a figure: files, origin, the command that reruns it, and how to cite it."""

import json
from pathlib import Path

from nld import paper
from nld.figures.recording import data_package
from nld.inference.report import finding_in_words
from nld.inference.verdict import BELOW, CORRECTED, PARTLY, REFUTED, REPRODUCED, Finding
from nld.publish.pages.citation import Citation
from nld.publish.pages.plain_math import plain, typeset
from nld.publish.rendering import render

FILES = {
    "SVG": "figure.svg",
    "PDF": "figure.pdf",
    "PNG": "figure.png",
    "CSV": "data.csv",
    "netCDF": "data.nc",
    "schema": data_package.FILE,
    "provenance": "provenance.json",
}
SHADES = {REPRODUCED: "good", BELOW: "good", CORRECTED: "mixed", PARTLY: "mixed", REFUTED: "bad"}
# What differs between two equal runs: shown from provenance.js, so that equal books are equal bytes.
RUNNING = {"device": "Processor", "wall_seconds": "A rerun takes", "python": "Python", "packages": "Packages"}


def in_words(changed: dict) -> str:
    """Changed parameters with their values, as a sentence holds them."""
    return ", ".join(f"{name} = {value!r}" for name, value in changed.items())


def card(origin: dict, citation: Citation, base: str, repository: str, changed: dict | None = None) -> str:
    """HTML of the card of one figure.

    Args:
        origin: the figure's provenance.
        citation: how to cite it.
        base: relative address of the folder with the figure's files, with a slash at its end.
        repository: address under which sources are found, with the branch.
        changed: the parameters with which the page was rerun; such a figure is nothing to cite, since its
            permalink shows another one.
    """
    return render(
        "card.html",
        origin=origin,
        citation=citation,
        citation_forms={"BibTeX": citation.bibtex, "CSL-JSON": citation.csl, "Text": citation.text},
        base=base,
        files=FILES,
        badges=badges(origin),
        repository=repository,
        module=f"nld/figures/{origin['figure'].replace('-', '_')}.py",
        parameters=in_words(origin["parameters"]) or "none",
        rulings=[f"{_statement(verdict)} {plain(typeset(verdict['numbers']))}" for verdict in origin["verdicts"]],
        running=RUNNING,
        rerun=rerun_command(origin),
        changed=in_words(changed or {}),
    )


def badges(origin: dict) -> list[dict[str, str]]:
    """What the figure says of each claim that hangs on it: claim, label, shade and title of its badge."""
    return [
        {
            "claim": verdict["claim"],
            "label": verdict["label"],
            "shade": SHADES.get(verdict["label"], "open"),
            "title": _title(verdict),
        }
        for verdict in origin["verdicts"]
    ]


def _title(verdict: dict) -> str:
    """What a badge says when it is pointed at: the claim, and of each part effect, interval, n and e-value."""
    lines = [finding_in_words(Finding(**finding)) for finding in verdict.get("findings", ())]
    place = " on ".join(filter(None, (verdict.get("scale", ""), verdict.get("processor", ""))))
    return "\n".join([f"{_statement(verdict)} [{place}]", *lines])


def _statement(verdict: dict) -> str:
    # Other works' claims come with the record: to look them up would import every figure into each render.
    of_paper = {claim.name: claim.statement for claim in paper.CLAIMS}
    return plain(verdict.get("statement") or of_paper[verdict["claim"]])


def rerun_command(origin: dict) -> str:
    """The command that computes and draws this figure again, from the root of a checkout after `make book`."""
    parameters = "".join(f" -p {key} {value}" for key, value in origin["parameters"].items())
    return f".venv/bin/nld figure show {origin['figure']} --profile {origin['profile']}{parameters}"


def rerun_time(seconds: float) -> str:
    """What a rerun costs, in minutes.

    >>> rerun_time(4.21), rerun_time(200)
    ('under a minute: 4.2 s', 'about 3 minutes: 200.0 s')
    """
    minutes = round(seconds / 60)
    words = "under a minute" if seconds < 60 else f"about {minutes} minute{'s' * (minutes > 1)}"
    return f"{words}: {seconds:.1f} s"


def write_script(folder: Path) -> None:
    """Write provenance.js beside provenance.json: pages opened from a disk may load scripts, but not JSON."""
    origin = json.loads((folder / "provenance.json").read_text("utf-8"))
    shown = {
        "device": origin["device"],
        "wall_seconds": rerun_time(origin["wall_seconds"]),
        "python": origin["python"],
        "packages": ", ".join(f"{name} {version}" for name, version in origin["packages"].items()),
    }
    text = json.dumps(shown, ensure_ascii=False)
    script = f'(window.nldProvenance = window.nldProvenance || {{}})["{origin["figure"]}"] = {text};\n'
    (folder / "provenance.js").write_text(script, "utf-8")
