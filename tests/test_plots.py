"""Pictures: what they show is the record, with units, tier and provenance; colours keep their meaning for every eye."""

import inspect
from dataclasses import replace
from itertools import combinations, pairwise
from types import SimpleNamespace

import matplotlib
import nbformat
import numpy as np
import pandas as pd
import pytest
from nbclient import NotebookClient

matplotlib.use("Agg")

import matplotlib.pyplot as plt
from matplotlib.colors import to_hex, to_rgb
from pictures import CURVES, PICTURES, provenance, queue_run, run_of, search_table, spike, sweep_of, three_gpus

from batchlab import plots
from batchlab.curve import from_profile
from batchlab.plots import COLOURS, PlotError
from batchlab.plots.canvas import named, spread
from batchlab.plots.caption import source_line
from batchlab.plots.palette import contrast, readable, shades
from batchlab.profiles import load_profiles
from batchlab.slo import Slo

T4 = "rn50-amp-t4-eager"


@pytest.fixture(autouse=True)
def _closed():
    yield
    plt.close("all")


def texts(ax):
    """Every visible text of a figure with its box on the page."""
    figure = ax.get_figure()
    figure.canvas.draw()
    axes = [axis for one in figure.axes for axis in (one.xaxis, one.yaxis)]
    ticks = {label for axis in axes for label in axis.get_ticklabels(which="both")}
    drawn = {tick.label1 for axis in axes for tick in axis._update_ticks()}  # the others lie outside the limits
    found = [
        text
        for text in figure.findobj(matplotlib.text.Text)
        if text.get_visible() and text.get_text().strip() and (text not in ticks or text in drawn)
    ]
    assert any(text.get_text() == figure.get_supxlabel() for text in found)
    return [(text.get_text(), text.get_window_extent(figure.canvas.get_renderer())) for text in found]


def caption_of(ax):
    return " ".join(ax.get_figure().get_supxlabel().split())


def line_of(ax, colour, marker=None):
    """The drawn line of a colour with more than one point."""
    (found,) = [
        line
        for line in ax.get_lines()
        if to_hex(line.get_color()).lower() == colour.lower()
        and len(line.get_xdata()) > 2
        and (marker is None or line.get_marker() == marker)
    ]
    return np.asarray(found.get_xdata(), float), np.asarray(found.get_ydata(), float)


class TestEveryPicture:
    def test_every_public_picture_is_drawn_here(self):
        drawn = "".join(inspect.getsource(make) for make in PICTURES.values())
        public = {name: getattr(plots, name) for name in plots.__all__}
        helpers = {"shades", "use_style", "photographs"}
        functions = [name for name, thing in public.items() if inspect.isfunction(thing) and name not in helpers]
        assert len(functions) == 26
        assert [name for name in functions if f"plots.{name}(" not in drawn] == []

    @pytest.mark.parametrize("name", PICTURES)
    def test_is_labelled_captioned_and_legible(self, name):
        ax = PICTURES[name]()
        assert ax.get_title(loc="left")
        assert ax.get_xlabel()
        # Rows that carry names need no label besides.
        assert ax.get_ylabel() or name.startswith(("time_", "split", "span_", "share_"))
        said = ("emulated: real", "cpu: real model", "simulated: no server", "nothing was measured")
        assert any(tier in caption_of(ax) for tier in said)
        boxes = texts(ax)
        overlaps = [
            (one, other)
            for (one, a), (other, b) in combinations(boxes, 2)
            if a.shrunk(0.97, 0.9).overlaps(b.shrunk(0.97, 0.9))
        ]
        assert overlaps == []
        page = ax.get_figure().bbox
        cut = [
            text
            for text, box in boxes
            if box.x0 < page.x0 - 1 or box.x1 > page.x1 + 1 or box.y0 < page.y0 - 1 or box.y1 > page.y1 + 1
        ]
        assert cut == []

    def test_draws_into_the_axes_given_and_shares_one_caption(self):
        figure, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
        sweep = sweep_of(T4)
        assert plots.latency_against_batch(sweep, ax=left) is left
        assert plots.throughput_against_batch(sweep, ax=right) is right
        assert figure.get_supxlabel().count("emulated") == 1
        assert plt.get_fignums() == [figure.number]

    def test_a_second_source_adds_to_the_caption(self):
        _, (left, right) = plt.subplots(1, 2, figsize=(12, 4))
        plots.latency_against_batch(sweep_of(T4), ax=left)
        plots.latency_against_batch(sweep_of(T4, tier="cpu"), ax=right)
        assert "emulated: real Triton" in caption_of(left)
        assert "cpu: real model on this machine's processor" in caption_of(left)

    def test_the_callers_title_stays(self):
        _, ax = plt.subplots()
        ax.set_title("mine")
        plots.latency_against_batch(sweep_of(T4), ax=ax)
        assert ax.get_title() == "mine"
        assert ax.get_title(loc="left") == ""

    def test_importing_and_drawing_leave_the_global_style_alone(self):
        before = dict(matplotlib.rcParams)
        plots.latency_against_batch(sweep_of(T4))
        assert {key: value for key, value in matplotlib.rcParams.items() if before[key] != value} == {}

    def test_use_style_applies_to_own_figures(self):
        with matplotlib.rc_context():
            plots.use_style()
            assert plt.figure().get_dpi() == 110


