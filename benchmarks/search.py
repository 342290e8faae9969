"""What the search for symmetries costs: seconds and memory, from small transformers to one of 162 million parameters.

Each case is searched in a process of its own; its memory is the most that was resident beyond the loaded model and the
imports, over the bytes of the model's parameters.
"""

import json
import resource
import subprocess
import sys
import time

import torch
from torch import nn
from torch.nn import functional as F

import nld


class Layer(nn.Module):
    """A pre-norm layer of a transformer with one fused query-key-value map."""

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x):
        batch, length, _ = x.shape
        q, k, v = (
            part.view(batch, length, self.heads, -1).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, -1)
        )
        y = F.scaled_dot_product_attention(q, k, v, is_causal=True).transpose(1, 2).reshape(x.shape)
        x = x + self.out(y)
        return x + self.down(F.gelu(self.up(self.norm2(x))))


class GPT(nn.Module):
    """A plain GPT; with ``tied`` its head is its token embedding."""

    def __init__(self, layers: int, width: int, heads: int, vocabulary: int, context: int, tied: bool):
        super().__init__()
        self.token, self.position = nn.Embedding(vocabulary, width), nn.Embedding(context, width)
        self.layers = nn.Sequential(*(Layer(width, heads) for _ in range(layers)))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary, bias=False)
        if tied:
            self.head.weight = self.token.weight

    def forward(self, tokens):
        x = self.token(tokens) + self.position(torch.arange(tokens.shape[1]))
        return self.head(self.norm(self.layers(x)))


# Layers, width, heads, vocabulary, context, tied.
CASES = {
    "24 layers of width 32": (24, 32, 4, 50, 64, False),
    "GPT of 11 M": (6, 384, 6, 65, 256, False),
    "GPT of 124 M, tied": (12, 768, 12, 50_257, 1024, True),
    "GPT of 162 M": (12, 768, 12, 50_257, 1024, False),
}


def cost(name: str) -> dict:
    """Seconds and memory of one search, in this process."""
    *sizes, tied = CASES[name]
    torch.manual_seed(0)
    nld.find_symmetries(GPT(1, 8, 2, 11, 16, tied=False), torch.randint(11, (3, 8)))  # whatever is imported on the way
    model = GPT(*sizes, tied=tied)
    tokens = torch.randint(sizes[3], (3, 8))
    count = sum(parameter.numel() for parameter in model.parameters())
    resident, begin, busy = _most_resident(), time.perf_counter(), time.process_time()
    found = nld.find_symmetries(model, tokens)
    seconds, busy = time.perf_counter() - begin, time.process_time() - busy
    memory = (_most_resident() - resident) / (4 * count)
    return {
        "case": name,
        "parameters": count,
        "blocks": len(found),
        "units": sum(block.units for block in found),
        "seconds": seconds,
        "processor_seconds": busy,
        "memory_over_parameters": memory,
    }


def _most_resident() -> int:
    return 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def table() -> list[dict]:
    """One row a case."""
    rows = []
    for name in CASES:
        command = [sys.executable, "-m", "benchmarks.search", name]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
    return rows


if __name__ == "__main__":
    print(json.dumps(cost(" ".join(sys.argv[1:]))))
