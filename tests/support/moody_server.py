"""A server that stands in for vLLM's: slow to start, with a child of its own, and in the mood it is told.

`python moody_server.py FOLDER MOOD [...] --port PORT [...]`; moods: `fine`, `broken` (ends while it starts),
`unready` (answers 503), `deaf` (from the second question for its health on, in its first life only), or
`mortal` (ends when it has answered). It writes the pids of its processes into `FOLDER/LIFE.pids`, and its
child outlives it unless somebody ends it.
"""

import os
import subprocess
import sys
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path


def main(folder: Path, mood: str, port: int) -> None:
    """Serve until killed."""
    life = len(list(folder.glob("*.pids")))
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    half_written = folder / "pids"
    half_written.write_text(f"{os.getpid()} {child.pid}")
    half_written.rename(folder / f"{life}.pids")
    if mood == "broken":
        raise ValueError("no such weights")
    asked = 0

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            nonlocal asked
            asked += 1
            if mood == "deaf" and asked > 1 and life == 0:
                time.sleep(600)
            self.send_response(503 if mood == "unready" else 200)
            self.end_headers()
            if mood == "mortal":
                self.wfile.flush()
                os._exit(3)

        def log_message(self, format: str, *args: object) -> None:
            pass

    HTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[sys.argv.index("--port") + 1]))
