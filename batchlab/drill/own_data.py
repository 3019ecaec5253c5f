"""Figures of the learner's own runs, to be used in a design answer; and plain words where there are none."""

from batchlab import journal

NOTHING = "You have no runs yet. Measure in labs 01 to 08 and they appear here; until then argue with an example."
MOST = 5


def own_runs(most: int = MOST) -> str:
    """Return a Markdown table of the latest runs that may be used, with the tier of each, or `NOTHING`."""
    rows = []
    for path in reversed(journal.saved()):
        try:
            run = journal.load(path)
        except journal.JournalError:
            continue  # A damaged file must not stand between a candidate and the question.
        if run.valid and not run.partial and len(run.latencies_ms):
            told = run.describe()
            rows.append(f"| {told['model']} | {told['tier']} | {told['throughput_rps']:.3g} | {told['p99_ms']:.3g} |")
        if len(rows) == most:
            break
    if not rows:
        return NOTHING
    return "\n".join(["| model | tier | throughput, requests/s | P99, ms |", "|---|---|---|---|", *rows])
