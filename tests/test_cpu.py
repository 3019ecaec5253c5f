"""What a processor can do for INT8, read from Linux's own words."""

from pathlib import Path

import pytest

from batchlab import cpu


def described(tmp_path: Path, flags: str) -> cpu.Cpu:
    path = tmp_path / "cpuinfo"
    core = f"processor\t: 0\nmodel name\t: Test CPU\nflags\t\t: {flags}\nbogomips : 1\n\n"
    path.write_text(core + core.replace("Test CPU", "Second"))
    return cpu.read(path)


@pytest.mark.parametrize(
    ("flags", "int8", "vectors", "saturates"),
    [
        ("fpu avx2", "", "AVX2", True),
        ("fpu avx2 avx512f", "", "AVX512", True),
        ("avx2 avx_vnni", "AVX-VNNI", "AVX2", False),
        ("avx2 avx512f avx512_vnni", "AVX512-VNNI", "AVX512", False),
        ("avx2 avx512f avx512_vnni amx_int8 amx_bf16", "AMX", "AVX512", False),
        ("fpu", "", "", True),
    ],
)
def test_the_best_instruction_is_named(tmp_path: Path, flags: str, int8: str, vectors: str, saturates: bool) -> None:
    found = described(tmp_path, flags)
    assert (found.name, found.int8, found.vectors, found.saturates) == ("Test CPU", int8, vectors, saturates)
    assert found.bf16 == ("bf16" in flags)
    assert ("no VNNI" in str(found)) == saturates
    assert "Test CPU" in str(found)


def test_a_machine_that_describes_nothing_has_a_nameless_processor(tmp_path: Path) -> None:
    found = cpu.read(tmp_path / "none")
    assert (found.name, found.int8) == ("", "")
    assert "unknown processor" in str(found)


def test_this_machine_is_described() -> None:
    assert cpu.read().flags
