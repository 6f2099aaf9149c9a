"""A line between a client and a server that can go silent: what either sends is taken, and goes nowhere."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

SIZE = 65_536


@dataclass
class Line:
    """Everybody who connects to its `port` on 127.0.0.1 talks to the server, until it `is_silent`."""

    server: tuple[str, int]
    listener: socket.socket
    is_silent: bool = False
    sockets: list[socket.socket] = field(default_factory=list)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def serve(self) -> None:
        """Take connections until the listener closes."""
        with suppress(OSError):
            while True:
                client, _ = self.listener.accept()
                server = socket.create_connection(self.server)
                self.sockets += (client, server)
                for source, target in ((client, server), (server, client)):
                    threading.Thread(target=self._carry, args=(source, target), daemon=True).start()

    def close(self) -> None:
        # a close alone would not wake the thread that accepts
        for each in (self.listener, *self.sockets):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _carry(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(SIZE):
                if not self.is_silent:
                    target.sendall(data)


@contextmanager
def silent_line(host: str, port: int) -> Iterator[Line]:
    """A line to the server at this address, for the length of the block."""
    line = Line((host, port), socket.create_server(("127.0.0.1", 0)))
    serving = threading.Thread(target=line.serve, daemon=True)
    serving.start()
    try:
        yield line
    finally:
        line.close()
        serving.join()
