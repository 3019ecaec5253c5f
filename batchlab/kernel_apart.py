"""A learner's kernel in a network of its own: its Triton answers at 127.0.0.1, and no other learner can reach it.

An embedded Triton asks nobody for a password. In a room, one machine for many, its loopback would be everybody's. So a
kernel enters a new network before it starts (Linux namespaces, no rights needed where they are switched on); what it
starts lives there with it. Jupyter speaks to the kernel through sockets in the learner's own folder instead of ports.
"""

import ctypes
import fcntl
import os
import socket
import struct
import sys
from pathlib import Path

CLONE_NEWUSER, CLONE_NEWNET = 0x10000000, 0x40000000
SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP = 0x8913, 0x8914, 0x1


def enter() -> None:
    """Move this process, which must have one thread, into a new network whose only device is its loopback.

    Raises:
        OSError: the kernel of this system does not let users make namespaces.
    """
    uid, gid = os.geteuid(), os.getegid()
    if ctypes.CDLL(None, use_errno=True).unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{os.strerror(number)}: user namespaces are switched off here")
    # Files keep their owner: the learner is the same learner inside.
    Path("/proc/self/setgroups").write_text("deny")
    Path("/proc/self/uid_map").write_text(f"{uid} {uid} 1")
    Path("/proc/self/gid_map").write_text(f"{gid} {gid} 1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        request = struct.pack("16sh14x", b"lo", 0)
        _, flags = struct.unpack("16sh14x", fcntl.ioctl(control, SIOCGIFFLAGS, request))
        fcntl.ioctl(control, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | IFF_UP))


def main() -> None:
    """Enter the network and become the kernel; the arguments are ipykernel's."""
    try:
        enter()
    except OSError as error:
        sys.exit(f"Error: this kernel cannot have a network of its own ({error}). Tell the instructor.")
    os.execv(sys.executable, [sys.executable, "-m", "ipykernel_launcher", *sys.argv[1:]])


if __name__ == "__main__":
    main()
