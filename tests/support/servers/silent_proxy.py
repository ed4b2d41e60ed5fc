"""A TCP proxy before the tests' PostgreSQL that can fall silent, as a paused server does."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Self
from urllib.parse import quote, urlencode

from django.db import connection

from salient.database.embedded import SOCKET_FILE


class SilentProxy:
    """Passes bytes on; while it is held, none, although everybody stays connected.

    `release` lets what was held go on. `forget` never does: connections from before are dead
    without a word, as after a firewall that forgot them.
    """

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._passing = threading.Event()
        self._passing.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._forgotten: set[socket.socket] = set()
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> Self:
        self._start(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        # Closing alone would wake nobody who waits for it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._passing.set()
        self._threads[0].join()
        for pair in self._pairs:
            for end in pair:
                with suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for end in (self._listener, *(end for pair in self._pairs for end in pair)):
            end.close()

    @property
    def url(self) -> str:
        """The tests' database by way of this proxy."""
        known = connection.settings_dict
        parts = {"host": "127.0.0.1", "port": str(self.port), "user": known["USER"]}
        parts |= {"password": known["PASSWORD"], "sslmode": "disable"}
        given = urlencode({name: value for name, value in parts.items() if value})
        return f"postgresql:///{quote(known['NAME'])}?{given}"

    def hold(self) -> None:
        self._passing.clear()

    def release(self) -> None:
        self._passing.set()

    def forget(self) -> None:
        self._forgotten |= {end for pair in self._pairs for end in pair}

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self._passing.wait()
                server = _connect()
                self._pairs.append((client, server))
                self._start(self._pump, client, server)
                self._start(self._pump, server, client)

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(65536):
                self._passing.wait()
                if source not in self._forgotten:
                    sink.sendall(data)
            if source not in self._forgotten:
                sink.shutdown(socket.SHUT_WR)

    def _start(self, target: Callable[..., None], *args: object) -> None:
        thread = threading.Thread(target=target, args=args, daemon=True)
        self._threads.append(thread)
        thread.start()


def _connect() -> socket.socket:
    host, port = connection.settings_dict["HOST"], connection.settings_dict["PORT"]
    if host and not host.startswith("/"):
        return socket.create_connection((host, int(port or 5432)))
    server = socket.socket(socket.AF_UNIX)
    file = Path(SOCKET_FILE).with_suffix(f".{port}") if port else Path(SOCKET_FILE)
    server.connect(str(Path(host) / file))
    return server
