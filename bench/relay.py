"""What the relay adds to a message's way: the time to an answer with and without it, side by side in one run.

    python bench/relay.py [ROUNDS]

Service, relay and client are three processes on loopback, as in use. Each round sends one message straight and one
through the relay, in turns, and waits for its echo; so what is added is for both directions. The relay records.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import sys
import tempfile
from base64 import b64encode
from datetime import datetime, timezone
from multiprocessing.connection import Connection
from pathlib import Path
from statistics import median, quantiles
from time import perf_counter

from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve

from replay.own_process import switch_soon
from replay.relay.relay import Relay, Settings
from replay.relay.upstream import Upstream

APPEND = b64encode(bytes(range(256)) * 19)[:6400].decode()  # 100 ms of PCM at 24 kHz
FRAMES = {
    "a short event": '{"type":"response.create"}',
    "100 ms of sound": f'{{"type":"input_audio_buffer.append","audio":"{APPEND}"}}',
}


def service(told: Connection) -> None:
    async def echo(connection: ServerConnection) -> None:
        async for message in connection:
            await connection.send(message)

    async def run() -> None:
        async with serve(echo, "127.0.0.1", 0, compression=None) as server:
            told.send(server.sockets[0].getsockname()[1])
            await asyncio.get_running_loop().run_in_executor(None, told.recv)

    asyncio.run(run())


def relay(told: Connection, url: str, folder: str) -> None:
    switch_soon()

    async def run() -> None:
        settings = Settings(Path(folder) / "a.tape", datetime(2026, 7, 1, tzinfo=timezone.utc), "bench")
        between = Relay(Upstream(url), settings, print)
        await between.start()
        told.send(between.port)
        await asyncio.get_running_loop().run_in_executor(None, told.recv)
        await between.stop()

    asyncio.run(run())


async def there_and_back(ws: ClientConnection, frame: str) -> float:
    begin = perf_counter()
    await ws.send(frame)
    await ws.recv()
    return perf_counter() - begin


async def measure(straight_url: str, relayed_url: str, rounds: int) -> None:
    async with connect(straight_url, compression=None) as straight, connect(relayed_url, compression=None) as relayed:
        for name, frame in FRAMES.items():
            times: tuple[list[float], list[float]] = ([], [])
            for number in range(rounds + 50):
                pair = await there_and_back(straight, frame), await there_and_back(relayed, frame)
                if number >= 50:  # the first ones warm up
                    times[0].append(pair[0] * 1e3)
                    times[1].append(pair[1] * 1e3)
            added = [through - direct for direct, through in zip(*times, strict=True)]
            print(
                f"{name:16} there and back: straight {median(times[0]):.3f} ms, relayed {median(times[1]):.3f} ms; "
                f"added {median(added):.3f} ms (median), {quantiles(added, n=100)[98]:.3f} ms (99 of 100)"
            )


def main() -> None:
    rounds = int(sys.argv[1]) if sys.argv[1:] else 2000
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        at_service, in_service = spawn.Pipe()
        first = spawn.Process(target=service, args=(in_service,))
        first.start()
        url = f"ws://127.0.0.1:{at_service.recv()}/v1/realtime"
        at_relay, in_relay = spawn.Pipe()
        second = spawn.Process(target=relay, args=(in_relay, url, folder))
        second.start()
        relayed = f"ws://127.0.0.1:{at_relay.recv()}/v1/realtime"
        try:
            asyncio.run(measure(url, relayed, rounds))
        finally:
            for end, process in ((at_relay, second), (at_service, first)):
                end.send(None)
                process.join()


if __name__ == "__main__":
    main()
