"""Symmetries of a model's loss, and the books of their charges in any training loop."""

import importlib

# Public name -> module that defines it, imported on first use.
_PUBLIC = {
    "ADAPTERS": "adapters",
    "Adapter": "adapters",
    "Block": "block",
    "Finding": "diagnosis",
    "Member": "block",
    "Monitor": "monitor",
    "Symmetries": "find",
    "Violation": "check",
    "check_symmetries": "check",
    "find_symmetries": "find",
    "findings": "diagnosis",
    "load": "record",
    "save": "record",
}

__all__ = sorted(_PUBLIC)  # pyright: ignore[reportUnsupportedDunderAll]


def __getattr__(name: str):
    if name in _PUBLIC:
        return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(__all__)}")
