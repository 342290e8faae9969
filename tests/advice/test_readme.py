"""The lines of the README that go from a model to better groups, run as they stand there."""

import re
from pathlib import Path

import torch
from torch.nn import functional as F

from tests.advice.architectures import Transformer, tokens
from tests.advice.runs import cosine

README = Path(__file__).parents[2] / "README.md"


def test_the_lines_from_a_model_to_better_groups_run(capsys):
    (code,) = [text for text in re.findall(r"```python\n(.*?)```", README.read_text("utf-8"), re.S) if "groups" in text]
    torch.manual_seed(0)
    model = Transformer(query_key_norm=True, gated=True)

    def schedule(step):
        return cosine(step, 1000)

    def train(optimizer, steps):
        rates = torch.optim.lr_scheduler.LambdaLR(optimizer, schedule)
        for _ in range(steps):
            batch = torch.randint(11, (4, 7))
            optimizer.zero_grad()
            F.cross_entropy(model(batch[:, :-1]).flatten(0, 1), batch[:, 1:].flatten()).backward()
            optimizer.step()
            rates.step()

    exec(code, {"model": model, "example_inputs": tokens(), "train": train, "schedule": schedule})
    said = capsys.readouterr().out
    assert "OWN (weight decay 0.1)" in said
    assert "query.weight" in said
    assert "Every operation was analysed." in said
    assert "query.weight: this run will end before its norm settles" in said
