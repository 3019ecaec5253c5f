"""The emulated accelerator: a Python-based Triton backend that takes as long as a published device took.

Real Triton, real scheduler, real client; only the computing is played back. Parameters of the model's configuration:

* ``curve_ms``: device latency per batch size, ``"1:12.66,2:12.82,8:13.51"``; straight lines between published sizes.
* ``device``: name of the device. Models and instances that name the same device share it, across processes, one batch
  at a time; different devices do not wait for each other.
* ``profile``: name of the published profile, for the record.

Self-contained (numpy and the standard library), so that it also runs in NVIDIA's Docker image.
"""

import contextlib
import ctypes
import fcntl
import json
import os
import re
import stat
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils

PR_SET_TIMERSLACK = 29
NS_PER_MS = 1_000_000


class TritonPythonModel:
    """One instance of an emulated model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Read the curve and open the device.

        Raises:
            TritonModelException: a parameter is missing or wrong, or `max_batch_size` lies beyond the curve.
        """
        config = json.loads(args["model_config"])
        parameters = {key: value["string_value"] for key, value in config["parameters"].items()}
        self.batched = config["max_batch_size"] > 0
        try:
            self.sizes, self.latencies_ms = parse_curve(parameters.get("curve_ms", ""))
            check_reach(config["name"], config["max_batch_size"], self.sizes)
            self.device = Device(parameters.get("device", ""))
        except (ValueError, OSError) as error:
            raise pb_utils.TritonModelException(str(error)) from error

    def execute(self, requests: list[Any]) -> list[Any]:
        """Answer a batch at the moment at which the device would have been done with it."""
        entry_ns = time.monotonic_ns()
        rows = [pb_utils.get_input_tensor_by_name(request, "item").as_numpy().shape[0] for request in requests]
        if not self.batched:
            rows = [1] * len(requests)
        total = sum(rows)
        busy_ms = float(np.interp(total, self.sizes, self.latencies_ms))
        # Prepared before the wait: what the answers cost is part of the played time, not on top of it.
        responses = [answer(count if self.batched else 0, total, busy_ms) for count in rows]
        self.device.occupy(entry_ns, int(busy_ms * NS_PER_MS))
        return responses

    def finalize(self) -> None:
        """Close the device."""
        self.device.close()


class Device:
    """One accelerator, shared by everything of this user on this machine that names it.

    The file of the device holds the monotonic time at which it will be free, and of which boot that clock is. Whoever
    comes adds its own batch to that time and sleeps until then, so batches run in the order in which they came, as in
    the queue of a GPU. Waiting for a lock until the device is free would not do that: the operating system wakes all
    who wait, and any of them may be the first. A process that dies leaves the device busy to the end of its batch.
    """

    def __init__(self, name: str) -> None:
        if not re.fullmatch(r"[\w.-]+", name):
            raise ValueError(f"parameter device is {name!r}; name it with letters, digits, '-', '_' and '.'.")
        self.libc = ctypes.CDLL(None)
        self.boot = boot_id()
        self.file = os.open(device_folder() / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def occupy(self, entry_ns: int, busy_ns: int) -> None:
        """Wait for the device, keep it busy, and return at the deadline.

        The deadline counts from when work could start, not from when this process woke up, so that delays of the
        operating system do not add up from batch to batch.
        """
        # The default slack of timers, 50 us, would lengthen every batch. It belongs to the calling thread.
        self.libc.prctl(PR_SET_TIMERSLACK, 1, 0, 0, 0)
        deadline_ns = self._reserve(entry_ns, busy_ns)
        while (left_ns := deadline_ns - time.monotonic_ns()) > 0:
            time.sleep(left_ns / 1e9)

    def _reserve(self, entry_ns: int, busy_ns: int) -> int:
        """Add a batch to what the device has to do, and return when it will be done with it."""
        fcntl.flock(self.file, fcntl.LOCK_EX)
        try:
            deadline_ns = max(entry_ns, self._free_ns()) + busy_ns
            os.pwrite(self.file, b"%s %020d" % (self.boot, deadline_ns), 0)
        finally:
            fcntl.flock(self.file, fcntl.LOCK_UN)
        return deadline_ns

    def close(self) -> None:
        """Let go of the file; it stays, empty of meaning, for the next one."""
        with contextlib.suppress(OSError):
            os.close(self.file)

    def _free_ns(self) -> int:
        boot, _, told = os.pread(self.file, len(self.boot) + 21, 0).rpartition(b" ")
        try:
            return int(told) if boot == self.boot else 0
        except ValueError:
            return 0


def boot_id() -> bytes:
    """Return a name of this boot, for clocks begin anew with each; empty where the kernel does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_bytes().strip()
    except OSError:
        return b""


def device_folder() -> Path:
    """Return the folder of the devices' files, of this user alone; ``BATCHLAB_DEVICES`` names another one.

    Raises:
        ValueError: somebody else made a folder of that name.
    """
    named, runtime = os.environ.get("BATCHLAB_DEVICES"), os.environ.get("XDG_RUNTIME_DIR")
    if named:
        folder = Path(named)
    else:
        base = runtime if runtime and os.access(runtime, os.W_OK) else tempfile.gettempdir()
        folder = Path(base) / f"batchlab-{os.getuid()}"
    folder.mkdir(mode=0o700, parents=bool(named), exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ValueError(f"{folder} belongs to somebody else; set BATCHLAB_DEVICES to a folder of yours.")
    return folder


def parse_curve(text: str) -> tuple[np.ndarray, np.ndarray]:
    """Return batch sizes and latencies in ms, both ascending in size, from ``"1:12.66,2:12.82"``.

    Raises:
        ValueError: not such a text; the message shows the form.
    """
    try:
        points = sorted((int(size), float(ms)) for size, _, ms in (part.partition(":") for part in text.split(",")))
    except ValueError:
        points = []
    sizes = [size for size, _ in points]
    if not points or sizes[0] < 1 or len(set(sizes)) < len(sizes) or any(not 0 < ms < 1e6 for _, ms in points):
        raise ValueError(f"parameter curve_ms is {text!r}; write batch size and ms like '1:12.66,2:12.82,8:13.51'.")
    return np.array(sizes), np.array([ms for _, ms in points])


def check_reach(model: str, max_batch_size: int, sizes: np.ndarray) -> None:
    """Refuse batches that nobody measured: a curve is never drawn out beyond its ends.

    Raises:
        ValueError: `max_batch_size` is above the largest published size, or the curve begins above a batch of 1.
    """
    if max_batch_size > sizes[-1]:
        raise ValueError(
            f"max_batch_size {max_batch_size} of {model} lies beyond the largest published batch, {sizes[-1]}. "
            f"Set max_batch_size to {sizes[-1]} or less."
        )
    if sizes[0] > 1:
        raise ValueError(f"curve_ms of {model} begins at batch {sizes[0]}; it must begin at 1, the smallest batch.")


def answer(rows: int, total: int, busy_ms: float) -> Any:
    """Return the response to a request of `rows` items; 0 stands for a request without a batch dimension."""
    shape = (rows, 1) if rows else (1,)
    return pb_utils.InferenceResponse(
        [
            pb_utils.Tensor("batch_size", np.full(shape, total, np.int32)),
            pb_utils.Tensor("device_ms", np.full(shape, busy_ms, np.float32)),
        ]
    )
