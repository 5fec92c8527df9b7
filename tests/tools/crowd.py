"""Many TCP connections at once, whose every byte is written down by those who send it.

    crowd.py server IPV4 IPV6 PORT FOLDER COUNT SEED
    crowd.py client IPV4 IPV6 PORT FOLDER COUNT SEED

Connection N uses IPv6 when N is odd, and ends in one of four ways, by N // 2 % 4: the client
closes first, the server closes first, the client closes its direction and then only the server
speaks, the client resets the connection while the server still speaks. Both sides speak at the
same time, sizes are drawn from 1 byte to 512 KiB. FOLDER/N.client and FOLDER/N.server hold what
either program gave to the kernel; FOLDER/N.port is the client's port.
"""

import asyncio
import fcntl
import os
import random
import socket
import struct
import sys
import termios

SIZE_MAX = 512 << 10
CHUNK = 16 << 10
WAYS = ["client_first", "server_first", "half_closed", "reset"]


class Plan:
    """What both sides know of a connection from its number."""

    def __init__(self, number, seed):
        self.number = number
        self.way = WAYS[number // 2 % len(WAYS)]
        dice = random.Random(seed * 1_000_003 + number)
        sizes = [int(2 ** dice.uniform(0, 19)), int(2 ** dice.uniform(0, 19))]
        if self.way == "reset":
            sizes[1] = SIZE_MAX
        self.data = [dice.randbytes(size) for size in sizes]


async def say(writer, data, log):
    """Gives data to the kernel, and writes down what it may have taken."""
    for at in range(0, len(data), CHUNK):
        chunk = data[at : at + CHUNK]
        log.write(chunk)
        writer.write(chunk)
        await writer.drain()


async def hear(reader, length):
    while length > 0:
        data = await reader.read(min(length, 1 << 16))
        if not data:
            return
        length -= len(data)


async def delivered(writer):
    """Waits until the peer has acknowledged everything, so that a reset cuts only what it says."""
    sock = writer.get_extra_info("socket")
    while struct.unpack("i", fcntl.ioctl(sock.fileno(), termios.TIOCOUTQ, bytes(4)))[0] > 0:
        await asyncio.sleep(0.01)


async def serve(reader, writer, folder, seed):
    try:
        head = await reader.readexactly(4)
        plan = Plan(struct.unpack("!I", head)[0], seed)
        with open(os.path.join(folder, f"{plan.number}.server"), "wb", buffering=0) as log:
            upload, download = plan.data
            if plan.way == "half_closed":
                await hear(reader, SIZE_MAX * 2)
                await say(writer, download, log)
            else:
                await asyncio.gather(say(writer, download, log), hear(reader, len(upload)))
            if plan.way == "client_first":
                await reader.read()
        writer.close()
        await writer.wait_closed()
    except (ConnectionError, asyncio.IncompleteReadError):
        writer.transport.abort()


async def connect(number, addresses, port, folder, seed):
    plan = Plan(number, seed)
    reader, writer = await asyncio.open_connection(addresses[number % 2], port)
    own = writer.get_extra_info("sockname")[1]
    with open(os.path.join(folder, f"{number}.port"), "w") as file:
        file.write(str(own))
    upload, download = plan.data
    with open(os.path.join(folder, f"{number}.client"), "wb", buffering=0) as log:
        head = struct.pack("!I", number)
        log.write(head)
        writer.write(head)
        if plan.way == "reset":
            await say(writer, upload, log)
            await delivered(writer)
            await hear(reader, SIZE_MAX // 8)
            linger = struct.pack("ii", 1, 0)
            sock = writer.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
            return
        if plan.way == "half_closed":
            await say(writer, upload, log)
            writer.write_eof()
            await hear(reader, len(download))
        else:
            await asyncio.gather(say(writer, upload, log), hear(reader, len(download)))
        if plan.way != "client_first":
            await reader.read()
    writer.close()
    await writer.wait_closed()


async def main():
    role, ipv4, ipv6, port, folder, count, seed = sys.argv[1:]
    port, count, seed = int(port), int(count), int(seed)
    addresses = [ipv4, ipv6]
    if role == "client":
        print("ready", flush=True)
        numbers = range(count)
        await asyncio.gather(*(connect(n, addresses, port, folder, seed) for n in numbers))
        return
    listeners = [
        await asyncio.start_server(
            lambda reader, writer: serve(reader, writer, folder, seed), address, port, backlog=1024
        )
        for address in addresses
    ]
    print("ready", flush=True)
    await asyncio.gather(*(listener.serve_forever() for listener in listeners))


if __name__ == "__main__":
    asyncio.run(main())
