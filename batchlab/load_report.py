"""What a run felt like, told on the command line: a table for people, plain values for JSON."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from batchlab.arrivals import Arrivals
    from batchlab.measure import Run
    from batchlab.slo import Verdict


def numbers_of(run: "Run", slo_ms: float | None, verdict: "Verdict | None") -> dict[str, Any]:
    """Return a run's numbers by name, plain and ready for JSON."""
    import math

    import numpy as np

    late = run.lateness_ms
    numbers = {
        **run.describe(),
        "goodput_rps": None if slo_ms is None else run.goodput_rps(slo_ms),
        "lateness_p99_ms": float(np.percentile(late, 99)) if len(late) else None,
        "errors_by_text": run.errors,
        "invalid": run.invalid,
        "verdict": None if verdict is None else verdict.to_dict(),
        "run_id": run.run_id,
        "provenance": run.provenance.to_dict(),
    }
    return _plain(numbers, math.isfinite)


def _plain(value: Any, finite: Any) -> Any:
    """NaN and infinity are no JSON: null says that there is no such number."""
    if isinstance(value, dict):
        return {key: _plain(inner, finite) for key, inner in value.items()}
    return None if isinstance(value, float) and not finite(value) else value


def show_run(run: "Run", traffic: "Arrivals | None", slo_ms: float | None, verdict: "Verdict | None") -> None:
    """Print a run as a table, with its verdict and whatever speaks against using it."""
    import numpy as np
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table
    from rich.text import Text

    what = str(traffic) if traffic is not None else f"{run.settings['clients']} clients that wait for their answers"
    table = Table(title=f"{run.provenance.model}: {escape(what)}", title_justify="left", show_header=False)
    table.add_column(style="bold")
    table.add_column(justify="right")
    table.add_column()
    rows: list[tuple[str, str, str]] = [
        ("offered", f"{run.offered_rps:.1f}/s", f"{len(run.kept)} requests"),
        ("throughput", f"{run.throughput_rps:.1f}/s", f"{run.throughput_ips:.1f} inferences/s"),
    ]
    if slo_ms is not None:
        rows.append(("goodput", f"{run.goodput_rps(slo_ms):.1f}/s", f"answered within {slo_ms:g} ms"))
    if len(run.latencies_ms):
        for percent in (50, 95, 99):
            found = run.percentile_ms(percent)
            high = "?" if np.isinf(found.high) else f"{found.high:.2f}"
            between = f"95 % sure: {found.low:.2f} to {high}"
            rows.append((f"P{percent}", f"{found.value:.2f} ms", between))
    if run.kind == "open_loop" and len(run.lateness_ms):
        rows.append(("lateness P99", f"{np.percentile(run.lateness_ms, 99):.2f} ms", "of the sender"))
    if run.server:
        rows.append(("mean batch", f"{run.server.mean_batch:.2f}", f"{run.server.executions} batches"))
    rows += [("failed", str(count), text) for text, count in run.errors.items()]
    for name, value, note in rows:
        table.add_row(name, value, escape(note))
    console = Console()
    console.print(table)
    if run.partial:
        console.print("Cut short: the numbers are of the part that was measured.", style="bold")
    for reason in run.invalid:
        console.print(Text(f"NOT VALID: {reason}", style="bold red"))
    if verdict is not None and run.valid:
        console.print(Text(str(verdict), style="bold"))
    console.print(Text(run.provenance.caption(), style="dim"))
