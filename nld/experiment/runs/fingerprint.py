"""What there is to compute on, and the bits of a few reference computations, by which two arithmetics are told apart.

Two places whose fingerprints are equal give, as far as this can tell, equal numbers; where they differ, a number that
moved may have moved by rounding alone. ``python -m nld.experiment.runs.fingerprint`` prints it.
"""

import hashlib

import numpy as np
import torch
import torch.nn.functional as F

from nld.results import arithmetic
from nld.results.provenance import device

SIZE = 301  # odd, so that vectors of every width leave a rest


def gpu() -> str:
    """The name of the GPU that this torch can use, or an empty text."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""


def arithmetic_name() -> str:
    """Such as "CPU AMD EPYC, AVX512": processor, PyTorch's instruction set; threads and a moved start where they count.

    Results of equal names are equal to the bit; those of different names agree as far as training lets them.
    """
    names = [device(), torch.backends.cpu.get_cpu_capability()]
    if torch.get_num_threads() > 1:
        names.append(f"{torch.get_num_threads()} threads")
    if arithmetic.is_rounding_twin():
        names.append("start moved by one unit in the last place")
    return ", ".join(names)


def fingerprint() -> str:
    """16 hexadecimal digits of the bits of ``parts``, computed with ``nld.results.arithmetic.threads()``."""
    return hashlib.sha256("".join(parts().values()).encode()).hexdigest()[:16]


def parts() -> dict[str, str]:
    """8 hexadecimal digits of each reference computation, by a name that says what it is."""
    with arithmetic.limited_threads(arithmetic.threads()):
        return {
            name: hashlib.sha256(np.ascontiguousarray(values).tobytes()).hexdigest()[:8]
            for name, values in _computed().items()
        }


def _computed() -> dict[str, np.ndarray]:
    found: dict[str, np.ndarray] = {}
    for precision in ("float32", "float64"):
        draw = np.random.default_rng(0)
        a, b = (draw.standard_normal((SIZE, SIZE)).astype(precision) for _ in range(2))
        s, t = torch.from_numpy(a), torch.from_numpy(b)
        found |= {
            f"numpy product {precision}": a @ b,
            f"numpy sum {precision}": np.array([a.sum(), np.square(b).sum()]),
            f"numpy functions {precision}": np.concatenate([np.exp(a), np.tanh(b), np.log1p(np.square(a))]),
            f"torch product {precision}": (s @ t).numpy(),
            f"torch vector product {precision}": (s @ t[0]).numpy(),
            f"torch softmax {precision}": torch.cat([s.log_softmax(1), F.layer_norm(t, (SIZE,))]).numpy(),
            # Long enough to be shared out among threads.
            f"torch sum {precision}": torch.stack([s.repeat(4, 4).sum(), t.square().mean()]).numpy(),
            f"torch functions {precision}": torch.cat([s.exp(), t.tanh(), s.square().log1p()]).numpy(),
        }
        images = s[:256, :256].reshape(16, 16, 16, 16).clone().requires_grad_()
        filters = t[:144, :16].reshape(16, 16, 3, 3).clone().requires_grad_()
        outputs = F.conv2d(images, filters, padding=1)
        outputs.square().mean().backward()
        assert images.grad is not None
        assert filters.grad is not None
        found[f"torch convolution {precision}"] = outputs.detach().numpy()
        found[f"torch gradient {precision}"] = torch.cat([images.grad.ravel(), filters.grad.ravel()]).numpy()
    return found


if __name__ == "__main__":
    print(fingerprint())
