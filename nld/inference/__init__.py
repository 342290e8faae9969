"""How a claim is ruled on: registered tests, error rates that survive looking, and verdicts; numpy and scipy only.

`registrations.toml` holds what is tested, `rule` applies it to what a figure measured.
"""

from nld.inference.registration import FIRST_JUDGING_SEED, families, registrations
from nld.inference.ruling import Evidence, rule
from nld.inference.verdict import Finding, Verdict

__all__ = ["FIRST_JUDGING_SEED", "Evidence", "Finding", "Verdict", "families", "registrations", "rule"]
