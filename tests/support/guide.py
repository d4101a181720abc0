"""The commands of the README's guide "Run it nightly", run as they stand there."""

import os
import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[2] / "README.md"


def guide_commands() -> list[str]:
    """Every line of the guide's code blocks, in order."""
    section = README.read_text().split("## Run it nightly")[1].split("\n## ")[0]
    blocks = re.findall(r"```bash\n(.*?)```", section, flags=re.S)
    return [line for block in blocks for line in block.splitlines()]


class Guide:
    """Runs commands of the guide and remembers which; what a reader sets, the test sets instead."""

    def __init__(self, **variables: str) -> None:
        commands = Path(sys.executable).parent
        self.environment = {**os.environ, **variables, "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}"}
        self.done: set[str] = set()

    def _line(self, start: str) -> str:
        [line] = [line for line in guide_commands() if line.startswith(start)]
        self.done.add(line)
        return line

    def words(self, start: str) -> list[str]:
        """The words of the one command that starts with `start`, with variables filled in."""
        line = self._line(start)
        done = subprocess.run(
            ["bash", "-c", f"printf '%s\\0' {line}"], env=self.environment, capture_output=True, text=True, check=True
        )
        return done.stdout.split("\0")[:-1]

    def run(self, start: str, **variables: str) -> str:
        """Run the one command that starts with `start`; returns what it printed."""
        environment = {**self.environment, **variables}
        done = subprocess.run(["bash", "-c", self._line(start)], env=environment, capture_output=True, text=True)
        assert done.returncode == 0, (start, done.stdout + done.stderr)
        return done.stdout

    def not_run(self) -> list[str]:
        """Commands of the guide that were not run, but for variables."""
        return [line for line in guide_commands() if line not in self.done and not line.startswith("export ")]
