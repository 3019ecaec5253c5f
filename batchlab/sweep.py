"""Static batch sizes, one after another: the measuring. What is measured becomes a `batchlab.curve.Sweep`.

One client sends one request, waits for its answer, and sends the next. Nothing queues, so the latency of a request is
the cost of its batch, and the throughput is what one batch at a time can bring.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from math import ceil
from time import perf_counter
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from batchlab import measure
from batchlab.curve import Sweep, SweepError, checked_sizes, from_profile
from batchlab.inputs import from_metadata
from batchlab.journal import RunWriter
from batchlab.measure import Run
from batchlab.provenance import Provenance

__all__ = ["Inputs", "Sweep", "SweepError", "from_profile", "static_sweep"]

Inputs = Callable[[int], dict[str, np.ndarray]]


@dataclass(frozen=True)
class _Plan:
    """How long each batch size is measured."""

    seconds: float
    min_requests: int
    max_requests: int
    warmup_requests: int

    def goes_on(self, sent: int, elapsed_s: float) -> bool:
        return sent < self.min_requests or (elapsed_s < self.seconds and sent < self.max_requests)


def static_sweep(
    server: Any,
    model: str,
    batch_sizes: Sequence[int] = (1, 8, 32, 128),
    *,
    inputs: Inputs | None = None,
    seconds_per_size: float = 5.0,
    min_requests: int = 5,
    max_requests: int = 2000,
    warmup_requests: int = 2,
    progress: bool = True,
) -> Sweep:
    """Measure a model at one batch size after another, one request at a time.

    Each size is sent `warmup_requests` requests first. They stay in the record, at negative times, and so out of
    every statistic: time zero is the first measured request. Then requests follow until `seconds_per_size` have
    passed or `max_requests` were sent, but never fewer than `min_requests`; a ``BATCHLAB_PACE`` below 1 shortens the
    seconds and that least number alike. The inputs of a size are made once, before its clock starts. Every run is
    journalled as it comes.

    A failed request ends the sweep, for whatever comes after it would be measured on a broken server: the sweep
    returns what it has, `partial`, with a warning. So does an interrupt (Ctrl-C).

    Args:
        server: a `batchlab.server.Server`.
        model: name of a loaded model.
        batch_sizes: sizes to measure, each from 1 to the model's max_batch_size; measured in ascending order.
        inputs: a function from batch size to input arrays, each of shape ``(batch, ...)``; default: generated from
            the model's own metadata.
        progress: show a progress bar.

    Raises:
        SweepError: impossible arguments, told before anything is sent.
        batchlab.server.ServerError, KeyboardInterrupt: came before anything was measured.
    """
    pace = measure.pace()
    least = ceil(min_requests * min(pace, 1.0))
    plan = _Plan(seconds_per_size * pace, least, max_requests, warmup_requests)
    if min_requests < 1 or max_requests < min_requests or seconds_per_size < 0 or warmup_requests < 0:
        raise SweepError(
            "A size needs 1 <= min_requests <= max_requests, and seconds_per_size and warmup_requests "
            f"of 0 or more; got {min_requests=}, {max_requests=}, {seconds_per_size=}, {warmup_requests=}."
        )
    config = server.config(model)
    sizes = _allowed_sizes(batch_sizes, model, config.max_batch_size, own_inputs=inputs is not None)
    _warn_of_delay(model, config, sizes)
    if inputs is None:
        metadata = server.metadata(model)
        limit = config.max_batch_size
        feeds = {size: from_metadata(metadata, max_batch_size=limit, batch_size=size) for size in sizes}
    else:
        feeds = {size: inputs(size) for size in sizes}
    details = {} if pace == 1 else {"pace": f"{pace:g}"}
    provenance = server.provenance(model, **details)
    return _measured(server, model, feeds, plan, provenance, progress)


def _measured(
    server: Any,
    model: str,
    feeds: dict[int, dict[str, np.ndarray]],
    plan: _Plan,
    provenance: Provenance,
    progress: bool,
) -> Sweep:
    runs: dict[int, Run] = {}
    problem, error = "", None
    with tqdm(total=len(feeds), desc=f"sweep {model}", unit="size", disable=not progress) as bar:
        for size, feed in feeds.items():
            bar.set_postfix_str(f"batch {size}")
            run, error, trouble = _one_size(server, model, size, feed, plan, provenance)
            problem = problem or trouble
            if run is not None and len(run.answered):
                runs[size] = run
            if error is not None:
                break
            bar.update()
    if error is not None:
        problem = f"The sweep of {model!r} stopped at batch {size}: {str(error) or type(error).__name__}"
        if not runs:
            raise error
        problem += f" Kept: batch {', '.join(map(str, runs))}."
    if problem:
        warnings.warn(problem, stacklevel=3)
    return Sweep(runs, provenance, partial=error is not None, problem=problem)


def _one_size(
    server: Any, model: str, size: int, feed: dict[str, np.ndarray], plan: _Plan, provenance: Provenance
) -> tuple[Run | None, BaseException | None, str]:
    """Return the run of one size, what ended it early, and what went wrong with its journal.

    Whatever ended it, the samples before it were measured and are worth keeping; the caller raises what came first.
    """
    warmup: list[tuple[float, float]] = []
    try:
        for _ in range(plan.warmup_requests):
            began = perf_counter()
            server.infer(model, feed)
            warmup.append((began, perf_counter()))
        before = server.statistics(model)
    except (Exception, KeyboardInterrupt) as error:
        return None, error, ""
    stopped: BaseException | None = None
    activity = None
    with RunWriter(provenance, "sequential", settings={"batch_size": size, **asdict(plan)}) as writer:
        start = perf_counter()
        for began, ended in warmup:
            writer.add(began - start, began - start, ended - start, size, True, "")
        sent, now = 0, 0.0
        while stopped is None and plan.goes_on(sent, now):
            began = perf_counter() - start
            try:
                server.infer(model, feed)
            except (Exception, KeyboardInterrupt) as error:
                stopped = error
            now = perf_counter() - start
            text = "" if stopped is None else str(stopped) or type(stopped).__name__
            writer.add(began, began, now, size, stopped is None, text)
            sent += 1
        if stopped is None:
            try:
                activity = server.statistics(model) - before
            except (Exception, KeyboardInterrupt) as error:
                stopped = error
        run = writer.finish(server=activity, partial=stopped is not None)
    return run, stopped, writer.problem


def _allowed_sizes(batch_sizes: Sequence[int], model: str, limit: int, *, own_inputs: bool) -> list[int]:
    sizes = checked_sizes(batch_sizes)
    if limit == 0 and not own_inputs and max(sizes) > 1:
        raise SweepError(
            f"Model {model!r} has max_batch_size 0: it takes no batches. Set its max_batch_size, or pass inputs= "
            "if its shapes hold a batch dimension of their own."
        )
    above = [size for size in sizes if size > limit > 0]
    if above:
        raise SweepError(
            f"Batch {', '.join(map(str, above))} is above the max_batch_size {limit} of model {model!r}. Leave it out, "
            "or reconfigure the model with a larger max_batch_size."
        )
    return sizes


def _warn_of_delay(model: str, config: Any, sizes: list[int]) -> None:
    """A dynamic batcher that waits for company would wait in vain: the sweep sends one request at a time."""
    batching = getattr(config, "dynamic_batching", None)
    delay_us = batching.max_queue_delay_microseconds if batching else 0
    if delay_us and min(sizes) < config.max_batch_size:
        warnings.warn(
            f"Model {model!r} waits up to {delay_us / 1000:g} ms for a fuller batch, and the sweep sends one request "
            "at a time: every batch below the maximum pays that wait. Set max_queue_delay_microseconds to 0 to see the "
            "cost of the batch alone.",
            stacklevel=3,
        )
