"""Seeds that were run elsewhere: each counts once, batches multiply, and the order of merging does not matter."""

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nld.claims import batches
from nld.claims.further_seeds import further
from nld.inference import e_test, registrations
from nld.inference.registration import FIRST_JUDGING_SEED, digest

REGISTRATION = registrations()["dyt-alpha-is-needed"]
NAME = REGISTRATION.claim
SEQUENTIAL = [part for part in REGISTRATION.parts if part.test == "sequential"]


def number(seed, part):
    """What anybody measures at a seed, whatever the processor."""
    return float(np.random.default_rng([seed, len(part)]).normal(0.5))


def record(first, count, salt="", registration=None):
    seeds = list(range(FIRST_JUDGING_SEED + first, FIRST_JUDGING_SEED + first + count))
    parts = {
        part.name: {"samples": [number(seed, part.name) for seed in seeds]}
        for part in REGISTRATION.parts
        if part.test != "check"
    }
    claims = {NAME: {"registration": registration or digest(NAME), "parts": parts}}
    return {"figure": "fig-dyt", "seeds": seeds, "claims": claims, "arithmetic": salt}


def in_order(records):
    return sorted(records, key=lambda each: (each["seeds"][0], batches.content_hash(each)))


spans = st.lists(st.tuples(st.integers(0, 12), st.integers(1, 6), st.sampled_from("abc")), min_size=1, max_size=6)


@settings(max_examples=60, deadline=None)
@given(spans, st.randoms(use_true_random=False), st.sets(st.integers(0, 20)))
def test_a_seed_counts_once_in_whatever_order_records_were_merged(spans, random, kept):
    records = [record(*span) for span in spans]
    kept = {FIRST_JUDGING_SEED + seed for seed in kept}
    shuffled = random.sample(records, len(records))
    said = further(REGISTRATION, in_order(records), kept)
    assert said == further(REGISTRATION, in_order(shuffled), kept)
    seeds = {seed for each in records for seed in each["seeds"]} - kept
    if not seeds:
        assert said == ()
        return
    for part in said:
        assert part.n == len(seeds)
        assert part.effect == pytest.approx(np.mean([number(seed, part.part) for seed in seeds]))


def test_e_values_of_batches_multiply():
    first, second = record(0, 5), record(5, 7)
    both = further(REGISTRATION, [first, second], set())
    for part, registered in zip(both, SEQUENTIAL, strict=True):
        rows = [[number(seed, registered.name) for seed in each["seeds"]] for each in (first, second)]
        product = math.prod(math.exp(e_test.log_e_process(row)[-1]) for row in rows)
        assert part.e_value == pytest.approx(product)
        assert (part.batches, part.n) == (2, 12)


def test_under_no_effect_the_product_seldom_reaches_what_decides():
    """Ville's inequality at a fixed end: a product of e-values reaches 20 in at most a twentieth of all histories."""
    random = np.random.default_rng(0)
    logs = [
        sum(e_test.log_e_process(random.normal(size=count))[-1] for count in random.integers(1, 9, size=4))
        for _ in range(2000)
    ]
    assert np.mean(np.exp(logs) >= 20) < 0.05
    assert np.exp(logs).mean() < 1.5  # the mean of an e-value is at most one; its scatter over 2000 is large


@pytest.mark.parametrize(("sign", "words"), [(1, "in the claimed direction"), (-1, "against the claimed direction")])
def test_the_direction_is_that_of_the_registration(sign, words):
    one = record(0, 6)
    part = SEQUENTIAL[0]
    value = sign if part.direction == "greater" else -sign
    one["claims"][NAME]["parts"][part.name]["samples"] = [value + 0.01 * k for k in range(6)]
    said = next(each for each in further(REGISTRATION, [one], set()) if each.part == part.name)
    assert words in str(said)
    assert "6 further seeds in 1 batch run elsewhere, 0 signed" in str(said)
    assert replace(said, towards=None).towards is None


def test_records_of_another_registration_say_nothing():
    assert further(REGISTRATION, [record(0, 4, registration="f" * 16)], set()) == ()