class TestSweeps:
    def test_latency_lines_are_the_table(self):
        sweep = sweep_of(T4)
        ax, table = plots.latency_against_batch(sweep), sweep.table()
        for colour, column in zip(shades("latency", 3), ("mean_ms", "p50_ms", "p99_ms"), strict=True):
            x, y = line_of(ax, colour)
            assert x.tolist() == table["batch_size"].tolist()
            assert y == pytest.approx(table[column].to_numpy())
        assert "(ms)" in ax.get_ylabel()

    def test_a_p99_of_too_few_requests_is_hollow_and_said(self):
        ax = plots.latency_against_batch(sweep_of(T4, requests=600))
        (hollow,) = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
        assert hollow.get_xdata().tolist() == [8, 32, 128]  # 600 requests bound the P99 of batch 1, not the others
        assert any("too few requests" in text.get_text() for text in ax.texts)

    def test_latency_per_inference_divides_by_the_batch(self):
        sweep = sweep_of(T4)
        _, y = line_of(plots.latency_against_batch(sweep, per="inference"), shades("latency", 3)[0])
        assert y == pytest.approx(sweep.table()["ms_per_inference"].to_numpy())

    def test_ticks_are_the_sizes_measured(self):
        ax = plots.latency_against_batch(sweep_of(T4))
        ax.get_figure().canvas.draw()
        assert [label.get_text() for label in ax.get_xticklabels()] == ["1", "8", "32", "128"]

    def test_per_is_checked(self):
        with pytest.raises(PlotError, match="'request' or 'inference'"):
            plots.latency_against_batch(sweep_of(T4), per="item")

    def test_throughput_and_its_knee(self):
        sweep = sweep_of(T4)
        ax = plots.throughput_against_batch(sweep)
        x, y = line_of(ax, COLOURS["throughput"])
        assert y == pytest.approx(sweep.table()["throughput_ips"].to_numpy())
        ring = next(line for line in ax.get_lines() if str(line.get_gid()).startswith("knee"))
        assert ring.get_gid() == f"knee {sweep.knee()}"
        assert ring.get_ydata()[0] == y[list(x).index(sweep.knee())]
        assert f"knee {sweep.knee()}" in ax.get_legend().get_texts()[0].get_text()
        assert "inferences/s" in ax.get_ylabel()

    def test_relative_throughput_starts_at_one(self):
        sweep = sweep_of(T4)
        _, y = line_of(plots.throughput_against_batch(sweep, relative=True), COLOURS["throughput"])
        ips = sweep.table()["throughput_ips"].to_numpy()
        assert y == pytest.approx(ips / ips[0])

    def test_no_knee_when_not_asked(self):
        ax = plots.throughput_against_batch(sweep_of(T4), knee=False)
        assert ax.get_legend() is None

    def test_several_sweeps_are_told_apart_without_colour(self):
        ax = plots.throughput_against_batch(three_gpus())
        looks = {(line.get_linestyle(), line.get_marker()) for line in ax.get_lines() if len(line.get_xdata()) > 2}
        assert len(looks) == 3
        named_there = " ".join(text.get_text() for text in ax.texts)
        assert all(name in named_there for name in CURVES)

    def test_two_tiers_in_one_picture_are_named_at_the_line(self):
        ax = plots.throughput_against_batch([sweep_of(T4), sweep_of(T4, tier="cpu")])
        written = " ".join(text.get_text() for text in ax.texts)
        assert f"{T4} (emulated)" in written
        assert f"{T4} (cpu)" in written

    def test_trade_off_names_each_batch_and_draws_the_slo(self):
        sweep = sweep_of(T4)
        ax = plots.throughput_latency(sweep, slo=100)
        x, y = line_of(ax, COLOURS["latency"])
        assert x == pytest.approx(sweep.table()["throughput_ips"].to_numpy())
        assert y == pytest.approx(sweep.table()["p50_ms"].to_numpy())
        written = [text.get_text() for text in ax.texts]
        assert {"1", "8", "32", "128", "SLO 100 ms"} <= set(written)

    def test_a_profile_is_drawn_as_published(self):
        sizes, times = np.array([1, 8, 32]), np.array([10.5, 14.0, 26.0])
        profile = SimpleNamespace(name="p", model="m", gpu="", precision="", framework="", scope="", source="")
        profile.batch_sizes, profile.max_batch = sizes, 32
        profile.latency_ms = dict(zip(sizes, times, strict=True)).get
        ax = plots.fixed_and_per_item(profile)
        assert "published" in ax.get_title(loc="left")
        assert "simulated" in caption_of(ax)
        (crosses,) = ax.get_lines()
        assert crosses.get_ydata() == pytest.approx(times / sizes)

    def test_a_published_curve_is_one_line(self):
        sweep = sweep_of(T4, tier="simulated")
        ax = plots.latency_against_batch(sweep)
        assert [text.get_text() for text in ax.texts] == ["published"]
        _, y = line_of(ax, COLOURS["latency"])
        assert y == pytest.approx(sweep.table()["mean_ms"].to_numpy())

    def test_crowded_trade_off_names_the_ends_and_what_fits(self):
        profiles = load_profiles()
        crowd = [
            from_profile(profiles[name], [int(size) for size in profiles[name].batch_sizes])
            for name in ("rn50-amp-t4-eager", "rn50-amp-v100-eager", "bertlarge384-fp16-t4")
        ]
        ax = plots.throughput_latency(crowd, slo=50)
        sizes = [text for text in ax.texts if text.get_text().isdigit()]
        assert {"1", "256", "128"} <= {text.get_text() for text in sizes}
        assert len(sizes) < sum(len(sweep.runs) for sweep in crowd)
        boxes = [box for text, box in texts(ax) if text.isdigit()]
        assert not any(one.overlaps(other) for one, other in combinations(boxes, 2))

    def test_cost_bars_stack_to_the_fit(self):
        sweep = sweep_of("rn50-fp16-a100")
        ax, fit = plots.fixed_and_per_item(sweep), sweep.cost_fit()
        own, fixed = ax.containers
        assert [bar.get_height() for bar in own] == pytest.approx([fit.per_item_ms] * 4)
        assert [bar.get_height() for bar in fixed] == pytest.approx([fit.fixed_ms / size for size in (1, 8, 32, 128)])
        assert to_hex(own[0].get_facecolor()) == COLOURS["compute"].lower()
        assert to_hex(fixed[0].get_facecolor()) == COLOURS["fixed"].lower()
        assert f"{fit.worst_rel:.1%}" in ax.get_title(loc="left")


