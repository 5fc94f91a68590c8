"""Publishes to the room of bench_site from one process, straight through the channel layer.

    REDIS_PORT=6379 python3 publish.py PUBLISHERS SECONDS RATE

With RATE 0 each of PUBLISHERS tasks sends its next message when its last was
taken; otherwise RATE messages a second are begun. Prints {"sent": messages}.
"""
import asyncio
import json
import sys
import time

from bench_site import GROUP
from channels.layers import get_channel_layer

PAD = "x" * 64


async def main(publishers, seconds, rate):
    layer = get_channel_layer()
    sent = 0

    async def send():
        nonlocal sent
        await layer.group_send(GROUP, {"type": "chat.message", "message": {"t": time.time_ns(), "pad": PAD}})
        sent += 1

    async def loop():
        while time.monotonic() < end:
            await send()

    begin = time.monotonic()
    end = begin + seconds
    if rate == 0:
        await asyncio.gather(*(loop() for _ in range(publishers)))
    else:
        tasks = []
        for i in range(int(rate * seconds)):
            await asyncio.sleep(max(0, begin + i / rate - time.monotonic()))
            tasks.append(asyncio.create_task(send()))
        await asyncio.gather(*tasks)
    print(json.dumps({"sent": sent}))


asyncio.run(main(int(sys.argv[1]), float(sys.argv[2]), float(sys.argv[3])))
