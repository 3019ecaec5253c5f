"""Accelerator profiles: the published time of a batch, by batch size, for a model on a GPU; and models that play them.

Every curve of ``data/profiles.csv`` is published by others; ``data/README.md`` says by whom, under which licence, and
what the time covers. Between published sizes the time is interpolated linearly; beyond them nothing is claimed.
"""

import csv
import re
from dataclasses import dataclass, field
from importlib import resources
from typing import Any

import numpy as np

from batchlab.configuration import DynamicBatching, InstanceGroup, ModelConfig, TensorSpec
from batchlab.pbtxt import nearest

SCOPES = {
    "device": "on the GPU alone, between two CUDA events; copies to and from the host are left out",
    "in-process loop": "one step of a loop in the framework's own process, copies included, no server",
    "client round trip": "what a client of a server saw, network and server included",
    "synthetic": "made up for an exercise, not published",
}
LARGEST_MISFIT = 0.05
MS_PER_S = 1000.0


class ProfileError(ValueError):
    """A profile that does not exist or does not hold, or a batch size that it says nothing about."""


@dataclass(frozen=True)
class Fit:
    """``t(b) = overhead_ms + per_item_ms * b``, with the largest relative error at a published size."""

    overhead_ms: float
    per_item_ms: float
    worst_rel: float


@dataclass(frozen=True, eq=False)
class Profile:
    """The time of a batch on one accelerator, published for a few batch sizes.

    Attributes:
        name: stable key, such as ``"rn50-amp-t4-eager"``.
        seq_len: tokens in each input; None where there are none.
        scope: what the time covers, a key of `SCOPES`.
        batch_sizes: published sizes, rising, shape ``(n,)``.
        latencies_ms: mean time of one batch of that size, shape ``(n,)``; dips are kept as published.
        source: address of the published table.
        statistic: how the mean comes from what is published.
        p99_ms: published 99th percentiles, shape ``(n,)``; empty where there are none.
    """

    name: str
    model: str
    gpu: str
    precision: str
    framework: str
    seq_len: int | None
    scope: str
    batch_sizes: np.ndarray
    latencies_ms: np.ndarray
    source: str
    statistic: str = "published mean latency"
    p99_ms: np.ndarray = field(default_factory=lambda: np.empty(0))

    def __post_init__(self) -> None:
        for name, kind in (("batch_sizes", int), ("latencies_ms", float), ("p99_ms", float)):
            values = np.array(getattr(self, name), dtype=kind)
            values.setflags(write=False)
            object.__setattr__(self, name, values)
        sizes, times = self.batch_sizes, self.latencies_ms
        if self.scope not in SCOPES:
            raise ProfileError(f"{self.name}: scope is {self.scope!r}. Use one of: {', '.join(SCOPES)}.")
        if sizes.ndim != 1 or len(sizes) == 0 or sizes.shape != times.shape:
            raise ProfileError(f"{self.name}: {sizes.size} batch sizes and {times.size} latencies. Give one for each.")
        if sizes[0] < 1 or np.any(np.diff(sizes) <= 0):
            raise ProfileError(f"{self.name}: batch sizes {sizes.tolist()} do not rise from 1 or more. Sort them.")
        if not np.all(np.isfinite(times) & (times > 0)):
            raise ProfileError(f"{self.name}: latencies {times.tolist()} ms. Each must be above 0.")

    @property
    def max_batch(self) -> int:
        """The largest published batch size."""
        return int(self.batch_sizes[-1])

    @property
    def description(self) -> str:
        """One line for a table or a caption, scope included."""
        tokens = f", {self.seq_len} tokens" if self.seq_len else ""
        return f"{self.model}{tokens}, {self.gpu}, {self.precision}, {self.framework} ({self.scope})"

    def latency_ms(self, batch: Any) -> Any:
        """Return the time of a batch in ms: exact at published sizes, linear between them.

        Args:
            batch: a size, or an array of sizes of any shape.

        Returns:
            A float for one size, an array of the same shape for an array.

        Raises:
            ProfileError: a size below the first or above the last published one.
        """
        sizes = np.asarray(batch, dtype=float)
        low, high = int(self.batch_sizes[0]), self.max_batch
        outside = sizes[~((sizes >= low) & (sizes <= high))]
        if outside.size:
            raise ProfileError(
                f"{self.name} is published for batch sizes {low} to {high}, not {outside.flat[0]:g}. "
                "Stay within them: nothing is extrapolated."
            )
        times = np.interp(sizes, self.batch_sizes, self.latencies_ms)
        return float(times) if sizes.ndim == 0 else times

    def throughput_ips(self, batch: Any) -> Any:
        """Return items per second when batches of this size follow each other without a gap; as `latency_ms`."""
        ips = np.asarray(batch, dtype=float) / self.latency_ms(batch) * MS_PER_S
        return float(ips) if np.ndim(ips) == 0 else ips

    def affine_fit(self) -> Fit:
        """Return the straight line that fits the published points best in relative error.

        Minimises ``sum(((a + c b) / t - 1)^2)``, so that a small batch counts as much as a large one.

        Raises:
            ProfileError: the line is off by more than 5 % at a published size, or there are fewer than two points.
        """
        sizes, times = self.batch_sizes, self.latencies_ms
        if len(sizes) < 2:
            raise ProfileError(f"{self.name} has one published size. A line takes two.")
        weighted = np.column_stack([1 / times, sizes / times])
        (overhead, per_item), *_rest = np.linalg.lstsq(weighted, np.ones(len(times)), rcond=None)
        misfit = np.abs((overhead + per_item * sizes) / times - 1)
        if misfit.max() > LARGEST_MISFIT:
            raise ProfileError(
                f"{self.name} is no straight line: the best one is off by {misfit.max():.0%} at batch "
                f"{sizes[misfit.argmax()]}. Use latency_ms, which interpolates."
            )
        return Fit(float(overhead), float(per_item), float(misfit.max()))


