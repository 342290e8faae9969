"""Symmetries of a model's loss, and the books of their charges in any training loop."""

from nld.monitor.block import Block, Member
from nld.monitor.check import Violation, check_symmetries
from nld.monitor.find import Symmetries, find_symmetries

__all__ = ["Block", "Member", "Symmetries", "Violation", "check_symmetries", "find_symmetries"]
