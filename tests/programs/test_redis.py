# SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
"""redis: values of every size read back and compared, pipelines, publish/subscribe; then redis-benchmark."""
import asyncio
import hashlib
import random
import re

from driver import redis
from driver.world import Failure

NEEDS = redis.NEEDS
EXPECT = {"observed": "spliced", "eager": "spliced"}
CLIENTS = 10
ROUNDS = 200


class Client:
    async def open(self, port):
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port, limit=1 << 24)
        return self

    def send(self, *words):
        words = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        self.writer.write(b"*%d\r\n" % len(words) + b"".join(b"$%d\r\n%s\r\n" % (len(word), word) for word in words))

    async def reply(self):
        line = await self.reader.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return None if rest == b"-1" else (await self.reader.readexactly(int(rest) + 2))[:-2]
        if kind == b"*":
            return [await self.reply() for _ in range(int(rest))]
        if kind not in b"+:" or not line.endswith(b"\r\n"):
            raise Failure(f"redis answered {line!r}")
        return rest

    async def call(self, *words):
        self.send(*words)
        await self.writer.drain()
        return await self.reply()


async def values(port, seed):
    dice = random.Random(seed)
    client = await Client().open(port)
    for n in range(ROUNDS):
        value = dice.randbytes(int(2 ** dice.uniform(0, 18)))
        await client.call("SET", f"{seed}:{n}", value)
        if await client.call("GET", f"{seed}:{n}") != value:
            raise Failure(f"GET {seed}:{n}: not the {len(value)} bytes that were SET")
    seen = hashlib.sha256()
    for n in range(ROUNDS):  # all at once: replies queue up at our end
        client.send("GET", f"{seed}:{n}")
        client.send("INCR", f"{seed}:count")
    for n in range(ROUNDS):
        seen.update(await client.reply())
        if await client.reply() != b"%d" % (n + 1):
            raise Failure("the replies of a pipeline are out of order")
    client.writer.close()
    return seen.hexdigest()


async def messages(port):
    subscriber, publisher = await Client().open(port), await Client().open(port)
    await subscriber.call("SUBSCRIBE", "news")

    async def publish():
        return [int(await publisher.call("PUBLISH", "news", n)) for n in range(1000)]

    async def hear():
        return [await subscriber.reply() for _ in range(1000)]

    heard, receivers = await asyncio.gather(hear(), publish())
    if [int(message[2]) for message in heard] != list(range(1000)) or set(receivers) != {1}:
        raise Failure("what was published is not what was heard")
    for client in subscriber, publisher:
        client.writer.close()


async def scenario(port):
    seen = await asyncio.gather(*(values(port, seed) for seed in range(CLIENTS)))
    await messages(port)
    return seen


def run(t):
    port = t.port()
    redis.start(t, port)
    seen = asyncio.run(scenario(port))
    for options in ("-n", 60000), ("-n", 300000, "-P", 16), ("-n", 5000, "-d", 50000):
        out = t.run("redis-benchmark", "-p", port, "-t", "set,get", "-c", 50, "-q", *options)
        t.say(f"redis-benchmark {' '.join(map(str, options))}: " + ", ".join(re.findall(r"[SG]ET: [0-9.]+", out)))
    return seen
