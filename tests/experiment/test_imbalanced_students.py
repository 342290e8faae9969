"""Students of chosen imbalance: their start, their kernel by automatic differentiation, their law, and their twins."""

import numpy as np
import pytest
import torch

from nld.experiment.studies.imbalanced_students import RATE, Lesson, Student, grid, teach

SMALL = {"inputs": 5, "hidden": 6, "samples": 12}


@pytest.mark.parametrize(("scale", "imbalance"), [(0.3, 1.0), (0.3, -1.0), (1.4, 0.2), (0.1, 0.0)])
def test_every_unit_starts_with_its_scale_and_imbalance(scale, imbalance):
    student = Student(scale=scale, imbalance=imbalance, seed=3)
    first, second = Lesson(**SMALL).network(student).parameters()
    w, a = first.detach().norm(dim=1), second.detach()[0].abs()
    np.testing.assert_allclose(w * a, scale**2, rtol=1e-6)  # drawn in single precision
    np.testing.assert_allclose(a**2 - w**2, imbalance, rtol=1e-6, atol=1e-6 * scale**2)
    assert student.learning_rate == RATE / scale**2


@pytest.mark.parametrize("relu", [True, False])
def test_the_kernel_is_that_of_automatic_differentiation(relu):
    lesson, student = Lesson(relu=relu, **SMALL), Student(scale=0.5, imbalance=0.3, seed=0)
    network, (x, _) = lesson.network(student), lesson.samples_of(0, 4)
    rows = []
    for sample in x:
        gradients = torch.autograd.grad(network(sample[None, :, None, None]).sum(), list(network.parameters()))
        rows.append(torch.cat([g.flatten() for g in gradients]))
    jacobian = torch.stack(rows)
    w, a = (p.detach()[None] for p in network.parameters())
    np.testing.assert_allclose(lesson.kernel(w, a, x[None])[0], jacobian @ jacobian.T, rtol=1e-12, atol=1e-14)


def test_inputs_are_on_the_sphere_and_targets_are_the_teachers():
    for relu in (True, False):
        x, y = Lesson(relu=relu, signs=(1.0, -1.0), inputs=4).samples_of(7, 30)
        np.testing.assert_allclose(x.norm(dim=1), 1, rtol=1e-12)
        random = np.random.default_rng([7, 1])
        w = random.normal(size=(2, 4))
        one, other = (x.numpy() @ (row / np.linalg.norm(row)) for row in w)
        expected = np.maximum(one, 0) - np.maximum(other, 0) if relu else one - other
        np.testing.assert_allclose(y, expected, atol=1e-14)
    assert not np.allclose(Lesson().samples_of(0, 5)[0], Lesson().samples_of(0, 6)[0][:5])


def test_law_students_obey_the_law_of_their_charges_with_rates_of_their_own_too():
    members = [
        Student(scale=0.3, imbalance=0.5, seed=0),
        Student(scale=0.5, imbalance=-0.5, seed=1, rate_ratio=9.0),
    ]
    taught = teach(members, Lesson(**SMALL), (5, 60))
    assert taught["residual"].max() < 1e-12
    assert taught["drift"].min() > 1e-6  # there is something to account for
    assert taught["kernel_distance"].min() > 0
    np.testing.assert_allclose(taught["time"][0], np.array([5, 60]) * members[0].learning_rate)


def test_law_unequal_rates_are_a_rescaled_start_to_the_bit_where_the_factor_is_a_power_of_two():
    root = 16.0  # of a ratio of 256, so that weights differ by factors of 4
    one = Student(scale=0.5, imbalance=0.0, seed=0, rate_ratio=root**2)
    other = Student(scale=0.5, imbalance=0.25 * (root - 1 / root), seed=0)
    assert other.sizes() == (0.125, 2.0)
    taught = teach([one, other], Lesson(**SMALL), (1, 40))
    for name in ("kernel_distance", "test_loss", "flipped"):
        np.testing.assert_allclose(taught[name][0], taught[name][1], rtol=1e-9, atol=1e-15)
    assert taught["test_loss"][0, 0] != taught["test_loss"][0, 1]


def test_members_learn_what_they_learn_alone():
    members = grid((0.3,), (-1.0, 1.0), (0, 1))
    assert [(m.seed, m.imbalance) for m in members] == [(0, -1.0), (0, 1.0), (1, -1.0), (1, 1.0)]
    together, last = teach(members, Lesson(**SMALL), (20,)), teach(members[3:], Lesson(**SMALL), (20,))
    for name in ("kernel_distance", "test_loss"):
        assert float(together[name][3, 0]) == pytest.approx(float(last[name][0, 0]), rel=1e-9)
