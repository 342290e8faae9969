"""The page on reproducibility says how to run what no build has the time for."""

from nld.experiment.runs import specs
from nld.publish.pages import reproducibility_tables


def test_every_sweep_that_no_build_runs_has_its_command():
    text = reproducibility_tables.sweeps().text
    for name in specs.names():
        assert (name in text) == (not name.startswith("quick-")), name
    assert "nld sweep run" in text
    assert "nld sweep gather" in text
