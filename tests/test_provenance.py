"""Where a number comes from survives a trip through JSON, and is said in one line."""

import json
import os

import pytest

from batchlab.provenance import TIER_NOTES, TIERS, Machine, Provenance, this_machine

MACHINE = Machine("a processor", 2, 7.8, "Linux x86_64", "3.11.7")


def made(**changes):
    return Provenance(
        **{"tier": "emulated", "model": "m", "server": "triton", "machine": MACHINE, "profile": "p", "seed": 3}
        | changes
    )


def test_json_and_back():
    origin = made(details={"gpu": "T4"})
    assert Provenance.from_dict(json.loads(json.dumps(origin.to_dict()))) == origin


def test_what_a_newer_version_adds_is_kept():
    values = made().to_dict() | {"colour": "green"}
    values["machine"]["gpu"] = "H100"
    again = Provenance.from_dict(values)
    assert again.details == {"colour": "green", "machine.gpu": "H100"}
    assert again.machine == MACHINE


@pytest.mark.parametrize("gone", ["tier", "model", "server", "machine"])
def test_what_is_missing_is_named(gone):
    values = made().to_dict()
    del values[gone]
    with pytest.raises(ValueError, match=f"lacks {gone}"):
        Provenance.from_dict(values)


@pytest.mark.parametrize("tier", TIERS)
def test_the_caption_begins_with_the_tier(tier):
    assert made(tier=tier).caption().startswith(TIER_NOTES[tier])
    assert TIER_NOTES[tier].startswith(tier)


def test_a_null_model_is_not_called_a_real_one():
    caption = made(tier="cpu", details={"computes": "nothing"}).caption()
    assert caption.startswith("cpu: no model computes")
    assert "real model" in made(tier="cpu").caption()
    assert "real model" not in caption


def test_the_caption_says_all_of_it():
    caption = made(date="2026-11-24T10:00:00+00:00").caption()
    for part in ("| m |", "profile p", "triton", "a processor, 2 cores, 8 GiB", "seed 3", "2026-11-24"):
        assert part in caption


def test_the_caption_leaves_out_what_is_not_there():
    caption = made(profile="", seed=None, server="").caption()
    assert "profile" not in caption
    assert "seed" not in caption
    assert "|  |" not in caption


@pytest.mark.parametrize(
    ("server", "said"),
    [
        ("Triton 2.51.0 (embedded)", "| embedded Triton 2.51.0 |"),
        ("Triton 2.51.0 (127.0.0.1:34817)", "| Triton 2.51.0 at 127.0.0.1 |"),
        ("Triton 2.51.0 ([::1]:8000)", "| Triton 2.51.0 at [::1] |"),
        ("mosec 0.9.8 (gpu-box.example:9)", "| mosec 0.9.8 at gpu-box.example |"),
        ("digital twin of triton 2.51", "| digital twin of triton 2.51 |"),
    ],
)
def test_the_caption_names_the_server_without_its_port_and_the_record_keeps_it(server, said):
    origin = made(server=server)
    assert said in origin.caption()
    assert origin.to_dict()["server"] == server


def test_seed_zero_is_a_seed():
    assert "seed 0" in made(seed=0).caption()


def test_an_unknown_tier_is_refused():
    with pytest.raises(ValueError, match="'tpu' is unknown"):
        made(tier="tpu")


def test_the_date_is_utc_and_the_machine_this_one():
    origin = Provenance("cpu", "m", "s")
    assert origin.date.endswith("+00:00")
    assert origin.machine == this_machine()


def test_this_machine_counts_the_cores_that_the_process_may_use():
    allowed = os.sched_getaffinity(0)
    try:
        os.sched_setaffinity(0, {min(allowed)})
        assert this_machine().cores == 1
    finally:
        os.sched_setaffinity(0, allowed)
    assert this_machine().memory_gib > 0
    assert this_machine().processor


def test_a_made_up_curve_is_not_called_published():
    made_up = Provenance("emulated", "m", "s", profile="synthetic-2ms+0.05ms")
    assert "made-up latencies" in made_up.caption()
    assert "published" not in made_up.caption()
    assert "published latencies" in Provenance("emulated", "m", "s", profile="rn50-amp-t4-eager").caption()


def test_a_server_that_is_no_triton_is_not_called_one():
    found = made(tier="emulated", server="mosec 0.9.8 (127.0.0.1:1)", details={"protocol": "mosec"})
    assert found.note == "emulated: real server, accelerator played back from published latencies"
    assert made(tier="cpu", details={"protocol": "http"}).note == "cpu: real model on the server's processor"
