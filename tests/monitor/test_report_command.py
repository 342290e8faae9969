"""`nld report` on the terminal: each finding with its block, in lines that fit, and nothing that is not so."""

import pytest
import torch
from torch import nn

import nld
from nld.cli import main
from nld.commands.report import MARKS, lines
from nld.finder import Block, Member
from nld.monitor.finding import Finding
from tests.monitor.zoo import BLOCKS, train, zoo


def printed(record, folder, capsys, *options):
    """The lines that the command prints."""
    path = nld.monitor.save(record, folder / "run.nc")
    assert main(["report", str(path), *options]) == 0
    return capsys.readouterr().out.splitlines()


def watched(blocks=BLOCKS, steps=6, name="adamw"):
    network, optimizer = zoo(name)
    with nld.Monitor(network, optimizer, blocks) as monitor:
        train(network, optimizer, steps)
    return monitor.record()


def sentences(said: list[str]) -> list[str]:
    """Printed findings, unwrapped."""
    whole: list[str] = []
    for line in said:
        if line.startswith(tuple(MARKS.values())):
            whole.append(line)
        else:
            whole[-1] += " " + line.strip()
    return whole


@pytest.fixture
def no_page(monkeypatch):
    """What the command prints does not depend on what the page holds."""
    monkeypatch.setattr("nld.publish.exports.report.report", lambda record, path: path)


@pytest.mark.parametrize("columns", [40, 80, 300])
def test_every_finding_is_there_in_lines_that_fit(columns, tmp_path, capsys, monkeypatch, no_page):
    monkeypatch.setenv("COLUMNS", str(columns))
    record = watched()
    *said, path = printed(record, tmp_path, capsys)
    assert path == str(tmp_path / "run.html")
    assert max(map(len, said)) <= min(columns, 100)
    expected = [MARKS[finding.good] + finding.text for finding in nld.monitor.findings(record)]
    assert sentences(said) == expected
    assert any("All 7 books balance" in text for text in expected)
    assert any(text.startswith(MARKS[False]) for text in expected)


def test_quiet_prints_the_path_alone(tmp_path, capsys, unrendered):
    assert printed(watched(), tmp_path, capsys, "--quiet") == [str(tmp_path / "run.html")]


def test_books_that_nothing_was_written_in_are_not_said_to_balance(tmp_path, capsys, unrendered):
    model = nn.ParameterDict({"w": nn.Parameter(torch.ones(3, 4)), "v": nn.Parameter(torch.ones(2))})
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.1)
    with nld.Monitor(model, optimizer, [Block("scale", "w", (Member("w", (3, 4)),))]) as monitor:
        for _ in range(3):
            model["v"].grad = torch.ones(2)
            optimizer.step()
    text = " ".join(sentences(printed(monitor.record(), tmp_path, capsys)[:-1]))
    assert "Nothing was followed" in text
    assert "balance" not in text
    (text,) = sentences(printed(watched(blocks=[]), tmp_path, capsys)[:-1])
    assert "No symmetry was given" in text
    assert "balance" not in text


def test_blocks_that_a_sentence_does_not_name_are_named_and_no_finding_is_a_sentence():
    told = list(lines([Finding("rate", "0.weight", False, "too fast")], 5, 80))
    assert told == [MARKS[False] + "0.weight: too fast"]
    assert "No finding" in " ".join(lines([], 5, 30))
    many = list(lines([Finding("rate", "", True, "fine")] * 7, 5, 80))
    assert many[5:] == ["… and 2 more: nld.monitor.findings(record)."]
