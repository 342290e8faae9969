"""What a monitor does at a step, as a table of all cases."""

import itertools

import pytest

from nld.monitor.schedule import Action, action

# now, before, after, bare, fresh (None: either): copy positions first, measure, keep positions.
TABLE = [
    # This step is written down: it begins here, and its positions are needed when it ends.
    ((True, None, None, None, False), (False, True, True)),
    ((True, None, None, None, True), (True, True, True)),
    # The step before is, and ends here; positions are kept for the next step's displacement if that is written down.
    ((False, True, False, None, False), (False, True, False)),
    ((False, True, False, None, True), (True, True, False)),
    ((False, True, True, None, False), (False, True, True)),
    ((False, True, True, None, True), (True, True, True)),
    # Only the step after is: where a momentum is gone after its step, its charge is taken down now.
    ((False, False, True, True, False), (False, True, True)),
    ((False, False, True, True, True), (True, True, True)),
    # Otherwise its displacement is counted from here; positions may be old, so they are copied in any case.
    ((False, False, True, False, None), (True, False, True)),
    # None of the three is.
    ((False, False, False, None, None), (False, False, False)),
]


@pytest.mark.parametrize("case", list(itertools.product([False, True], repeat=5)), ids=str)
def test_each_case_is_one_row_of_the_table(case):
    rows = [done for given, done in TABLE if all(g in (None, c) for g, c in zip(given, case, strict=True))]
    assert [action(*case)] == [Action(*row) for row in rows]
