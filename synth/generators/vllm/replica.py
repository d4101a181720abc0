"""A Ray actor that keeps one vLLM server on its node."""

from __future__ import annotations

import socket
from dataclasses import replace
from pathlib import Path
from typing import Final

from infra.errors import RunFailed, UsageError
from synth.generators.settings import GeneratorSettings, Serving
from synth.generators.vllm.command import LOOPBACK, Place, is_folder, server_arguments, server_environment
from synth.generators.vllm.keeper import KeptServer

MADE_INTERPRETER: Final = Path(__file__).resolve().parents[3] / ".venv-vllm" / "bin" / "python"


class Replica:
    """One server on one port for as long as the actor lives; its methods may be called side by side."""

    def __init__(self, generator: GeneratorSettings, serving: Serving, place: Place) -> None:
        """`place` says all but what only this node knows: interpreter, port, and its address unless on the loopback.

        Nothing is started yet.
        """
        host = place.host if place.host == LOOPBACK else _node_address()
        self.place = replace(place, python=interpreter(serving), host=host, port=_free_port(host))
        self.root = f"http://{host}:{self.place.port}"
        self._server = KeptServer(
            server_arguments(generator, serving, self.place),
            server_environment(self.place),
            f"{self.root}/health",
            serving.start_s,
        )

    def start(self) -> str:
        """The base URL of the server's API, once it is ready; starts it unless it is kept already.

        Raises UsageError when the interpreter or the model's folder is not on this node, RunFailed when the
        server does not become ready.
        """
        if not Path(self.place.python).is_file():
            wanted = "run `bash infra/dev.sh vllm` on every node, or set serving.python"
            raise UsageError(f"no interpreter with vLLM at {self.place.python}: {wanted}")
        if is_folder(self.place.model) and not Path(self.place.model).is_dir():
            raise UsageError(f"no model folder at {self.place.model} on {socket.gethostname()}")
        self._server.start()
        return f"{self.root}/v1"

    def url(self) -> str:
        """The base URL of the server's API; raises RunFailed when it is not kept (not yet, or given up)."""
        if not self._server.is_kept():
            raise RunFailed(f"the vLLM server at {self.root} is not running and will not be restarted")
        return f"{self.root}/v1"

    def stop(self) -> None:
        """End the server; returns when all its processes have ended."""
        self._server.stop()


def interpreter(serving: Serving) -> str:
    """The interpreter that the recipe names, or the one that `infra/dev.sh vllm` makes."""
    return serving.python or str(MADE_INTERPRETER)


def _node_address() -> str:
    import ray

    return str(ray.util.get_node_ip_address())


def _free_port(host: str) -> int:
    with socket.create_server((host, 0)) as free:
        return int(free.getsockname()[1])