def load_profiles() -> dict[str, Profile]:
    """Return every published profile by name.

    Raises:
        ProfileError: a row of the data file that does not hold; the message gives its line.
    """
    text = resources.files("batchlab").joinpath("data/profiles.csv").read_text(encoding="utf-8")
    profiles: dict[str, Profile] = {}
    for line, row in enumerate(csv.DictReader(text.splitlines()), start=2):
        try:
            profile = _from_row(row)
        except ValueError as error:
            raise ProfileError(f"profiles.csv, line {line}: {error}") from error
        if profile.name in profiles:
            raise ProfileError(f"profiles.csv, line {line}: {profile.name!r} is there twice. Rename one.")
        profiles[profile.name] = profile
    return profiles


def _from_row(row: dict[str, str]) -> Profile:
    means, tails = _curve(row["mean_ms"]), _curve(row["p99_ms"])
    if tails and tails.keys() != means.keys():
        raise ProfileError("mean_ms and p99_ms name different batch sizes.")
    kept = ("model", "gpu", "precision", "framework", "scope", "statistic", "source")
    return Profile(
        name=row["profile"],
        seq_len=int(row["seq_len"]) if row["seq_len"] else None,
        batch_sizes=np.array(list(means)),
        latencies_ms=np.array(list(means.values())),
        p99_ms=np.array(list(tails.values())),
        **{name: row[name] for name in kept},
    )


def _curve(text: str) -> dict[int, float]:
    points = [point.split(":") for point in text.split()]
    return {int(size): float(time) for size, time in points}


def synthetic_profile(overhead_ms: float, per_item_ms: float, max_batch: int = 128, name: str = "") -> Profile:
    """Return a made-up device, ``t(b) = overhead_ms + per_item_ms * b``, labelled as such."""
    sizes = np.array([1, max_batch]) if max_batch > 1 else np.array([1])
    return Profile(
        name=name or f"synthetic-{overhead_ms:g}ms+{per_item_ms:g}ms",
        model="synthetic",
        gpu="synthetic",
        precision="none",
        framework="none",
        seq_len=None,
        scope="synthetic",
        batch_sizes=sizes,
        latencies_ms=overhead_ms + per_item_ms * sizes,
        source="synthetic: not published, made up for an exercise",
        statistic="by definition",
    )


def emulated_config(
    profile: Profile | str,
    *,
    device: str | None = None,
    name: str | None = None,
    max_batch_size: int | None = None,
    dynamic_batching: DynamicBatching | None = None,
    instances: int = 1,
) -> ModelConfig:
    """Return the configuration of a model that plays a profile on the real server.

    It takes ``item`` (INT32, [1]) and answers ``batch_size`` (INT32, [1]), the size of the batch that the item rode in,
    and ``device_ms`` (FP32, [1]), how long the device was busy with it.

    Args:
        profile: a profile, or the name of a published one.
        device: the emulated device; models that name the same one queue for it. By default the first of its GPU.
        name: the model's name; by default the profile's, with underscores.
        max_batch_size: by default the largest published size.
        dynamic_batching: how the server groups requests; by default it does not.
        instances: copies of the model; they share the one device.

    Raises:
        ProfileError: no such profile, a batch larger than any published, or a device name that cannot name a lock.
    """
    if isinstance(profile, str):
        profile = _published(profile)
    device = device or re.split(r"[^a-z0-9]", profile.gpu.lower())[0] + "-0"
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", device):
        raise ProfileError(f"device is {device!r}. Use letters, digits, dots and dashes, such as 't4-0'.")
    largest = profile.max_batch if max_batch_size is None else max_batch_size
    if largest > profile.max_batch:
        raise ProfileError(
            f"max_batch_size is {largest}, but {profile.name} is published up to {profile.max_batch}. Lower it."
        )
    curve = zip(profile.batch_sizes.tolist(), profile.latencies_ms.tolist(), strict=True)
    return ModelConfig(
        name=name or re.sub(r"[^A-Za-z0-9]+", "_", profile.name),
        backend="emulated",
        max_batch_size=largest,
        inputs=(TensorSpec("item", "INT32", (1,)),),
        outputs=(TensorSpec("batch_size", "INT32", (1,)), TensorSpec("device_ms", "FP32", (1,))),
        dynamic_batching=dynamic_batching,
        instance_groups=(InstanceGroup(count=instances, kind="KIND_CPU"),),
        parameters={
            "profile": profile.name,
            "curve_ms": ",".join(f"{size}:{time!r}" for size, time in curve),
            "device": device,
        },
    )


def _published(name: str) -> Profile:
    profiles = load_profiles()
    if name not in profiles:
        raise ProfileError(f"No profile is called {name!r}. {nearest(name, list(profiles))}")
    return profiles[name]
