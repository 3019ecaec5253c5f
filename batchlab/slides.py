"""Slides of the course's key figures: one PDF, drawn by the plot functions of the labs.

Nothing is measured for them: the figures come from published profiles and from the digital twin, and say so at their
foot. An instructor's own measurements belong beside them.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

SIZE_IN = (11.0, 6.2)
SECONDS = 60.0
SLO_MS = 100.0


def draw(target: Path) -> list[str]:
    """Write the slides and return their titles.

    Raises:
        OSError: the file cannot be written.
    """
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot as plt
    from matplotlib.backends.backend_pdf import PdfPages

    titles = []
    with PdfPages(target, metadata={"Title": "Batchlab: key figures", "CreationDate": None}) as pages:
        for title, picture in figures().items():
            ax = picture()
            ax.set_title(title, loc="left")
            figure = ax.get_figure(root=True)
            figure.set_size_inches(*SIZE_IN)
            pages.savefig(figure)
            plt.close(figure)
            titles.append(title)
    return titles


def figures() -> dict[str, Callable[[], Any]]:
    """Return title -> a function that draws the slide; the titles are what to say."""
    from batchlab import arrivals, plots, queueing, simulate, twin
    from batchlab.curve import from_profile
    from batchlab.profiles import load_profiles

    profiles = load_profiles()
    bert = profiles["bertbase128-fp16-t4"]
    sizes = [int(size) for size in bert.batch_sizes]
    alone = twin.model(bert, max_batch_size=1, batching=False)
    service_ms = float(bert.latency_ms(1))
    loads = (0.5, 0.7, 0.8, 0.9, 0.95)

    def at(load: float) -> Any:
        rate = load * 1000 / service_ms
        return simulate.simulate(alone, arrivals.poisson(rate, 100_000 / rate, seed=1))

    def wait_ms(run: Any) -> float:
        return float(run.server.queue_ms)

    def tails() -> Any:
        bursts = arrivals.gamma(480, SECONDS, burstiness=8, seed=1)
        batching = {f"wait {ms} ms": twin.model(bert, max_batch_size=32, max_delay_ms=ms) for ms in (0, 5, 40)}
        runs = {"no batching": simulate.simulate(alone, bursts)}
        return plots.latency_ecdf(
            runs | {name: simulate.simulate(m, bursts) for name, m in batching.items()}, slo=SLO_MS
        )

    return {
        "A larger batch brings more answers, up to a knee": lambda: plots.throughput_against_batch(
            from_profile(bert, sizes)
        ),
        "and every one of them waits for the whole batch": lambda: plots.throughput_latency(from_profile(bert, sizes)),
        "What a batch shares is its fixed cost": lambda: plots.fixed_and_per_item(bert),
        "The last free moments of a server keep its queue short": lambda: plots.formula_against_runs(
            {"M/D/1": lambda load: queueing.md1(load * 1000 / service_ms, service_ms).mean_wait_ms},
            {"twin": [at(load) for load in loads]},
            x=lambda run: run.offered_rps * service_ms / 1000,
            y=wait_ms,
            x_range=(0.3, 0.96),
            x_label="load",
            y_label="mean wait (ms)",
        ),
        "Batching saves the tail; a wait is worth less than one thinks": tails,
    }