class TestRequests:
    def test_timeline_bars_are_the_requests(self):
        run = queue_run(rate_rps=80, limit=1)
        ax = plots.request_timeline(run, 10)
        waiting, computing = ax.containers
        rows = run.samples.head(10)
        whole = ((rows["done_s"] - rows["intended_s"]) * 1000).to_numpy()
        assert [bar.get_width() for bar in computing] == pytest.approx(rows["device_ms"].tolist())
        assert np.array([bar.get_width() for bar in waiting]) + rows["device_ms"].to_numpy() == pytest.approx(whole)
        assert to_hex(waiting[0].get_facecolor()) == COLOURS["queue"].lower()
        assert to_hex(computing[0].get_facecolor()) == COLOURS["compute"].lower()
        assert "(ms)" in ax.get_xlabel()

    def test_one_device_never_computes_two_at_once(self):
        _, computing = plots.request_timeline(queue_run(rate_rps=80, limit=1), 14).containers
        spans = sorted((bar.get_x(), bar.get_x() + bar.get_width()) for bar in computing)
        assert all(later[0] - earlier[1] > -2.5 for earlier, later in pairwise(spans))

    def test_a_mean_computing_time_is_cut_where_the_one_ahead_was_answered(self):
        run = run_of([10.0, 19.0, 27.0, 36.0], gaps_s=[0, 0, 0, 0], server=queue_run(80, limit=1).server)
        assert run.server.compute_infer_ms == pytest.approx(11)
        widths = [bar.get_width() for bar in plots.request_timeline(run, one_at_a_time=True).containers[1]]
        assert widths == pytest.approx([10, 9, 8, 9])
        widths = [bar.get_width() for bar in plots.request_timeline(run).containers[1]]
        assert widths == pytest.approx([10, 11, 11, 11])

    def test_timeline_falls_back_on_the_servers_mean_and_says_so(self):
        run = queue_run(rate_rps=80, limit=1)
        run.samples = run.samples.drop(columns="device_ms")
        ax = plots.request_timeline(run, 5)
        assert ax.containers[1][3].get_width() == pytest.approx(run.server.compute_infer_ms)
        assert any("server's statistics" in text.get_text() for text in ax.get_legend().get_texts())

    def test_timeline_does_not_invent(self):
        with pytest.raises(PlotError, match="Nothing tells computing from waiting"):
            plots.request_timeline(run_of([10, 12]))

    def test_timeline_of_nothing(self):
        with pytest.raises(PlotError, match="no request"):
            plots.request_timeline(run_of([10, 12]), first=0)

    def test_a_failed_request_is_crossed_not_computed(self):
        run = queue_run(rate_rps=80, limit=1)
        run.samples.loc[2, "ok"] = False
        ax = plots.request_timeline(run, 5)
        assert ax.containers[1][2].get_width() == 0
        assert "failed" in [text.get_text() for text in ax.get_legend().get_texts()]

    def test_histogram_counts_every_request_and_names_percentiles(self):
        run = queue_run()
        ax = plots.latency_histogram(run, slo=30)
        (steps,) = [patch for patch in ax.patches if isinstance(patch, matplotlib.patches.StepPatch)]
        assert steps.get_data().values.sum() == len(run.latencies_ms)
        written = " ".join(text.get_text() for text in ax.texts)
        for percent in (50, 95, 99):
            assert f"P{percent} {run.percentile_ms(percent).value:.3g} ms" in written
        assert f"missed by {np.mean(run.latencies_ms > 30):.2%}" in written

    def test_histogram_of_a_long_tail_turns_logarithmic_and_of_a_constant_stands(self):
        assert plots.latency_histogram(run_of([10.0] * 200 + [500.0])).get_xscale() == "log"
        assert plots.latency_histogram(run_of([10.0] * 20)).get_xscale() == "linear"

    def test_tail_shows_the_share_that_took_longer(self):
        run = run_of(np.arange(1.0, 101.0))
        (line,) = plots.latency_ecdf(run).get_lines()
        shown = dict(zip(np.round(line.get_xdata(), 6), line.get_ydata(), strict=True))
        assert shown[99.0] == pytest.approx(0.01)
        assert shown[50.0] == pytest.approx(0.5)
        assert min(shown.values()) == pytest.approx(0.01)  # the slowest request has nothing beyond it

    def test_tail_needs_two_requests(self):
        with pytest.raises(PlotError, match="at least two"):
            plots.latency_ecdf(run_of([10.0]))

    @pytest.mark.parametrize("quick", [[10.0] * 2000, np.geomspace(10, 60, 2000), np.geomspace(400, 900, 2000)])
    def test_no_line_of_a_tail_runs_through_the_legend(self, quick):
        ax = plots.latency_ecdf({"quick ones": run_of(quick), "slow ones": run_of(np.geomspace(10, 2000, 2000))})
        ax.get_figure().draw_without_rendering()
        place = ax.get_legend().get_window_extent()
        for line in ax.get_lines():
            assert not line.get_path().transformed(line.get_transform()).intersects_bbox(place, filled=False)

    def test_closed_against_open_computes_its_factor(self):
        closed, open_ = run_of([10.0] * 500), run_of([10.0] * 400 + [50.0] * 100)
        ax = plots.closed_against_open(closed, open_)
        written = [text.get_text() for text in ax.texts]
        assert "5 times" in written
        assert "closed loop\nP99 10 ms" in written
        assert "open loop\nP99 50 ms" in written


