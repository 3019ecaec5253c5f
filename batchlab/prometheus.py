"""Prometheus' text format, read.

Source: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format
"""

import re

SAMPLE = re.compile(r"^(?P<name>[A-Za-z_:][\w:]*)(?:\{(?P<labels>.*)\})?\s+(?P<value>\S+)")
LABEL = re.compile(r'(?P<key>\w+)="(?P<value>(?:[^"\\]|\\.)*)"')
ESCAPES = {r"\\": "\\", r"\"": '"', r"\n": "\n"}


def parse(text: str) -> dict[str, list[tuple[dict[str, str], float]]]:
    """Return the samples of an exposition: metric name -> (labels, value) pairs, in order."""
    samples: dict[str, list[tuple[dict[str, str], float]]] = {}
    for line in text.splitlines():
        found = SAMPLE.match(line)
        if found and not line.startswith("#"):
            labels = {match["key"]: _plain(match["value"]) for match in LABEL.finditer(found["labels"] or "")}
            samples.setdefault(found["name"], []).append((labels, float(found["value"])))
    return samples


def _plain(text: str) -> str:
    return re.sub(r'\\[\\"n]', lambda match: ESCAPES[match[0]], text)
