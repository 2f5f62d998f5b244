"""The traffic of an incident: customers who look at their pages, and a script that does not give up."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

RATE = 50
"""Requests a second of all customers."""
CUSTOMERS = [*range(4700, 4720), *range(5100, 5120)]
PAGES = ("orders", "invoices", "profile")
SCRIPT = "127.0.1.99"
"""The address of the script."""
TASKS, GIVES_UP = 12, 0.8
"""How many requests it has under way, and after how many seconds it asks anew."""


async def ask(port: int, source: str, target: str, within: float = 20.0) -> int:
    """Ask on a new connection from an address; the status, 0 for none."""
    writer = None
    try:
        async with asyncio.timeout(within):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            writer.write(f"GET {target} HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n".encode())
            head = await reader.read(65536)
            return int(head.split(b" ")[1]) if head else 0
    except (OSError, TimeoutError):
        return 0
    finally:
        if writer is not None:
            writer.close()


async def customers(ports: list[int], seconds: float, seed: int) -> None:
    """The same requests at each proxy, at a fixed rate."""
    lot, asked = random.Random(seed), set()
    for _ in range(int(seconds * RATE)):
        customer, page = lot.choice(CUSTOMERS), lot.choice(PAGES)
        source = f"127.0.1.{CUSTOMERS.index(customer) + 1}"
        for port in ports:
            task = asyncio.create_task(ask(port, source, f"/customers/{customer}/{page}"))
            asked.add(task)
            task.add_done_callback(asked.discard)
        await asyncio.sleep(1 / RATE)
    await asyncio.gather(*asked)


async def script(ports: list[int], seconds: float) -> None:
    """A report that takes longer than its script waits, which then asks again at once."""

    async def again(port: int) -> None:
        while True:
            if await ask(port, SCRIPT, "/reports/all?year=2026", GIVES_UP) not in (0, 200):
                await asyncio.sleep(0.02)

    tasks = [asyncio.create_task(again(port)) for port in ports for _ in range(TASKS)]
    await asyncio.sleep(seconds)
    for task in tasks:
        task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(*tasks)