class TestInside:
    def test_batch_histogram_is_the_activity(self):
        run = queue_run(500)
        ax = plots.batch_histogram(run)
        bars = {round(bar.get_x() + bar.get_width() / 2): bar.get_height() for bar in ax.patches}
        assert bars == run.server.batches
        assert f"mean {run.server.mean_batch:.1f}" in [text.get_text() for text in ax.texts]

    def test_an_activity_needs_its_provenance(self):
        activity = queue_run(500).server
        with pytest.raises(PlotError, match="carries no tier"):
            plots.batch_histogram(activity)
        assert "emulated" in caption_of(plots.batch_histogram(activity, provenance=provenance()))

    def test_a_run_without_statistics_or_without_batches(self):
        with pytest.raises(PlotError, match="no statistics"):
            plots.time_in_server(run_of([10.0]))
        run = queue_run(500)
        run.server.batches.clear()
        with pytest.raises(PlotError, match="ran no batch"):
            plots.batch_histogram(run)

    def test_time_in_server_stacks_to_what_the_client_saw(self):
        run = queue_run(500)
        ax = plots.time_in_server(run)
        widths = [container[0].get_width() for container in ax.containers]
        assert widths[:4] == pytest.approx(
            [
                run.server.queue_ms,
                run.server.compute_input_ms,
                run.server.compute_infer_ms,
                run.server.compute_output_ms,
            ]
        )
        assert sum(widths) == pytest.approx(run.mean_latency_ms)
        assert to_hex(ax.containers[0][0].get_facecolor()) == COLOURS["queue"].lower()
        assert to_hex(ax.containers[2][0].get_facecolor()) == COLOURS["compute"].lower()

    def test_time_in_server_of_an_activity_has_no_outside(self):
        ax = plots.time_in_server(queue_run(500).server, provenance=provenance())
        assert len(ax.containers) == 4


