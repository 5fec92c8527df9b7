"""A bad wire between two network interfaces: loses, reorders, duplicates and corrupts frames.

Does what `tc netem` does, on kernels built without it: copies every frame that arrives on one
interface to the other, in both directions, with the given chances in percent. A corrupt frame has
one bit flipped behind its Ethernet header. The same seed decides the same for the same sequence
of frames.

With a mirror, every frame that leaves the wire is copied to a third interface, but for the given
percentage of TCP segments without SYN, FIN or RST that carry data: what a monitor misses.

    wire.py LEFT RIGHT --loss 1 --reorder 5 --duplicate 1 --corrupt 1 --seed 7
    wire.py LEFT RIGHT --mirror MIRROR --blind 1
"""

import argparse
import random
import select
import socket
import sys

SOL_PACKET = 263
PACKET_IGNORE_OUTGOING = 23
SO_SNDBUFFORCE = 32
SO_RCVBUFFORCE = 33
ETH_P_ALL = 0x0003
BUFFER_BYTES = 64 << 20
FRAME_BYTES = 1 << 16
ETHERNET_BYTES = 14
BURST = 64
# Frames that overtake a reordered one, at most; it waits no longer than the pause, either.
OVERTAKING = 3
PAUSE_MS = 2


class Direction:
    """Carries the frames of one direction."""

    def __init__(self, source, target, mirror, chances, dice):
        self.source = source
        self.target = target
        self.mirror = mirror
        self.chances = chances
        self.dice = dice
        self.held = []  # [frames still to overtake it, frame]

    def hits(self, percent):
        return self.dice.random() * 100 < percent

    def send(self, frame):
        try:
            self.target.send(frame)
        except (BlockingIOError, OSError):
            return  # A full queue loses frames, as a wire may.
        if self.mirror and not (carries_data(frame) and self.hits(self.chances.blind)):
            self.mirror.send(frame)

    def carry(self):
        for _ in range(BURST):
            try:
                frame = self.source.recv(FRAME_BYTES)
            except BlockingIOError:
                return
            if self.hits(self.chances.loss):
                continue
            if self.hits(self.chances.corrupt):
                frame = self.corrupted(frame)
            if self.hits(self.chances.reorder):
                self.held.append([self.dice.randint(1, OVERTAKING), frame])
                continue
            self.send(frame)
            if self.hits(self.chances.duplicate):
                self.send(frame)
            self.let_go(1)

    def corrupted(self, frame):
        at = self.dice.randrange(ETHERNET_BYTES, len(frame))
        return frame[:at] + bytes([frame[at] ^ 1 << self.dice.randrange(8)]) + frame[at + 1 :]

    def let_go(self, overtaken):
        waiting = []
        for entry in self.held:
            entry[0] -= overtaken
            if entry[0] > 0:
                waiting.append(entry)
            else:
                self.send(entry[1])
        self.held = waiting


def carries_data(frame):
    """Whether a TCP segment over IP without options has data, and neither SYN, FIN nor RST."""
    ip = 20 if frame[ETHERNET_BYTES] >> 4 == 4 else 40
    tcp = frame[ETHERNET_BYTES + ip :]
    return len(tcp) > 20 and not tcp[13] & 0b111 and len(tcp) > (tcp[12] >> 4) * 4


def open_interface(name):
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    raw.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
    raw.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, BUFFER_BYTES)
    raw.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, BUFFER_BYTES)
    raw.bind((name, 0))
    raw.setblocking(False)
    return raw


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("left")
    parser.add_argument("right")
    parser.add_argument("--loss", type=float, default=0)
    parser.add_argument("--reorder", type=float, default=0)
    parser.add_argument("--duplicate", type=float, default=0)
    parser.add_argument("--corrupt", type=float, default=0)
    parser.add_argument("--mirror")
    parser.add_argument("--blind", type=float, default=0)
    parser.add_argument("--seed", type=int, default=1)
    chances = parser.parse_args()
    left, right = open_interface(chances.left), open_interface(chances.right)
    mirror = open_interface(chances.mirror) if chances.mirror else None
    if mirror:
        mirror.setblocking(True)  # What the monitor misses is chosen, not left to a full queue.
    directions = {
        left.fileno(): Direction(left, right, mirror, chances, random.Random(chances.seed)),
        right.fileno(): Direction(right, left, mirror, chances, random.Random(chances.seed + 1)),
    }
    poll = select.poll()
    for number in directions:
        poll.register(number, select.POLLIN)
    print("ready", flush=True)
    while True:
        waiting = any(direction.held for direction in directions.values())
        ready = poll.poll(PAUSE_MS if waiting else None)
        for number, _ in ready:
            directions[number].carry()
        if not ready:
            for direction in directions.values():
                direction.let_go(OVERTAKING)


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit(0)
