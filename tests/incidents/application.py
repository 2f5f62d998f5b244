"""One of the three servers behind a proxy: ``python -m tests.incidents.application PORT NUMBER INCIDENT``."""

from __future__ import annotations

import asyncio
import random
import sys

CAPACITY = 6
"""Requests that a server works on at a time in a retry storm; it closes the connections of more."""
SECONDS = {"ordinary": 0.004, "long": 0.3, "slow": 1.4, "report": 1.5}


class Application:
    """One server."""

    def __init__(self, number: int, incident: str) -> None:
        self._number = number
        self._incident = incident
        self._busy = 0
        self._lot = random.Random(number)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                if not await self._answer(head.split(b" ")[1].decode(), writer):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def _answer(self, target: str, writer: asyncio.StreamWriter) -> bool:
        if self._incident == "retry-storm" and self._busy >= CAPACITY:
            return False
        self._busy += 1
        try:
            await asyncio.sleep(self._takes(target))
        finally:
            self._busy -= 1
        body = f"{self._number} {target}\n".encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        return True

    def _takes(self, target: str) -> float:
        """Seconds that the work on a request takes."""
        if self._incident == "slow-path" and self._number == 2 and target.startswith("/customers/4711/"):
            return SECONDS["slow"]
        if target.startswith("/reports/"):
            return SECONDS["report"]
        if self._incident == "reload" and self._lot.random() < 0.05:
            return SECONDS["long"]
        return SECONDS["ordinary"] * self._lot.uniform(0.5, 2)


async def main(port: int, number: int, incident: str) -> None:
    """Serve until told to end."""
    server = await asyncio.start_server(Application(number, incident).serve, "127.0.0.1", port)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