class TestTraffic:
    def test_rate_integrates_to_the_arrivals(self):
        schedule = spike()
        (steps,) = plots.rate_over_time(schedule, bin_s=0.5).patches
        values, edges, _ = steps.get_data()
        assert np.sum(values * np.diff(edges)) == pytest.approx(len(schedule.times_s))
        assert to_hex(steps.get_edgecolor()) == COLOURS["offered"]

    def test_a_schedule_poses_as_no_measurement(self):
        assert caption_of(plots.rate_over_time(spike())) == "schedule: spike, seed 5 | nothing was measured"

    def test_goodput_is_what_kept_the_slo(self):
        run = queue_run(600, seconds=10)
        ax = plots.rate_over_time(run, bin_s=1, slo=40)
        good = ax.patches[2].get_data()
        assert np.sum(good.values * np.diff(good.edges)) == pytest.approx(np.sum(run.latencies_ms <= 40))
        assert [to_hex(patch.get_edgecolor()) for patch in ax.patches] == [
            COLOURS[name].lower() for name in ("offered", "throughput", "goodput")
        ]

    @pytest.mark.parametrize(("source", "options"), [(run_of([10.0]), {}), (spike(), {"bin_s": 0})])
    def test_a_rate_needs_arrivals_and_a_width(self, source, options):
        with pytest.raises(PlotError, match=r"at least two|above 0"):
            plots.rate_over_time(source, **options)

    def test_p99_points_are_filled_inside_the_slo_hollow_beyond(self):
        runs = [queue_run(rate, 8) for rate in (300, 740)]
        ax = plots.p99_against_rate(runs, 60)
        points = [line for line in ax.get_lines() if line.get_marker() == "o"]
        assert [point.get_ydata()[0] for point in points] == pytest.approx(
            [run.percentile_ms(99).value for run in runs]
        )
        assert [point.get_xdata()[0] for point in points] == pytest.approx([run.offered_rps for run in runs])
        assert points[0].get_markerfacecolor() != "white"
        assert points[1].get_markerfacecolor() == "white"
        assert "SLO: P99 at most 60 ms" in [text.get_text() for text in ax.texts]

    def test_an_invalid_run_joins_no_line(self):
        runs = [queue_run(rate, 5) for rate in (100, 200, 300, 400)]
        runs[1].invalid.append("the sender was late")
        ax = plots.p99_against_rate(runs, 60)
        assert [line.get_xdata()[0] for line in ax.get_lines() if line.get_marker() == "x"] == [runs[1].offered_rps]
        x, _ = line_of(ax, COLOURS["latency"])
        assert runs[1].offered_rps not in x


