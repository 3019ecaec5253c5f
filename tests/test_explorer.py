"""The explorer: what a slider does to the settings, what the picture says, and that both are the simulator's."""

import io

import pytest
from PIL import Image

from batchlab import arrivals, explorer, simulate, twin
from batchlab.explorer import REQUESTS, ExplorerError
from batchlab.profiles import load_profiles, synthetic_profile
from batchlab.service import Calibration, Overheads, ServiceTime

T4 = "rn50-amp-t4-eager"


def test_its_numbers_are_those_of_the_simulator() -> None:
    explored = explorer.explore(T4, slo_ms=100, rate_rps=400, burstiness=4.0, max_wait_ms=5.0, max_batch=16)
    seconds = REQUESTS / 400
    model = twin.model(load_profiles()[T4], max_batch_size=16, max_delay_ms=5.0)
    traffic = arrivals.gamma(400, seconds, 4.0, seed=0)
    run = simulate.simulate(model, traffic, warmup_s=explorer.WARM_UP * seconds)
    assert dict(explored.run.describe()) == dict(run.describe())
    assert f"P99 {run.percentile_ms(99).value:.3g} ms" in explored.headline
    assert f"mean batch {run.server.mean_batch:.1f}" in explored.headline


def test_a_moved_slider_redraws_the_picture() -> None:
    explored = explorer.explore(T4, rate_rps=400)
    before, picture, drawn = explored.run, explored.png, explored.redraws
    explored._controls["rate_rps"].value = 800  # as a browser does
    assert explored.redraws == drawn + 1
    assert explored.settings.rate_rps == 800
    assert explored.run.offered_rps == pytest.approx(800, rel=0.05)
    assert explored.run.percentile_ms(99).value > before.percentile_ms(99).value
    assert explored.png != picture
    page = Image.open(io.BytesIO(explored.png))
    assert page.format == "PNG"
    assert page.size == Image.open(io.BytesIO(picture)).size


def test_the_same_settings_give_the_same_picture_again() -> None:
    explored = explorer.explore(T4, rate_rps=400)
    picture = explored.png
    explored.set(rate_rps=1200, burstiness=16.0)
    assert explored.set(rate_rps=400, burstiness=1.0) is explored.run
    assert explored.png == picture


def test_several_settings_are_one_redraw() -> None:
    explored = explorer.explore(T4)
    drawn = explored.redraws
    explored.set(rate_rps=300, max_batch=8, max_wait_ms=5.0, instances=2, prefetch=False)
    assert explored.redraws == drawn + 1
    assert explored.model.instances == 2
    assert explored.model.max_batch == 8


def test_every_picture_says_that_it_is_simulated() -> None:
    explored = explorer.explore(T4)
    for values in ({"rate_rps": 300}, {"profile": "bertbase128-fp16-t4"}):
        explored.set(**values)
        assert explored.headline.startswith("simulated, ")
        assert explored._panel.figure.get_supxlabel().startswith("simulated: no server")
    assert "bert" in explored._panel.figure.get_supxlabel().lower()


def test_an_unstable_load_is_said_plainly() -> None:
    explored = explorer.explore(T4, rate_rps=400)
    assert "UNSTABLE" not in explored.headline
    explored.set(max_batch=1)
    assert "UNSTABLE: the queue grows" in explored.headline
    assert "SLO 100 ms broken" in explored.headline
    figure = explored._panel.figure
    assert [text.get_window_extent().x1 < figure.bbox.x1 for text in figure.texts] == [True, True]
    assert explored.utilisation > 0.99


def test_the_utilisation_is_rate_times_service() -> None:
    explored = explorer.explore(synthetic_profile(10, 1, 32), rate_rps=45, max_batch=1)
    assert explored.utilisation == pytest.approx(0.045 * 11, rel=0.03)


def test_without_prefetch_a_wait_costs_less() -> None:
    explored = explorer.explore(T4, rate_rps=500, max_wait_ms=5.0)
    with_it = explored.run.percentile_ms(50).value
    assert explored.set(prefetch=False).percentile_ms(50).value < with_it - 4


def test_another_profile_moves_the_limits_of_the_sliders() -> None:
    explored = explorer.explore("rn50-fp16-a100", rate_rps=5000)
    explored._controls["profile"].value = "bertlarge384-fp16-t4"
    capacity = twin.model(load_profiles()["bertlarge384-fp16-t4"], max_batch_size=32).capacity_rps()
    assert explored.settings.rate_rps == pytest.approx(capacity / 2, abs=1)
    assert explored.run.provenance.model == "bertlarge384-fp16-t4"
    assert not explored.run.settings["unstable"]


def test_a_calibrated_server_is_explored_with_its_overheads() -> None:
    overheads = Overheads(send_ms=1.0, dispatch_ms=0.5, answer_ms=0.5)
    service = ServiceTime.from_function(lambda b: 5 + 0.5 * b, [1, 2, 4, 8])
    explored = explorer.explore(Calibration("mine", service, overheads), rate_rps=20)
    assert explored.settings.profile == "mine"
    assert explored.run.latencies_ms.min() == pytest.approx(7.5, abs=0.01)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"rate": 100}, "no 'rate'"),
        ({"max_batch": 7}, "max_batch is one of 1, 2, 4"),
        ({"rate_rps": 10**6}, "rate_rps lies between 1 and"),
        ({"instances": 0}, "instances lies between 1 and 4"),
        ({"profile": "t4"}, "profile is one of"),
    ],
)
def test_what_a_slider_cannot_do_is_refused(values: dict[str, object], told: str) -> None:
    explored = explorer.explore(T4)
    settings = explored.settings
    with pytest.raises(ExplorerError, match=told):
        explored.set(**values)
    assert explored.settings == settings
    explored.set(rate_rps=321)
    assert explored.settings.rate_rps == 321


@pytest.mark.parametrize(("arguments", "told"), [({"profile": "rn50"}, "No profile"), ({"slo_ms": 0}, "above 0 ms")])
def test_a_wrong_start_is_refused(arguments: dict[str, object], told: str) -> None:
    with pytest.raises(ExplorerError, match=told):
        explorer.explore(**arguments)  # type: ignore[arg-type]
