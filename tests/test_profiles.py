"""Profiles: as published at published sizes, linear between, silent beyond; a line only where a line fits."""

import numpy as np
import pytest

from batchlab.profiles import (
    SCOPES,
    Profile,
    ProfileError,
    emulated_config,
    load_profiles,
    synthetic_profile,
)


@pytest.fixture(scope="module")
def profiles():
    return load_profiles()


def made(**changes):
    values = {
        "name": "p",
        "model": "m",
        "gpu": "T4",
        "precision": "FP16",
        "framework": "f",
        "seq_len": None,
        "scope": "device",
        "batch_sizes": [1, 2, 8],
        "latencies_ms": [4.0, 5.0, 17.0],
        "source": "here",
    }
    return Profile(**{**values, **changes})


def test_there_are_at_least_ten_each_with_scope_and_source(profiles):
    assert len(profiles) >= 10
    for name, profile in profiles.items():
        assert profile.name == name
        assert profile.scope in SCOPES
        assert profile.scope != "synthetic"
        assert profile.source.startswith("https://github.com/NVIDIA/")
        assert "#L" in profile.source
        assert profile.statistic in ("published mean latency", "batch size / published mean throughput")
        assert profile.scope in profile.description


def test_every_scope_that_the_sources_show_is_there(profiles):
    assert {profile.scope for profile in profiles.values()} == {"device", "in-process loop", "client round trip"}


@pytest.mark.parametrize(
    ("name", "batch", "latency_ms", "p99_ms"),
    [
        ("rn50-fp16-a100", 128, 7.8111, 7.93),
        ("rn50-fp16-t4-triton", 8, 9.009, 9.065),
        ("rn50-amp-t4-eager", 1, 12.6582, 20.0),
        ("bertbase128-fp16-l4", 32, 13.97, 14.14),
        ("bertbase128-int8-t4", 1, 1.36, 2.35),
        ("bertlarge384-fp16-t4", 128, 1358.01, 1361.6),
    ],
)
def test_a_published_point_is_kept_exactly(profiles, name, batch, latency_ms, p99_ms):
    profile = profiles[name]
    assert profile.latency_ms(batch) == latency_ms
    assert profile.p99_ms[list(profile.batch_sizes).index(batch)] == p99_ms


def test_published_p99_is_never_below_the_mean_by_more_than_rounding(profiles):
    for profile in profiles.values():
        assert np.all(profile.p99_ms >= profile.latencies_ms * 0.985), profile.name


def test_a_published_dip_is_kept(profiles):
    eager = profiles["rn50-amp-t4-eager"]
    assert eager.latency_ms(8) < eager.latency_ms(4) < eager.latency_ms(2)


def test_between_published_sizes_the_time_is_linear():
    profile = made()
    assert profile.latency_ms(4) == pytest.approx(9.0)
    assert profile.latency_ms(np.array([[1, 5], [8, 2]])) == pytest.approx(np.array([[4.0, 11.0], [17.0, 5.0]]))
    assert isinstance(profile.latency_ms(4), float)


@pytest.mark.parametrize("batch", [0, -1, 0.5, 9, [1, 9], float("nan")])
def test_nothing_is_claimed_beyond_the_published_sizes(batch):
    with pytest.raises(ProfileError, match=r"p is published for batch sizes 1 to 8, not .*nothing is extrapolated"):
        made().latency_ms(batch)


def test_throughput_is_items_per_second():
    assert made().throughput_ips(8) == pytest.approx(8 / 0.017)
    assert made().throughput_ips([1, 2]) == pytest.approx([250.0, 400.0])
    assert made().max_batch == 8


def test_batching_pays_tenfold_on_one_profile_and_hardly_on_another(profiles):
    def gain(name):
        profile = profiles[name]
        return max(profile.throughput_ips(profile.batch_sizes)) / profile.throughput_ips(1)

    assert gain("rn50-amp-t4-eager") > 10
    assert gain("bertlarge384-fp16-t4") < 1.2