class TestWindows:
    def test_each_window_shows_its_own_percentile_filled_where_within(self):
        slow = np.repeat([10.0, 200.0, 10.0], 300)
        run = run_of(slow, gaps_s=np.concatenate([[0.0], np.full(899, 0.01)]), origin=provenance(model="a"))
        ax = plots.percentile_by_window({"a": run}, Slo(p99_ms=50), 3.0, spike_s=(3, 6))
        x, y = line_of(ax, COLOURS["latency"], "None")
        assert x.tolist() == [1.5, 4.5, 7.5]
        assert y == pytest.approx([10, 200, 10])
        hollow = [line for line in ax.get_lines() if line.get_markerfacecolor() == "white"]
        assert [list(line.get_xdata()) for line in hollow] == [[4.5]]
        assert "spike" in [text for text, _ in texts(ax)]
        assert "emulated" in caption_of(ax)

    def test_nothing_answered_is_no_picture(self):
        run = run_of([10.0, 10.0])
        run.samples["ok"] = False
        with pytest.raises(PlotError, match="no window"):
            plots.percentile_by_window({"a": run}, Slo(p99_ms=50))


class TestConfigurations:
    def test_surface_writes_value_inside_latency_outside(self):
        table = search_table()
        ax = plots.slo_surface(table, 100, provenance=provenance())
        written = [text.get_text() for text in ax.texts]
        inside = table[table["p99_ms"] <= 100]
        assert [text for text in written if "ms" not in text] == [
            f"{row.throughput_rps:,.0f}" for row in inside.sort_values(["max_batch_size", "max_delay_us"]).itertuples()
        ]
        assert sum("ms" in text for text in written) == len(table) - len(inside)
        assert "max wait (ms)" in ax.get_xlabel()

    def test_surface_frames_the_best_inside(self):
        table = search_table()
        ax = plots.slo_surface(table, 100, provenance=provenance())
        best = table[table["p99_ms"] <= 100].sort_values("throughput_rps").iloc[-1]
        (frame,) = [patch for patch in ax.patches if not patch.get_fill()]
        assert sorted(table["max_delay_us"].unique())[int(frame.get_x())] == best["max_delay_us"]
        assert sorted(table["max_batch_size"].unique())[int(frame.get_y())] == best["max_batch_size"]

    def test_surface_where_nothing_meets_the_slo_frames_nothing(self):
        ax = plots.slo_surface(search_table(), 1, provenance=provenance())
        assert [patch for patch in ax.patches if not patch.get_fill()] == []

    def test_surface_wants_one_row_a_cell_and_its_columns(self):
        table = search_table()
        with pytest.raises(PlotError, match="share"):
            plots.slo_surface(doubled(table), 100, provenance=provenance())
        with pytest.raises(PlotError, match="lacks the columns p99_ms"):
            plots.slo_surface(table.drop(columns="p99_ms"), 100, provenance=provenance())

    def test_pareto_front_is_what_no_other_beats(self):
        table = search_table()
        x, y = line_of(plots.pareto(table, provenance=provenance()), shades("throughput", 2)[0], "o")
        for right, up in zip(x, y, strict=True):
            others = table[(table["throughput_rps"] >= right) & (table["p99_ms"] <= up)]
            assert len(others) == 1
        beaten = table[~table["throughput_rps"].isin(x)]
        for row in beaten.itertuples():
            assert ((x >= row.throughput_rps) & (y <= row.p99_ms)).any()


