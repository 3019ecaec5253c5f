"""Ad scoring: impressions as described, a network that ranks, its FP16 edition close to it, both served by Triton."""

import numpy as np
import onnx
import pytest

from batchlab import ads, keepsake, ranking


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    repository = tmp_path_factory.mktemp("repository")
    return repository, *ads.build(repository)


def test_impressions_are_the_same_for_a_seed_and_of_one_world():
    one, two, other = ads.impressions(20_000), ads.impressions(20_000), ads.impressions(20_000, seed=9)
    assert np.array_equal(one.fields, two.fields)
    assert np.array_equal(one.numbers, two.numbers)
    assert not np.array_equal(one.fields, other.fields)
    assert (one.fields >= 0).all()
    assert (one.fields < list(ads.FIELDS.values())).all()
    assert one.numbers.shape == (20_000, len(ads.NUMBERS))
    # The same world whatever the seed: another draw of it clicks as often.
    assert one.probability.mean() == pytest.approx(other.probability.mean(), abs=0.01)
    error = np.sqrt((one.probability * (1 - one.probability)).sum()) / len(one.click)
    assert one.click.mean() == pytest.approx(one.probability.mean(), abs=4 * error)
    with pytest.raises(ValueError, match="at least one impression, not 0"):
        ads.impressions(0)


def test_requests_differ_and_have_the_batch_asked_for():
    assert {name: rows.shape for name, rows in ads.request(3).items()} == {"fields": (3, 12), "numbers": (3, 8)}
    first, second = ads.requests(2, batch_size=4)
    assert first["numbers"].shape == (4, 8)
    assert not np.array_equal(first["fields"], second["fields"])


def test_the_network_ranks_clicks_and_cannot_be_perfect(made):
    found = made[1]
    assert 0.74 < found.auc < found.best_auc < 0.95
    assert found.recall > 0.2
    assert found.examples == ads.HELD_OUT


def test_fp16_is_close_to_fp32_and_half_the_size(made):
    repository, full, half = made
    assert abs(half.auc - full.auc) < 0.001
    assert 0 < half.max_abs_difference < ads.HALF_TOLERANCE
    assert half.max_abs_difference > full.max_abs_difference == 0
    whole, short = (ads.model_path(repository, half=part).stat().st_size for part in (False, True))
    assert short < 0.6 * whole
    assert ads.built(repository) == full
    assert ads.built(repository, half=True) == half


def test_the_half_follows_the_whole(made):
    repository = made[0]
    path = ads.model_path(repository, half=True)
    before = path.read_bytes()
    path.write_bytes(b"cut")
    assert ads.built(repository, half=True) is None
    assert ads.build(repository) == made[1:]
    assert path.read_bytes() == before
    record = keepsake.kept(path, ads.RECIPE)
    assert record["of"] == keepsake.sha256(ads.model_path(repository))


def test_it_costs_far_more_than_a_fraud_check(made):
    from batchlab import fraud

    weights = sum(np.prod(one.dims) for one in onnx.load(ads.model_path(made[0])).graph.initializer)
    assert weights > 100 * 16 * 64
    assert ads.config().dynamic_batching.max_queue_delay_microseconds == 25 * fraud.MAX_WAIT_US


@pytest.mark.server
def test_triton_serves_both_editions(triton):
    ads.build()
    triton.load_missing(["ad_scoring", "ad_scoring_fp16"])
    inputs = ads.request(10, seed=3)
    served = {name: triton.infer(name, inputs)["click"][:, 0] for name in ("ad_scoring", "ad_scoring_fp16")}
    assert np.allclose(served["ad_scoring"], ranking.answers(ads.model_path(), inputs), atol=1e-5)
    gap = np.abs(served["ad_scoring"] - served["ad_scoring_fp16"]).max()
    assert 0 < gap < ads.HALF_TOLERANCE
    for name in served:
        triton.unload(name)
