"""What the page on reproducibility prints: hyper-parameters, splits and versions, from the code itself."""

import dataclasses

from nld.experiment import Experiment
from nld.experiment.datasets.data import digits
from nld.figures._data import experiment_table
from nld.publish.pages.ruling import Myst
from nld.results.provenance import packages
from nld.table import Table


def hyperparameters() -> Table:
    """Every field of an experiment with its default, as the code declares it."""
    fields = dataclasses.fields(Experiment)
    return Table(("field", "default"), tuple((f"`{field.name}`", f"`{field.default!r}`") for field in fields))


def splits() -> Table:
    """Sizes and checksum of the data set of the quick profile."""
    data = digits()
    sizes = (str(len(data.train_labels)), str(len(data.test_labels)))
    return Table(
        ("data set", "to train", "to test", "classes", "SHA-256 begins"),
        (("digits of scikit-learn", *sizes, str(data.classes), f"`{data.checksum[:16]}`"),),
    )


def sweeps() -> Myst:
    """How the runs are run that a laptop has no time for, and gathered into what the figures read."""
    return Myst("\n".join(f"- *{scale}*: {experiment_table.commands(scale)}" for scale in experiment_table.RESULTS))


def environment() -> Table:
    """The versions that this page was built with."""
    return Table(("package", "version"), tuple((f"`{name}`", version) for name, version in packages().items()))
