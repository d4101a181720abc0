"""An S3 endpoint on the loopback for tests: moto's server, which the tests may see and have misbehave."""

import os
import signal
import threading
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import s3fs
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server

KEY = "testing"  # the one access key that is let in
_REFUSED = b"<Error><Code>InvalidAccessKeyId</Code><Message>The key you provided does not exist.</Message></Error>"


class _Quiet(MotoRequestHandler):
    def log_request(self, *_: object) -> None:
        """Nothing is printed: requests are counted instead."""


@dataclass
class S3Server:
    """Serves for the length of a `with` block, and is what `s3://` means to this process and its children.

    `lose_answers`: so many PUTs are done and then answered as if the server had failed.
    `conditions`: whether `If-None-Match` is heeded, which some stores do not.
    """

    lose_answers: int = 0
    conditions: bool = True
    requests: list[str] = field(default_factory=list)  # as METHOD /bucket/key?query
    _victim: int = 0
    _writes_left: int = 0
    _watched: tuple[str, ...] = ()

    def __enter__(self) -> "S3Server":
        self._one_at_a_time = threading.Lock()
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._server = make_server("127.0.0.1", 0, self._answer, threaded=True, request_handler=_Quiet)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        variables = {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{self._server.server_port}",
            "AWS_ACCESS_KEY_ID": KEY,
            "AWS_SECRET_ACCESS_KEY": KEY,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",  # nobody else is asked for credentials
        }
        self._before = {name: os.environ.get(name) for name in variables}
        os.environ.update(variables)
        return self

    def __exit__(self, *_: object) -> None:
        for name, value in self._before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})
        s3fs.S3FileSystem.clear_instance_cache()  # they know this server's port
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def bucket(self) -> str:
        """The URL of a new bucket."""
        name = f"uvr-{uuid.uuid4().hex}"
        s3fs.S3FileSystem().mkdir(name)
        return f"s3://{name}"

    def kill(self, process: int, nth: int, folders: tuple[str, ...]) -> None:
        """Kill a process instead of doing the nth write to some folders of a lake from now on."""
        self._victim, self._writes_left, self._watched = process, nth, folders

    def listings(self) -> list[str]:
        """Those requests that asked what there is."""
        return [request for request in self.requests if "list-type=2" in request]

    def _answer(self, environ: dict[str, Any], start: Callable[..., Any]) -> Iterable[bytes]:
        method = environ["REQUEST_METHOD"]
        self.requests.append(f"{method} {environ['PATH_INFO']}?{environ['QUERY_STRING']}")
        if f"Credential={KEY}/" not in environ.get("HTTP_AUTHORIZATION", ""):
            start("403 Forbidden", [("Content-Type", "application/xml")])
            return [_REFUSED]
        is_write = method in ("PUT", "POST", "DELETE")
        if self._writes_left and is_write and any(f"/{name}/" in environ["PATH_INFO"] for name in self._watched):
            self._writes_left -= 1
            if not self._writes_left:
                os.kill(self._victim, signal.SIGKILL)
                start("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
        if not self.conditions:
            environ.pop("HTTP_IF_NONE_MATCH", None)
        with self._one_at_a_time:  # moto looks whether a name is free and then writes: in S3 that is one step
            if method == "PUT" and self.lose_answers:
                self.lose_answers -= 1
                list(self._moto(environ, lambda *_: None))
                start("503 Service Unavailable", [("Content-Length", "0")])
                return [b""]
            answer: Iterable[bytes] = self._moto(environ, start)
            return answer
