"""What is tested, as it was written down before it was looked at: `registrations.toml` beside the paper's claims.

A registration may not change silently: the change log, `results/claims/history.toml`, holds a digest of each, and a
test compares them.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache

from nld.errors import InvalidInput
from nld.results.places import PACKAGE
from nld.results.store import content_key

TYPES = ("identity", "deterministic", "stochastic")
SCALES = ("toy", "digits", "photographs", "language", "paper")
TESTS = ("check", "sequential", "agreement", "non-inferiority")
DIRECTIONS = ("greater", "less", "either")
FIRST_JUDGING_SEED = 10_000
_FILE = PACKAGE / "paper" / "registrations.toml"


@dataclass(frozen=True, kw_only=True)
class Part:
    """One registered part of a claim.

    Args:
        name: in the ledger.
        test: "check", a comparison without seeds or beyond dispute; "sequential", the e-test; "agreement" and
            "non-inferiority", at the fixed number of seeds ``n``.
        estimand: the per-seed number whose mean is tested, in words with its unit; of a check, its criterion.
        unit: of the estimand.
        direction: of the claimed mean: "greater" or "less" than zero, or "either".
        delta: smallest effect of interest, in ``unit``.
        margin: of agreement or of being no worse, in ``unit``.
        n: seeds of a fixed test; the most seeds of a sequential one.
        alternative: part of a correction that is named beforehand.
        why: where delta, margin and n come from.
    """

    name: str
    test: str = "check"
    estimand: str = ""
    unit: str = ""
    direction: str = "greater"
    delta: float = 0.0
    margin: float = 0.0
    n: int = 0
    alternative: bool = False
    why: str = ""

    def __post_init__(self):
        if self.test not in TESTS:
            raise InvalidInput(f"expected the test of {self.name!r} to be one of {TESTS}, got {self.test!r}")
        if self.direction not in DIRECTIONS:
            raise InvalidInput(f"expected the direction of {self.name!r} in {DIRECTIONS}, got {self.direction!r}")
        if self.test == "sequential" and not (self.n >= 2 and self.delta > 0):
            raise InvalidInput(f"expected n and delta of the sequential part {self.name!r}, got {self.n}, {self.delta}")
        if self.test in ("agreement", "non-inferiority") and not (2 <= self.n <= 64 and self.margin > 0):
            raise InvalidInput(f"expected a margin and 2 to 64 seeds for {self.name!r}, got {self.margin}, {self.n}")


@dataclass(frozen=True, kw_only=True)
class Registration:
    """How a claim is ruled on.

    Args:
        claim: its name.
        type: "identity" (holds to rounding), "deterministic" (no seeds enter) or "stochastic" (training decides).
        scale: of the experiment that rules.
        source_scale: of what the source shows; where it is another, the claim is not yet tested at that one.
        family: tests that are controlled together, one a chapter.
        date: of the registration.
        explored: whether measurements of the claim were seen before it was registered.
        data: network and data set, for the title.
        selection: how hyper-parameters are chosen, on which data and seeds; "" if none is.
        selected: the value that it gave, fixed with the registration.
        parts: what must hold.
        first_seed: of the judging seeds.
    """

    claim: str
    type: str
    scale: str
    source_scale: str
    family: str
    date: str
    explored: bool
    parts: tuple[Part, ...]
    data: str = ""
    selection: str = ""
    selected: float = 0.0
    first_seed: int = FIRST_JUDGING_SEED

    def __post_init__(self):
        for value, known in ((self.type, TYPES), (self.scale, SCALES), (self.source_scale, SCALES)):
            if value not in known:
                raise InvalidInput(f"expected type and scales of {self.claim} among {known}, got {value!r}")
        stochastic = any(part.test != "check" for part in self.parts)
        if stochastic != (self.type == "stochastic"):
            raise InvalidInput(
                f"expected tests over seeds in {self.claim} exactly if it is stochastic, got {self.parts}"
            )
        if self.first_seed < FIRST_JUDGING_SEED:
            raise InvalidInput(
                f"expected judging seeds of {self.claim} from {FIRST_JUDGING_SEED}, got {self.first_seed}"
            )

    def part(self, name: str) -> Part:
        """The part of that name.

        Raises:
            ValueError: it is not registered.
        """
        for part in self.parts:
            if part.name == name:
                return part
        raise InvalidInput(f"expected a registered part of {self.claim}, got {name!r}: {[p.name for p in self.parts]}")


@dataclass(frozen=True)
class Family:
    """Tests that are controlled together; its sizes are frozen when it is registered.

    Args:
        name: of the chapter.
        sequential, fixed: how many sequential tests and how many at a fixed n it holds, alternatives included.
        alpha: chance of any false decision in the family.
    """

    name: str
    sequential: int
    fixed: int
    alpha: float

    @property
    def threshold(self) -> float:
        """The e-value at which a sequential test stops: Bonferroni, size over alpha."""
        return max(self.sequential, 1) / self.alpha


@cache
def registrations() -> dict[str, Registration]:
    """All registrations by claim.

    Raises:
        ValueError: a registration is not well formed, or its family is not there.
    """
    return {name: _registration(name, table) for name, table in _content()["claims"].items()}


def registered_for(claim: str, scale: str) -> Registration:
    """The registration of a claim at one scale; that of its only scale, where it is registered once."""
    return registrations()[registration_name(claim, scale)]


def registration_name(claim: str, scale: str) -> str:
    """The name under which a claim is registered at a scale: with "@scale" where it is registered at more than one."""
    return name if (name := f"{claim}@{scale}") in registrations() else claim


def _registration(claim: str, table: Mapping) -> Registration:
    parts = tuple(_made(Part, part, f"part {number} of {claim}") for number, part in enumerate(table.get("parts", ())))
    made = _made(Registration, {**table, "claim": claim, "parts": parts}, claim)
    if made.family not in _content()["families"]:
        raise InvalidInput(
            f"expected a family of {_FILE.name} for {claim}, got {made.family!r}; add [families.{made.family}] with "
            "alpha and the numbers of its tests, sequential and fixed"
        )
    return made


def _made(kind: type, table: Mapping, what: str):
    missing = [field.name for field in fields(kind) if field.default is MISSING and field.name not in table]
    unknown = [name for name in table if name not in kind.__dataclass_fields__]
    if missing or unknown:
        raise InvalidInput(
            f"expected {what} in {_FILE.name} with the fields of {kind.__name__}; "
            f"missing: {', '.join(missing) or 'none'}; unknown: {', '.join(unknown) or 'none'}"
        )
    return kind(**table)


@cache
def families() -> dict[str, Family]:
    """All families by name."""
    return {name: Family(name, **table) for name, table in _content()["families"].items()}


def digest(name: str) -> str:
    """Sixteen hexadecimal digits that change with any part of a claim's registration or with its family's sizes."""
    content = _content()
    claim = content["claims"][name]
    return content_key({"claim": claim, "family": content["families"][claim["family"]]})


@cache
def _content() -> dict:
    return tomllib.loads(_FILE.read_text("utf-8"))
