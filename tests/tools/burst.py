"""Sends frames as fast as the kernel takes them, and counts those that it took.

    burst.py INTERFACE FRAMES

Prints two numbers: the frames that the kernel took, and those of them that the interface dropped
instead of sending them.
"""

import socket
import sys

# Local experimental EtherType 1 of IEEE 802: no host answers it.
FRAME = bytes.fromhex("020000007702 020000007701 88b5") + bytes(46)


def dropped(interface):
    """The column of packets dropped while sending."""
    with open("/proc/thread-self/net/dev") as table:
        rows = dict(line.strip().rsplit(":", 1) for line in table if ":" in line)
    return int(rows[interface].split()[11])


def main(interface, frames):
    sender = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sender.bind((interface, 0))
    before = dropped(interface)
    taken = 0
    for _ in range(frames):
        try:
            sender.send(FRAME)
            taken += 1
        except OSError:  # ENOBUFS: it was not taken.
            pass
    print(taken, dropped(interface) - before)


main(sys.argv[1], int(sys.argv[2]))
