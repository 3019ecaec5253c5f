"""The filter's program, executed by a small BPF machine of the test's own."""

import errno
import struct

import pytest

from batchlab import seccomp

X86, ARM = 0xC000003E, 0xC00000B7


def verdict(program: bytes, architecture: int, number: int, argument: int = 0) -> int:
    """Run classic BPF over the data of one system call, and return what it says."""
    data = struct.pack("=iIQ6Q", number, architecture, 0, argument, 0, 0, 0, 0, 0)
    steps = list(struct.iter_unpack("=HBBI", program))
    held = place = 0
    while True:
        code, yes, no, value = steps[place]
        place += 1
        if code == seccomp.LOAD:
            (held,) = struct.unpack_from("=I", data, value)
        elif code == seccomp.RETURN:
            return int(value)
        else:
            met = {
                seccomp.EQUAL: held == value,
                seccomp.AT_LEAST: held >= value,
                seccomp.ANY_BIT: bool(held & value),
            }[code]
            place += yes if met else no


@pytest.mark.parametrize(("machine", "architecture"), [("x86_64", X86), ("aarch64", ARM)])
def test_what_is_refused_and_what_is_not(machine: str, architecture: int) -> None:
    program = seccomp.program(machine)
    _, clone, refused = seccomp.TABLES[machine]
    for number in (*refused, *seccomp.COMMON):
        assert verdict(program, architecture, number) == seccomp.REFUSE | errno.EPERM
    assert verdict(program, architecture, clone, 0x10000000 | 17) == seccomp.REFUSE | errno.EPERM
    assert verdict(program, architecture, clone, 17) == seccomp.ALLOW
    assert verdict(program, architecture, 435) == seccomp.REFUSE | errno.ENOSYS
    for number in set(range(300)) - set(refused) - {clone}:
        assert verdict(program, architecture, number) == seccomp.ALLOW


def test_another_architecture_ends_the_process() -> None:
    assert verdict(seccomp.program("x86_64"), ARM, 1) == seccomp.KILL
    assert verdict(seccomp.program("x86_64"), X86, 0x40000000 + 1) == seccomp.REFUSE | errno.EPERM


def test_an_unknown_machine_has_no_filter() -> None:
    assert seccomp.program("sparc") == b""
