"""A seccomp filter: kernel calls that no lab needs and that attacks like, refused before the kernel looks at them.

Above all no new user namespace: inside one, a program could mount memory that no limit counts. The format is classic
BPF (Linux, Documentation/userspace-api/seccomp_filter.rst); numbers are those of each architecture's call table.
"""

import errno
import platform
import struct

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER_AT, ARCHITECTURE_AT, FIRST_ARGUMENT_AT = 0, 4, 16
ALLOW, REFUSE, KILL = 0x7FFF0000, 0x00050000, 0x80000000
CLONE_NEWUSER = 0x10000000
X32 = 0x40000000
CLONE3 = 435
# Equal everywhere: io_uring_setup, move_mount, fsopen, fsmount.
COMMON = (425, 429, 430, 432)
# Audit architecture, clone, and: unshare, setns, mount, umount2, pivot_root, ptrace, bpf, perf_event_open, userfaultfd,
# keyctl, add_key, request_key, open_by_handle_at.
TABLES = {
    "x86_64": (0xC000003E, 56, (272, 308, 165, 166, 155, 101, 321, 298, 323, 250, 248, 249, 304)),
    "aarch64": (0xC00000B7, 220, (97, 268, 40, 39, 41, 117, 280, 241, 282, 219, 217, 218, 265)),
}


def program(machine: str = "") -> bytes:
    """Return the filter as bubblewrap reads it; empty on an architecture that the tables lack.

    Args:
        machine: as `platform.machine` names it, default this one.
    """
    table = TABLES.get(machine or platform.machine())
    if table is None:
        return b""
    architecture, clone, refused = table
    steps = [(LOAD, 0, 0, ARCHITECTURE_AT), (EQUAL, 1, 0, architecture), (RETURN, 0, 0, KILL)]
    steps += [(LOAD, 0, 0, NUMBER_AT), (AT_LEAST, 0, 1, X32), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    for number in (*refused, *COMMON):
        steps += [(EQUAL, 0, 1, number), (RETURN, 0, 0, REFUSE | errno.EPERM)]
    # Its flags are behind a pointer, where a filter cannot look; the C library falls back to clone.
    steps += [(EQUAL, 0, 1, CLONE3), (RETURN, 0, 0, REFUSE | errno.ENOSYS)]
    steps += [(EQUAL, 0, 3, clone), (LOAD, 0, 0, FIRST_ARGUMENT_AT)]
    steps += [(ANY_BIT, 0, 1, CLONE_NEWUSER), (RETURN, 0, 0, REFUSE | errno.EPERM), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("=HBBI", *step) for step in steps)
