"""fig-dictionary: a norm under heavy ball and RMSProp's accumulator tell the same story."""

import numpy as np
import pytest

from nld.figures import fig_dictionary
from nld.inference.verdict import REFUTED, REPRODUCED


@pytest.fixture(scope="module")
def data():
    return fig_dictionary.compute("quick")


def test_fig_dictionary_norm_equals_accumulator(data):
    assert fig_dictionary.worst(data, "eq17", "squared_norm") < 0.05
    assert fig_dictionary.worst(data, "root", "squared_norm") < 0.05
    np.testing.assert_allclose(data["eq18"], data["eq17"], rtol=1e-3)


def test_fig_dictionary_only_weight_decay_forgets(data):
    norm = data["squared_norm"]
    assert np.all(np.diff(norm.sel(weight_decay=0)) > 0)
    assert float(norm.isel(weight_decay=2, step=-1)) < 0.5 * float(norm.isel(weight_decay=2).max())


def test_fig_dictionary_judges_what_it_shows(data):
    assert [verdict.label for verdict in fig_dictionary.judge(data)] == [REPRODUCED, REPRODUCED]
    # a norm that does not follow is not called reproduced
    assert fig_dictionary.judge(data.assign(squared_norm=1.1 * data["squared_norm"]))[0].label == REFUTED
    frozen = data.assign(squared_norm=data["squared_norm"].isel(step=0) + 1e-3 * data["squared_norm"])
    assert fig_dictionary.judge(frozen)[1].label == REFUTED
