"""A web server for tests that can be absent, in trouble, or serve."""

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Server:
    """Serves `files` at `url` once started; the first `trouble` requests are answered 503."""

    files: dict[str, bytes]
    trouble: int = 0
    port: int = 0
    seen: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    @property
    def url(self) -> str:
        """Where it is, or will be."""
        return f"http://127.0.0.1:{self.port}"

    def answer(self, path: str) -> tuple[int, bytes]:
        """Status and body for one request."""
        self.seen[path] += 1
        if self.trouble:
            self.trouble -= 1
            return 503, b""
        if path.startswith("/secret"):
            return 403, b""
        return (200, self.files[path]) if path in self.files else (404, b"")

    @contextmanager
    def serving(self, after_s: float = 0.0) -> Iterator[None]:
        """Serve for the length of the block, beginning a while into it."""
        server: list[ThreadingHTTPServer] = []

        def start() -> None:
            server.append(ThreadingHTTPServer(("127.0.0.1", self.port), self._handler()))
            server[0].serve_forever(poll_interval=0.05)

        timer = threading.Timer(after_s, start)
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            if server:
                server[0].shutdown()
                server[0].server_close()
            timer.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        answer = self.answer

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                status, body = answer(self.path)
                self.send_response(status)
                self.send_header("Content-Type", "video/mp4")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler
