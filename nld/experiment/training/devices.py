"""What there is to compute on."""

import torch


def gpu() -> str:
    """The name of the GPU that this torch can use, or an empty text."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else ""
