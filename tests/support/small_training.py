"""Short training runs of a small model, in this process and in others; as a script, one rank of such a run."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from train.log import read_log
from train.loop import train
from train.settings import (
    BatchSettings,
    CurriculumSettings,
    InputSettings,
    LoraSettings,
    TinySettings,
    TrainSettings,
)

SMALL = TrainSettings(
    epochs=25,
    optimizer="adamw",
    learning_rate=2e-3,
    threads=1,
    rank_timeout_s=60.0,
    batches=BatchSettings(size=16),
    curriculum=CurriculumSettings(schedule="pyramid"),
    tiny=TinySettings(layers=2, vocab_size=320, hidden=64, intermediate=128, vision_hidden=32),
    tiny_inputs=InputSettings(frames=4, frame_max_pixels=56 * 56, image_max_pixels=56 * 56, max_tokens=96),
)
SHORT = replace(SMALL, epochs=3)
OFTEN = replace(SHORT, checkpoint_steps=2)  # which is no part of what decides the weights
# Five steps an epoch, with adapters whose dropout shows every number drawn, and two times mined negatives. After so few
# steps all cosines are near each other: what is nearest below the positive's is the negative.
MINING = replace(
    OFTEN,
    learning_rate=1e-2,
    lora=LoraSettings(rank=4),
    batches=BatchSettings(size=8, tasks=("T2V",), mine_negatives=True, negative_max_share=1.0),
)
# Everything that has a state besides the weights: the curriculum's plan, mined negatives, near pairs, two optimizers.
EVERYTHING = replace(
    OFTEN,
    optimizer="muon",
    batches=replace(OFTEN.batches, mine_negatives=True, negative_max_share=1.0, neighbours=3),
)
RUNS = {"often": OFTEN, "mining": MINING, "everything": EVERYTHING}


def start(release: str, out: Path, ranks: int = 1, run: str = "often") -> "subprocess.Popen[bytes]":
    """One of RUNS in a process of its own, or in several that torchrun starts."""
    launcher = [sys.executable]
    if ranks > 1:
        port = f"--master-port={_free_port()}"
        options = [f"--nproc-per-node={ranks}", "--master-addr=127.0.0.1", port, "--max-restarts=0"]
        launcher += ["-m", "torch.distributed.run", *options]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([*launcher, __file__, release, str(out), run], env=environment)


def wait_for_steps(process: "subprocess.Popen[bytes]", out: Path, steps: int) -> None:
    """Wait until a run has logged so many steps, or has ended."""
    log = out / "steps.jsonl"
    while process.poll() is None and not (log.exists() and len(log.read_text().splitlines()) >= steps):
        time.sleep(0.005)


def process_of(out: Path, rank: int) -> int:
    """The process id of a rank, which it wrote down when it started."""
    return int((out / f"rank-{rank}.pid").read_text())


def decisive(out: Path) -> list[dict[str, Any]]:
    """The log of steps without what the clock says."""
    kept = ("step", "epoch", "task", "pairs", "loss", "positive_score", "negative_gap", "learning_rate")
    return [{name: entry[name] for name in kept} for entry in read_log(out / "steps.jsonl")]


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _work(arguments: Sequence[str]) -> None:
    release, out, run = arguments
    Path(out).mkdir(parents=True, exist_ok=True)
    Path(out, f"rank-{os.environ.get('RANK', '0')}.pid").write_text(str(os.getpid()))
    train(release, out, RUNS[run])


if __name__ == "__main__":
    _work(sys.argv[1:])