class TestPhotographs:
    def test_each_has_its_name_and_its_pixels(self):
        images = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.uint8)
        frames = plots.photographs(images, ["cat", "dog"])
        assert [ax.get_title() for ax in frames] == ["cat", "dog"]
        assert np.allclose(frames[1].get_images()[0].get_array(), images[1] / 255)

    def test_a_name_each(self):
        with pytest.raises(PlotError, match="2 names"):
            plots.photographs(np.zeros((3, 8, 8, 3)), ["cat", "dog"])


def doubled(table):
    return pd.concat([table, table])


class TestCanvas:
    def test_spread_keeps_order_gap_and_middle(self):
        placed = spread([0.0, 1.0, 2.0, 50.0], 10)
        assert placed[3] == 50
        assert np.diff(placed[:3]) == pytest.approx([10, 10])
        assert np.mean(placed[:3]) == pytest.approx(1.0)

    def test_spread_merges_groups_that_grow_into_each_other(self):
        placed = spread([0.0, 1.0, 12.0, 13.0], 10)
        assert np.diff(placed) == pytest.approx([10, 10, 10])

    def test_source_line_says_what_is_shared_once(self):
        line = source_line([provenance(profile="a", model="m"), provenance(profile="b", model="m")])
        assert line.count("emulated:") == 1
        assert line.count("Xeon") == 1
        assert "profile a, profile b" in line

    def test_source_line_is_the_same_whatever_port_the_server_had(self):
        one, other = (replace(provenance(), server=f"Triton 2.51.0 (127.0.0.1:{port})") for port in (34817, 44337))
        assert source_line([one]) == source_line([other]) == source_line([one, other])
        # Said once, also where the rest of the caption is joined.
        joined = source_line([one, replace(other, model="another")])
        assert joined.count("Triton 2.51.0 at 127.0.0.1 |") == 1
        assert "34817" not in joined

    def test_equal_names_are_numbered(self):
        assert list(named([1, 2, 3], lambda _: "same")) == ["same", "same (2)", "same (3)"]

    def test_nothing_to_draw(self):
        with pytest.raises(PlotError, match="nothing to draw"):
            plots.latency_against_batch([])

    def test_an_slo_may_be_an_object(self):
        class Slo:
            percentile, limit_ms = 95, 80

        ax = plots.p99_against_rate([queue_run(100, 5), queue_run(200, 5)], Slo())
        assert "P95" in ax.get_ylabel()
        with pytest.raises(PlotError, match="An SLO is a limit"):
            plots.throughput_latency(sweep_of(T4), slo="fast")


