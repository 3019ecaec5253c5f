"""The record of a run: percentiles judged by simulation, rates and Little's law by independent counts."""

import numpy as np
import pandas as pd
import pytest

from batchlab import measure
from batchlab.measure import COLUMNS, Estimate, MeasureError, Run, percentile
from batchlab.provenance import Machine, Provenance
from batchlab.statistics import Activity


def run_of(intended, done, *, sent=None, ok=True, batch=1, error="", **options):
    frame = pd.DataFrame({"intended_s": intended, "sent_s": intended if sent is None else sent, "done_s": done})
    frame = frame.assign(batch_size=batch, ok=ok, error=error)[list(COLUMNS)]
    origin = Provenance("cpu", "m", "s", Machine("p", 2, 8.0, "Linux", "3.11"))
    return Run(frame, origin, "open_loop", **options)


class TestPercentile:
    @pytest.mark.parametrize(
        ("values", "percent", "expected"),
        [
            ([30, 10, 20, 40], 50, 20),
            ([30, 10, 20, 40], 51, 30),
            ([5], 99, 5),
            (range(1, 101), 99, 99),
            (range(1, 102), 99, 100),
            (range(1, 1001), 99.9, 999),
            (range(1, 101), 29, 29),  # 0.29 * 100 is 28.999999999999996
        ],
    )
    def test_is_the_smallest_sample_with_enough_at_or_below(self, values, percent, expected):
        assert percentile(np.array(list(values)), percent).value == expected

    def test_agrees_with_numpys_inverted_cdf(self):
        random = np.random.default_rng(0)
        for size in (1, 2, 7, 100, 999):
            values = random.exponential(10, size)
            for percent in (1, 25, 50, 90, 99, 99.9):
                expected = np.percentile(values, percent, method="inverted_cdf")
                assert percentile(values, percent).value == expected

    @pytest.mark.parametrize(("percent", "size", "confidence"), [(50, 40, 0.95), (90, 200, 0.95), (99, 1500, 0.9)])
    def test_interval_covers_the_truth_as_often_as_it_says(self, percent, size, confidence):
        random = np.random.default_rng(42)
        truth = -np.log(1 - percent / 100)  # of the exponential distribution with mean 1
        trials, covered = 3000, 0
        for _ in range(trials):
            estimate = percentile(random.exponential(1.0, size), percent, confidence)
            covered += estimate.low <= truth <= estimate.high
        noise = 4 * np.sqrt(confidence * (1 - confidence) / trials)
        assert covered / trials > confidence - noise
        assert covered / trials < confidence + (1 - confidence) / 2 + noise + 0.03  # conservative, not idle

    def test_upper_end_is_infinite_where_the_samples_cannot_bound_it(self):
        assert np.isinf(percentile(np.arange(100.0), 99).high)
        assert np.isfinite(percentile(np.arange(1000.0), 99).high)
        # The slowest of n exceeds the P99 unless all lie below it: 0.99**n <= 0.025 from n = 368 on.
        assert np.isinf(percentile(np.arange(367.0), 99).high)
        assert np.isfinite(percentile(np.arange(368.0), 99).high)

    def test_lower_end_is_zero_where_nothing_bounds_it(self):
        assert percentile(np.array([5.0, 6.0]), 1).low == 0

    def test_more_confidence_is_a_wider_interval(self):
        values = np.random.default_rng(0).exponential(1, 500)
        narrow, wide = percentile(values, 90, 0.8), percentile(values, 90, 0.99)
        assert wide.low < narrow.low < narrow.value < narrow.high < wide.high

    @pytest.mark.parametrize(
        ("values", "percent", "confidence", "said"),
        [
            ([], 50, 0.95, "no samples"),
            ([1, 2], 0, 0.95, "between 0 and 100"),
            ([1, 2], 100, 0.95, "between 0 and 100"),
            ([1, 2], 50, 1, "confidence"),
            ([1, np.nan], 50, 0.95, "NaN"),
        ],
    )
    def test_what_cannot_be_answered(self, values, percent, confidence, said):
        with pytest.raises(MeasureError, match=said):
            percentile(np.array(values), percent, confidence)

    def test_an_estimate_prints_its_interval(self):
        assert str(Estimate(12.345, 10, 15, 0.95, 100)) == "12.3 [10, 15]"
        assert str(Estimate(12.345, 10, np.inf, 0.95, 100)) == "12.3 [10, ?]"


