"""What this machine's processor can do for INT8: its name, and its instructions for multiplying small integers.

INT8 is fast where one instruction multiplies four pairs of bytes and adds them up into 32 bits (VNNI, AMX). Without it
AVX2 takes two instructions more, and the first of them adds pairs up in 16 bits, where large values saturate: the
answer is then not only late but wrong. Weights of 7 bits (``reduce_range``) cannot saturate.

Source: ONNX Runtime's documentation, *Quantize ONNX models*, sections on ``reduce_range`` and on performance; Intel 64
and IA-32 Architectures Software Developer's Manual, ``VPDPBUSD`` and ``VPMADDUBSW``.
"""

from dataclasses import dataclass
from pathlib import Path

CPUINFO = Path("/proc/cpuinfo")
# Best first: Linux's flag, what it is called, and what it does.
INT8 = {
    "amx_int8": ("AMX", "multiplies whole tiles of INT8"),
    "avx512_vnni": ("AVX512-VNNI", "64 products of INT8 in one instruction"),
    "avx_vnni": ("AVX-VNNI", "32 products of INT8 in one instruction"),
}
WIDE = {"avx512f": "AVX512", "avx2": "AVX2"}


@dataclass(frozen=True)
class Cpu:
    """A processor, as Linux describes it.

    Attributes:
        name: of the product; empty where unknown.
        flags: Linux's names of what it can do.
    """

    name: str
    flags: frozenset[str]

    @property
    def int8(self) -> str:
        """The best instruction for INT8, such as ``"AVX512-VNNI"``; empty where there is none."""
        return next((name for flag, (name, _what) in INT8.items() if flag in self.flags), "")

    @property
    def vectors(self) -> str:
        """The widest vectors, ``"AVX512"`` or ``"AVX2"``; empty where neither is there."""
        return next((name for flag, name in WIDE.items() if flag in self.flags), "")

    @property
    def saturates(self) -> bool:
        """Whether products of INT8 may overflow 16 bits on the way, so that weights should keep to 7 bits."""
        return not self.int8

    @property
    def bf16(self) -> bool:
        """Whether it multiplies bfloat16 by itself."""
        return bool(self.flags & {"amx_bf16", "avx512_bf16"})

    def __str__(self) -> str:
        vectors = self.vectors or "no AVX2"
        if not self.int8:
            return (
                f"{self.name or 'unknown processor'}: {vectors}, no VNNI: INT8 costs more instructions than it should"
            )
        what = next(what for name, what in INT8.values() if name == self.int8)
        return f"{self.name or 'unknown processor'}: {vectors}, {self.int8}: {what}"


def read(path: Path = CPUINFO) -> Cpu:
    """Return the processor that Linux describes; a nameless one without flags where it describes none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Cpu("", frozenset())
    entries = dict(reversed([_entry(line) for line in text.splitlines() if ":" in line]))
    return Cpu(entries.get("model name", ""), frozenset(entries.get("flags", "").split()))


def _entry(line: str) -> tuple[str, str]:
    name, _colon, value = line.partition(":")
    return name.strip(), value.strip()