# Concepts that meet in one picture, by colour alone.
MEET = [
    ("queue", "compute"),
    ("queue", "transfer"),
    ("compute", "transfer"),
    ("compute", "outside"),
    ("fixed", "compute"),
    ("latency", "slo"),
    ("latency", "prediction"),
    ("throughput", "goodput"),
    ("throughput", "offered"),
    ("throughput", "slo"),
    ("throughput", "prediction"),
    ("offered", "slo"),
]
# Linear RGB as seen with each dichromacy: G. M. Machado et al., A Physiologically-based Model for Simulation of Color
# Vision Deficiency, IEEE TVCG 15(6), 2009, severity 1.0.
EYES = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
}


def lab(colour, eye="normal"):
    """CIE L*a*b* of a colour as an eye sees it, white point D65."""
    rgb = np.array(to_rgb(colour))
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    seen = np.clip(np.array(EYES[eye]) @ linear, 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    ratio = xyz / np.array([0.9505, 1.0, 1.089])
    f = np.where(ratio > (6 / 29) ** 3, np.cbrt(ratio), ratio / (3 * (6 / 29) ** 2) + 4 / 29)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


class TestColours:
    def test_one_colour_a_concept(self):
        assert len(set(COLOURS.values())) == len(COLOURS)

    def test_the_palette_cannot_be_changed(self):
        with pytest.raises(TypeError):
            COLOURS["queue"] = "#000000"

    @pytest.mark.parametrize("eye", EYES)
    @pytest.mark.parametrize(("one", "other"), MEET)
    def test_concepts_that_meet_stay_apart_for_every_eye(self, one, other, eye):
        assert np.linalg.norm(lab(COLOURS[one], eye) - lab(COLOURS[other], eye)) > 15  # 2.3 is just noticeable

    @pytest.mark.parametrize(("one", "other"), [pair for pair in MEET if "transfer" not in pair and "slo" not in pair])
    def test_concepts_that_meet_stay_apart_in_greyscale(self, one, other):
        # Transfers are hatched and an SLO is a dashed line with its name: they need no lightness of their own.
        if "prediction" not in (one, other):
            assert abs(lab(COLOURS[one])[0] - lab(COLOURS[other])[0]) > 14

    @pytest.mark.parametrize("count", [2, 3, 4])
    def test_shades_fall_from_dark_to_light_in_greyscale(self, count):
        for concept in ("latency", "throughput"):
            lightness = [lab(colour)[0] for colour in shades(concept, count)]
            assert (np.diff(lightness) > 5).all()

    def test_one_shade_is_the_colour(self):
        assert shades("latency", 1) == [COLOURS["latency"].lower()]

    def test_text_is_readable_in_every_colour(self):
        assert contrast("#FFFFFF") == pytest.approx(1)
        assert contrast("#000000") == pytest.approx(21)
        for concept in COLOURS:
            assert contrast(readable(COLOURS[concept])) >= 4.5
        assert readable("#000000") == "#000000"


def test_a_notebook_shows_every_picture():
    """Not only the first: the style context must leave the notebook's interactive mode on."""
    cells = [
        "from batchlab import plots\nfrom batchlab.profiles import load_profiles\nplots.use_style()",
        *(
            f"ax = plots.fixed_and_per_item(load_profiles()[{name!r}])"
            for name in ("rn50-fp16-a100", "bertbase128-fp16-t4")
        ),
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, kernel_name="python3").execute()
    shown = [["image/png" in output.get("data", {}) for output in cell.outputs] for cell in notebook.cells]
    assert shown == [[], [True], [True]]