class TestRun:
    def test_latency_counts_from_the_intended_time(self):
        run = run_of([0.0, 1.0], [0.5, 1.2], sent=[0.3, 1.0])
        assert run.latencies_ms == pytest.approx([500, 200])
        assert run.lateness_ms == pytest.approx([300, 0])
        assert run.mean_latency_ms == pytest.approx(350)

    def test_warm_up_is_left_out_of_everything(self):
        run = run_of([0.0, 1.0, 2.0], [9.0, 1.1, 2.1], batch=[100, 1, 1], warmup_s=0.5)
        assert len(run.kept) == 2
        assert run.duration_s == pytest.approx(1.1)
        assert run.throughput_ips == pytest.approx(2 / 1.1)
        assert run.latencies_ms.max() == pytest.approx(100)

    def test_requests_and_inferences_are_two_rates(self):
        run = run_of([0.0, 1.0], [1.0, 2.0], batch=8)
        assert run.throughput_rps == pytest.approx(1)
        assert run.throughput_ips == pytest.approx(8)

    def test_offered_throughput_and_goodput_are_three_numbers(self):
        run = run_of(
            np.arange(10) * 0.1, np.arange(10) * 0.1 + np.array([0.05] * 6 + [0.5] * 4), ok=[True] * 9 + [False]
        )
        assert run.offered_rps == pytest.approx(10)
        assert run.throughput_rps == pytest.approx(9 / 1.4)
        assert run.goodput_rps(100) == pytest.approx(6 / 1.4)

    def test_errors_are_counted_by_message(self):
        run = run_of([0, 1, 2], [0.1, 1.1, 2.1], ok=[False, True, False], error=["full", "", "full"])
        assert run.errors == {"full": 2}
        assert len(run.answered) == 1

    def test_mean_in_flight_against_a_count_on_a_fine_grid(self):
        random = np.random.default_rng(5)
        starts = np.sort(random.uniform(0, 20, 300))
        run = run_of(starts, starts + random.exponential(0.4, 300))
        frame = run.samples
        grid = np.linspace(frame["intended_s"].min(), frame["done_s"].max(), 200_001)
        began = np.searchsorted(starts, grid, side="right")
        ended = np.searchsorted(np.sort(frame["done_s"].to_numpy()), grid, side="right")
        assert run.mean_in_flight == pytest.approx(np.mean(began - ended), rel=1e-3)

    def test_littles_law_holds_for_the_record(self):
        random = np.random.default_rng(6)
        starts = np.sort(random.uniform(0, 20, 300))
        run = run_of(starts, starts + random.exponential(0.4, 300))
        assert run.mean_in_flight == pytest.approx(run.throughput_rps * run.mean_latency_ms / 1000)

    def test_one_after_another_is_one_in_flight(self):
        assert run_of([0, 1, 2], [1, 2, 3]).mean_in_flight == pytest.approx(1)

    def test_nothing_measured_is_nan_not_zero(self):
        run = run_of([], [])
        for number in (run.mean_latency_ms, run.throughput_rps, run.offered_rps, run.mean_in_flight):
            assert np.isnan(number)
        assert run.describe()["requests"] == 0
        assert np.isnan(run.describe()["p99_ms"])
        with pytest.raises(MeasureError, match="no request was answered"):
            run.percentile_ms(50)

    def test_one_request_has_no_offered_rate(self):
        assert np.isnan(run_of([0.0], [0.1]).offered_rps)

    def test_valid_until_a_reason_says_otherwise(self):
        assert run_of([0], [1]).valid
        assert not run_of([0], [1], invalid=["sender late"]).valid

    def test_summary_is_describe_in_one_row(self):
        activity = Activity("m", 2, 0, 4, 1, 1.0, 0.0, 1.0, 0.0, {4: 1}, {4: 1.0})
        run = run_of([0.0, 1.0], [0.5, 1.5], server=activity)
        row = run.summary().loc["m"]
        assert row["mean_batch"] == 4
        assert row["p50_ms"] == pytest.approx(500)
        assert row["tier"] == "cpu"
        assert set(run.describe()) - {"model"} == set(run.summary().columns)

    def test_samples_need_their_columns(self):
        frame = run_of([0], [1]).samples.drop(columns=["ok", "error"])
        with pytest.raises(MeasureError, match="lack the columns ok, error"):
            Run(frame, run_of([0], [1]).provenance, "open_loop")


class TestPace:
    def test_is_one_unless_set(self, monkeypatch):
        monkeypatch.delenv("BATCHLAB_PACE", raising=False)
        assert measure.pace() == 1
        monkeypatch.setenv("BATCHLAB_PACE", "0.2")
        assert measure.pace() == 0.2

    @pytest.mark.parametrize("text", ["fast", "0", "-1", "inf", "nan", ""])
    def test_nonsense_is_refused(self, monkeypatch, text):
        monkeypatch.setenv("BATCHLAB_PACE", text)
        with pytest.raises(MeasureError, match="BATCHLAB_PACE"):
            measure.pace()
