# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""memcached with four threads: the text protocol from many connections at once, every value verified."""
import asyncio
import hashlib
import random

from driver.world import Failure

NEEDS = {"memcached": "memcached"}
EXPECT = {"observed": "spliced", "eager": "spliced"}
CLIENTS = 30
ROUNDS = 150


class Client:
    async def open(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        return self

    async def line(self, *parts):
        """Sends the parts in one write; one line of answer."""
        self.writer.write(b"".join(p if isinstance(p, bytes) else p.encode() for p in parts))
        await self.writer.drain()
        return (await self.reader.readline()).decode().rstrip("\r\n")

    async def values(self, keys):
        """One get of several keys: {key: value}."""
        got = {}
        answer = await self.line(f"get {' '.join(keys)}\r\n")
        while answer != "END":
            _, key, _, size = answer.split()
            got[key] = (await self.reader.readexactly(int(size) + 2))[:-2]
            answer = (await self.reader.readline()).decode().rstrip("\r\n")
        return got


def expect(answer, wanted):
    if answer != wanted:
        raise Failure(f"memcached answered {answer!r} instead of {wanted!r}")


async def traffic(port, seed):
    dice = random.Random(seed)
    client = await Client().open(port)
    mine, seen = {}, hashlib.sha256()
    for n in range(ROUNDS):
        key = f"{seed}:{dice.randrange(20)}"
        value = dice.randbytes(int(2 ** dice.uniform(0, 17)))
        expect(await client.line(f"set {key} 0 0 {len(value)}\r\n", value, b"\r\n"), "STORED")
        mine[key] = value
        got = await client.values(dice.sample(sorted(mine), min(len(mine), 5)))
        for key in got:
            if got[key] != mine[key]:
                raise Failure(f"{key}: not the {len(mine[key])} bytes that were stored")
            seen.update(got[key])
    expect(await client.line(f"set {seed}:n 0 0 1\r\n0\r\n"), "STORED")
    for n in range(1, 200):
        expect(await client.line(f"incr {seed}:n 1\r\n"), str(n))
    expect(await client.line(f"delete {seed}:n\r\n"), "DELETED")
    client.writer.close()
    return seen.hexdigest()


async def scenario(port):
    return await asyncio.gather(*(traffic(port, seed) for seed in range(CLIENTS)))


def run(t):
    port = t.port()
    # room for everything: an evicted value would be a difference of its own
    t.start("memcached", "-l", "127.0.0.1", "-p", port, "-U", 0, "-t", 4, "-m", 512, port=port)
    return asyncio.run(scenario(port))
