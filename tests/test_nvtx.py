"""NVTX ranges: pushed and popped around a block where there is a GPU, and nothing elsewhere."""

import sys
import types

import pytest

from batchlab import nvtx


class Gpu:
    """Stands for torch on a machine with a GPU; notes what is pushed and popped."""

    def __init__(self, there: bool = True) -> None:
        self.calls: list[str] = []
        ranges = types.SimpleNamespace(
            range_push=lambda name: self.calls.append(f"push {name}"), range_pop=lambda: self.calls.append("pop")
        )
        self.cuda = types.SimpleNamespace(is_available=lambda: there, nvtx=ranges)


def test_a_block_is_marked_where_there_is_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    monkeypatch.setitem(sys.modules, "torch", gpu)
    with nvtx.marked("outer"), nvtx.marked("inner"):
        assert nvtx.active()
    assert gpu.calls == ["push outer", "push inner", "pop", "pop"]


def test_a_range_is_closed_after_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    gpu = Gpu()
    monkeypatch.setitem(sys.modules, "torch", gpu)
    with pytest.raises(KeyError), nvtx.marked("work"):
        raise KeyError
    assert gpu.calls == ["push work", "pop"]


@pytest.mark.parametrize("torch", [None, Gpu(there=False)])
def test_elsewhere_the_block_just_runs(monkeypatch: pytest.MonkeyPatch, torch: object) -> None:
    monkeypatch.setitem(sys.modules, "torch", torch)
    with nvtx.marked("work"):
        assert not nvtx.active()
    assert torch is None or torch.calls == []
