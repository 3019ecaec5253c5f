"""The record of a sweep: knee, marginal gain, cost fit, and the curve of a published profile."""

from types import SimpleNamespace

import numpy as np
import pytest

from batchlab.curve import CostFit, Sweep, SweepError, fit_cost, from_profile


def curve(times_ms):
    """A sweep from a latency curve, batch size -> ms."""
    profile = SimpleNamespace(
        name="a curve", model="m", gpu="g", precision="p", framework="f", scope="device", source="s"
    )
    profile.max_batch, profile.latency_ms = max(times_ms), times_ms.get
    return from_profile(profile, tuple(times_ms))

    steps = curve({1: 10, 8: 12, 32: 16, 128: 60})  # 100, 667, 2000, 2133 inferences/s
    assert steps.knee() == 32
    assert steps.knee(share=0.95) == 128
    assert steps.knee(share=0.3) == 8
    assert steps.knee(share=0.04) == 1


def test_knee_of_a_flat_curve_is_one():
    assert curve({1: 10, 8: 80, 32: 320}).knee() == 1


def test_knee_of_a_curve_that_falls_again():
    assert curve({1: 10, 8: 20, 32: 200}).knee() == 8


@pytest.mark.parametrize("share", [0, -1, 1.01])
def test_share_out_of_range(share):
    with pytest.raises(SweepError, match="share"):
        curve({1: 10, 8: 20}).knee(share)


def test_marginal_gain_is_per_doubling():
    gain = curve({1: 10, 2: 10, 8: 40}).marginal_gain()
    assert gain["from_batch"].tolist() == [1, 2]
    assert gain["to_batch"].tolist() == [2, 8]
    assert gain["throughput_gain"].tolist() == pytest.approx([1.0, 0.0])
    assert gain["latency_growth"].tolist() == pytest.approx([0.0, 1.0])
    assert gain["latency_paid_ms"].tolist() == pytest.approx([0.0, 30.0])


def test_cost_fit_finds_a_known_cost():
    fit = curve({b: 10 + 0.5 * b for b in (1, 8, 32, 128)}).cost_fit()
    assert fit.fixed_ms == pytest.approx(10)
    assert fit.per_item_ms == pytest.approx(0.5)
    assert fit.worst_rel == pytest.approx(0, abs=1e-9)


def test_cost_fit_has_no_negative_part_and_admits_a_bad_fit():
    fit = fit_cost(np.array([1, 2, 4]), np.array([1.0, 4.0, 16.0]))
    assert isinstance(fit, CostFit)
    assert fit.fixed_ms == 0
    assert fit.worst_rel > 0.3


def test_cost_fit_needs_two_sizes():
    with pytest.raises(SweepError, match="two batch sizes"):
        curve({4: 10}).cost_fit()


def test_from_profile_is_simulated_and_bounds_no_percentile():
    made = curve({1: 10, 8: 20})
    assert isinstance(made, Sweep)
    assert made.provenance.tier == "simulated"
    assert made.provenance.profile == "a curve"
    assert made.provenance.details["scope"] == "device"
    table = made.table()
    assert table["requests"].tolist() == [1, 1]
    assert table["throughput_ips"].tolist() == pytest.approx([100, 400])
    assert np.isinf(table["p99_high_ms"]).all()


def test_from_profile_invents_nothing_beyond_the_last_size():
    profile = SimpleNamespace(name="short", max_batch=8, gpu="", precision="", framework="", scope="", source="")
    profile.model = "m"
    with pytest.raises(SweepError, match="up to batch 8"):
        from_profile(profile, (1, 16))
