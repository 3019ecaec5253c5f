"""Prometheus' text, read."""

from batchlab import prometheus

TEXT = r"""# HELP requests Number of requests
# TYPE requests counter
requests{model="a",version="1"} 3
requests{model="b \"x\" \\n",version="1"} 4.5e3
up 1
load -Inf 1395066363000
"""


def test_samples_are_read_with_their_labels() -> None:
    assert prometheus.parse(TEXT) == {
        "requests": [({"model": "a", "version": "1"}, 3.0), ({"model": 'b "x" \\n', "version": "1"}, 4500.0)],
        "up": [({}, 1.0)],
        "load": [({}, float("-inf"))],
    }
