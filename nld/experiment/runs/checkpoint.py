"""Checkpoints: a run on disk, from which it resumes to the last bit."""

import hashlib
import io
import os
import sys
from pathlib import Path

import torch

from nld.errors import InvalidInput
from nld.experiment.runs import run_record as records

_DIGEST = hashlib.sha256().digest_size  # bytes before a checkpoint, by which a damaged one is known


def save(path, step, experiment, network, optimizer, losses, record) -> None:
    """Write a checkpoint and put it in place in one move, so that none is ever half-written."""
    state = {
        "key": experiment.key,
        "step": step,
        "network": network.state_dict(),
        "optimizer": optimizer.state_dict(),
        "losses": losses,
        "record": {
            name: torch.from_numpy(record[name].values) for name in (*records.evaluated(experiment), "squared_norm")
        },
    }
    content = io.BytesIO()
    torch.save(state, content)
    partial = Path(f"{path}.{os.getpid()}.part")
    with partial.open("wb") as file:
        file.write(hashlib.sha256(content.getbuffer()).digest())
        file.write(content.getbuffer())
    partial.replace(path)


def restore(path, experiment, network, optimizer, losses, record) -> int:
    """Load a checkpoint if there is one, whole; the number of updates done. From a damaged one nothing is taken.

    Raises:
        ValueError: the checkpoint belongs to another experiment.
    """
    if path is None or not Path(path).exists():
        return 0
    content = Path(path).read_bytes()
    if hashlib.sha256(content[_DIGEST:]).digest() != content[:_DIGEST]:
        print(f"nld: {path} was altered or cut off; the run starts again from its first step", file=sys.stderr)
        return 0
    state = torch.load(io.BytesIO(content[_DIGEST:]), map_location=experiment.device, weights_only=True)
    if state["key"] != experiment.key:
        raise InvalidInput(f"{path} is a checkpoint of experiment {state['key']}, not of {experiment.key}: delete it")
    network.load_state_dict(state["network"])
    optimizer.load_state_dict(state["optimizer"])
    losses.copy_(state["losses"])
    for name, values in state["record"].items():
        record[name][...] = values.cpu().numpy()
    return state["step"]
