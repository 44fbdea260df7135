"""A broker that is away, or that accepts and says nothing: a gate in front of a real one."""

import contextlib
import socket
import threading
import time


class Gate:
    """A loopback port that leads to another one, as long as it is open.

    Args:
        host: where it leads.
        port: its port.
    """

    def __init__(self, host: str, port: int) -> None:
        self.target = (host, port)
        self.mode = "open"
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._pairs: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def open(self) -> None:
        """Let everything through."""
        self._set("open")

    def stop(self) -> None:
        """Refuse whoever knocks, and hang up on who is inside."""
        self._set("stopped")

    def hole(self) -> None:
        """Accept, swallow, and never say a word; who is inside hears nothing either."""
        self._set("hole")

    def close(self) -> None:
        self._set("stopped")
        self._listener.close()

    def _set(self, mode: str) -> None:
        self.mode = mode
        if mode != "hole":
            for side in self._pairs:
                with contextlib.suppress(OSError):
                    # Closing alone does not wake the thread that reads, so nobody would hear.
                    side.shutdown(socket.SHUT_RDWR)
            self._pairs.clear()

    def _accept(self) -> None:
        while True:
            try:
                inside, _ = self._listener.accept()
            except OSError:
                return
            if self.mode == "stopped":
                inside.close()
                continue
            self._pairs.append(inside)
            threading.Thread(target=self._serve, args=(inside,), daemon=True).start()

    def _serve(self, inside: socket.socket) -> None:
        while self.mode == "hole":
            time.sleep(0.05)
        try:
            outside = socket.create_connection(self.target, timeout=5)
            outside.settimeout(None)
        except OSError:
            inside.close()
            return
        self._pairs.append(outside)
        for source, sink in ((inside, outside), (outside, inside)):
            threading.Thread(target=self._pass, args=(source, sink), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                while self.mode == "hole":
                    time.sleep(0.05)
                sink.sendall(data)
        for side in (source, sink):
            with contextlib.suppress(OSError):
                side.close()
