# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""A Python asyncio echo: many connections, every message size, half-close; every byte verified."""
import asyncio
import hashlib
import random

from driver.world import Failure

NEEDS = {}
EXPECT = {"observed": "spliced", "eager": "spliced"}
CONNECTIONS = 20
MESSAGES = 150


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.write_eof()  # the client half-closed: everything comes back, then our end of the stream
    writer.close()


async def exchange(port, seed):
    """Request by request, then a stream with reads and writes overlapping, then to the end of the stream."""
    dice = random.Random(seed)
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    seen = hashlib.sha256()
    for _ in range(MESSAGES):
        message = dice.randbytes(int(2 ** dice.uniform(0, 17)))
        writer.write(message)
        answer = await reader.readexactly(len(message))
        if answer != message:
            raise Failure(f"connection {seed}: {len(message)} bytes came back changed")
        seen.update(answer)
    stream = dice.randbytes(4 << 20)

    async def send():
        for at in range(0, len(stream), 10000):
            writer.write(stream[at:at + 10000])
            await writer.drain()
        writer.write_eof()

    _, answer = await asyncio.gather(send(), reader.read(-1))
    if answer != stream:
        raise Failure(f"connection {seed}: the stream of {len(stream)} bytes came back changed ({len(answer)})")
    writer.close()
    return seen.hexdigest()


async def scenario(port):
    server = await asyncio.start_server(echo, "127.0.0.1", port)
    async with server:
        return await asyncio.gather(*(exchange(port, seed) for seed in range(CONNECTIONS)))


def run(t):
    return asyncio.run(scenario(t.port()))