def test_a_line_is_recovered():
    fit = synthetic_profile(10, 1, max_batch=32).affine_fit()
    assert (fit.overhead_ms, fit.per_item_ms, fit.worst_rel) == pytest.approx((10, 1, 0), abs=1e-9)


def test_the_fit_is_the_least_in_relative_error(profiles):
    # An independent search around the answer finds nothing better.
    profile = profiles["rn50-fp16-a100"]
    fit = profile.affine_fit()

    def cost(overhead, per_item):
        return np.sum(((overhead + per_item * profile.batch_sizes) / profile.latencies_ms - 1) ** 2)

    best = cost(fit.overhead_ms, fit.per_item_ms)
    for a in (0.99, 1, 1.01):
        for b in (0.99, 1, 1.01):
            assert cost(fit.overhead_ms * a, fit.per_item_ms * b) >= best
    assert fit.worst_rel == pytest.approx(0.026, abs=0.0005)


@pytest.mark.parametrize("name", ["rn50-amp-t4-eager", "rn50-amp-v100-eager", "bertbase128-fp16-l4", "rn50-int8-a10"])
def test_no_line_is_given_where_none_fits(profiles, name):
    with pytest.raises(
        ProfileError, match=rf"{name} is no straight line: .* off by \d+% at batch \d+\. Use latency_ms"
    ):
        profiles[name].affine_fit()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"scope": "wall"}, r"p: scope is 'wall'\. Use one of: device"),
        ({"batch_sizes": [1, 2]}, r"2 batch sizes and 3 latencies"),
        ({"batch_sizes": [], "latencies_ms": []}, r"0 batch sizes"),
        ({"batch_sizes": [1, 8, 2]}, r"do not rise"),
        ({"batch_sizes": [0, 2, 8]}, r"do not rise from 1"),
        ({"latencies_ms": [4.0, 0.0, 17.0]}, r"must be above 0"),
        ({"latencies_ms": [4.0, float("nan"), 17.0]}, r"must be above 0"),
    ],
)
def test_a_profile_that_does_not_hold_is_refused(changes, message):
    with pytest.raises(ProfileError, match=message):
        made(**changes)


def test_a_synthetic_device_says_so():
    profile = synthetic_profile(10, 1, max_batch=32)
    assert profile.latency_ms(32) == 42
    assert profile.scope == "synthetic"
    assert "not published" in profile.source


def test_an_emulated_model_carries_the_curve_without_loss(profiles):
    for profile in profiles.values():
        config = emulated_config(profile)
        curve = dict(point.split(":") for point in config.parameters["curve_ms"].split(","))
        assert {int(size): float(time) for size, time in curve.items()} == dict(
            zip(profile.batch_sizes.tolist(), profile.latencies_ms.tolist(), strict=True)
        )
        assert config.parameters["profile"] == profile.name
        assert config.max_batch_size == profile.max_batch


def test_an_emulated_model_is_made_to_measure():
    config = emulated_config("rn50-fp16-a100", device="pool-a", name="m", max_batch_size=16, instances=2)
    assert (config.name, config.backend, config.max_batch_size) == ("m", "emulated", 16)
    assert config.parameters["device"] == "pool-a"
    assert config.instance_groups[0].count == 2
    assert config.dynamic_batching is None
    assert emulated_config("rn50-fp16-a100").parameters["device"] == "a100-0"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: emulated_config("rn50-amp-t4"),
            r"No profile is called 'rn50-amp-t4'\. Did you mean 'rn50-amp-t4-eager'",
        ),
        (
            lambda: emulated_config("rn50-fp16-a100", max_batch_size=512),
            r"512, but rn50-fp16-a100 .* up to 256\. Lower",
        ),
        (lambda: emulated_config("rn50-fp16-a100", device="../x"), r"device is '\.\./x'\. Use letters"),
    ],
)
def test_an_emulated_model_that_cannot_be_is_refused(make, message):
    with pytest.raises(ProfileError, match=message):
        make()
