"""Waking at an absolute time inside gevent. Runs in the sender only.

gevent's own timer rests on epoll's timeout, which counts whole milliseconds and rounds up: a sleeper wakes 0.6 ms late
in the median, up to 1 ms by design. Linux's timerfd counts nanoseconds and is just another readable file to the event
loop, so the pacer sleeps without spinning and wakes within about 0.1 ms.
"""

import ctypes
import os
import sys
import time

import gevent

CLOCK_MONOTONIC = 1
TFD_TIMER_ABSTIME = 1
READ = 1
SPIN_S = 0.0015


class _Timer(ctypes.Structure):
    """``struct itimerspec`` of Linux: interval, then value."""

    _fields_ = (
        ("interval_s", ctypes.c_long),
        ("interval_ns", ctypes.c_long),
        ("value_s", ctypes.c_long),
        ("value_ns", ctypes.c_long),
    )


class Pacer:
    """Sleeps one greenlet until a moment of ``time.monotonic()``."""

    def __init__(self) -> None:
        self._file = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if self._file >= 0:
            self._hub = gevent.get_hub()
            self._watcher = self._hub.loop.io(self._file, READ)

    def wait_until(self, moment: float) -> None:
        """Return at `moment`, at once when it has passed."""
        if moment <= time.monotonic():
            return
        if self._file < 0:
            self._spin(moment)
            return
        whole = int(moment)
        timer = _Timer(0, 0, whole, int((moment - whole) * 1e9) or 1)
        if self._libc.timerfd_settime(self._file, TFD_TIMER_ABSTIME, ctypes.byref(timer), None) != 0:
            raise OSError(ctypes.get_errno(), "timerfd_settime failed")
        self._hub.wait(self._watcher)
        os.read(self._file, 8)

    def close(self) -> None:
        """Give the timer back."""
        if self._file >= 0:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._file)
            self._file = -1

    @staticmethod
    def _spin(moment: float) -> None:
        # Elsewhere: sleep to just before the moment, then let the other greenlets run until it has come.
        gevent.sleep(max(0.0, moment - time.monotonic() - SPIN_S))
        while time.monotonic() < moment:
            gevent.sleep(0)
