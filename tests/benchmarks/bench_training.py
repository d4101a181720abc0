"""Speed and memory of training GVE at the true shape of a published model: text to video with one hard negative.

    python tests/benchmarks/bench_training.py [--architecture qwen2.5-vl-3b] [--size 64] [--steps 6] [--json FILE]
    python tests/benchmarks/bench_training.py --self-test        # a tiny model on a CPU, to see that it runs

Weights are random, LoRA is table 9's, in bfloat16. Clips of 640 x 360 pixels and 10 seconds are rendered, put into
a release and decoded in every step, none is kept; each query has the target of another pair as hard negative. What
runs is the training loop itself (`train.run`); the figures are medians over the steps after the first two. Each way
to save memory is measured with a model of its own: activations computed again, GradCache, and both.
"""

import argparse
import gc
import json
import statistics
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "support"))
from toy_release import toy_sample, write_release

from infra.media.encode import encode_video
from shards.manifest import load_manifest
from train.batches import TrainingBatches
from train.gve import Gve
from train.log import STEPS_FILE, read_log
from train.lora import PAPER_LORA, choose_trained
from train.ranks import Ranks
from train.run import TrainingRun
from train.settings import BatchSettings, CurriculumSettings, TinySettings, TrainSettings
from train.tiny import train_tokenizer

WARM_UP = 2  # steps, in which kernels are chosen and memory is reserved
WIDTH, HEIGHT, FPS, SECONDS = 640, 360, 24, 10
WORDS = (
    *("a", "the", "red", "green", "blue", "bright", "dark", "grey", "square", "disc", "bar", "ground"),
    *("turns", "moves", "left", "right", "up", "down", "slowly", "over"),
)


@dataclass(frozen=True)
class Way:
    """How memory is saved."""

    name: str
    checkpoint_activations: bool
    chunk_tokens: int


def render(number: int, scale: int = 1) -> bytes:
    """An H.264 clip in which a pattern drifts and is never still."""
    rng = np.random.default_rng(number)
    height, width = HEIGHT // scale, WIDTH // scale
    coarse = rng.integers(0, 256, (height // 20 + 2, width // 20 + 2, 3), dtype=np.uint8)
    pattern = np.kron(coarse, np.ones((20, 20, 1), dtype=np.uint8))
    frames = (
        np.ascontiguousarray(np.roll(pattern, (step, 2 * step), (0, 1))[:height, :width])
        for step in range(FPS * SECONDS // scale)
    )
    return encode_video(frames, fps=FPS)


def make_release(folder: Path, pairs: int, scale: int) -> str:
    """A release of T2V pairs, each with the next one's target as its hard negative."""
    with ProcessPoolExecutor() as pool:
        clips = list(pool.map(render, range(pairs), [scale] * pairs))
    samples = []
    for number, clip in enumerate(clips):
        words = np.random.default_rng(number).choice(WORDS, 40)
        sample = toy_sample("T2V", "train", number, query_text=" ".join(words), target_video=clip)
        facts = json.loads(sample["json"]) | {"negatives": [f"T2V{(number + 1) % pairs:04d}"]}
        samples.append(sample | {"json": json.dumps(facts).encode()})
    return write_release(folder, samples, shard_pairs=64)


def measure(way: Way, release: str, gve: Gve, settings: TrainSettings, ranks: Ranks, out: Path) -> dict[str, Any]:
    """Train and say how fast it went and what it took."""
    settings = replace(settings, chunk_tokens=way.chunk_tokens)
    choose_trained(gve.model, settings.lora, settings.seed)
    if way.checkpoint_activations:
        gve.checkpoint_activations()
    batches = TrainingBatches(load_manifest(release), gve.inputs, settings.batches, settings.seed)
    on_gpu = ranks.device.type == "cuda"
    if on_gpu:
        torch.cuda.reset_peak_memory_stats()
    TrainingRun(gve, batches, settings, ranks, out, {"way": way.name}).finish(None, None)
    steps = read_log(out / STEPS_FILE)[WARM_UP:]

    def median(values: list[float]) -> float:
        return float(f"{statistics.median(values):.4g}")

    return {
        "way": way.name,
        "step_s": median([step["seconds"] for step in steps]),
        "pairs_per_s": median([step["pairs"] / step["seconds"] for step in steps]),
        "tokens_per_s": median([step["tokens"] / step["seconds"] for step in steps]),
        "tflop_per_pair": median([step["tflop"] / step["pairs"] for step in steps]),
        "tflop_per_s": median([step["tflop"] / step["seconds"] for step in steps]),
        "mfu": steps[0]["mfu"] and median([step["mfu"] for step in steps]),
        "data_wait_share": median([step["data_wait_share"] for step in steps]),
        "peak_gib": round(torch.cuda.max_memory_allocated() / 2**30, 1) if on_gpu else None,
        "loss": [round(step["loss"], 3) for step in steps],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--architecture", default="qwen2.5-vl-3b")
    parser.add_argument("--size", type=int, default=64, help="pairs of a step")
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument(
        "--chunk-tokens", type=int, default=8000, help="of GradCache alone; six times as many with both"
    )
    parser.add_argument("--readers", type=int, default=12)
    parser.add_argument("--way", action="append", help="only this one; may be repeated")
    parser.add_argument("--self-test", action="store_true")
    parser.add_argument("--json")
    options = parser.parse_args()
    if options.self_test:
        options.size, options.steps, options.chunk_tokens, options.readers = 4, 4, 1500, 1
    ways = [
        Way("activations computed again", True, 0),
        Way("GradCache", False, options.chunk_tokens),
        Way("both", True, 6 * options.chunk_tokens),
    ]
    ranks = Ranks.from_environment()
    settings = TrainSettings(
        epochs=1000,
        max_steps=options.steps,
        optimizer="adamw",
        learning_rate=3e-5,
        bfloat16=not options.self_test,
        checkpoint_steps=10**6,
        lora=PAPER_LORA,
        batches=BatchSettings(size=options.size, readers=options.readers, cache_bytes=0),
        curriculum=CurriculumSettings(schedule="proportional"),
    )
    results = []
    with tempfile.TemporaryDirectory(prefix="uvr-bench-") as folder:
        release = make_release(Path(folder), options.size * options.steps, 4 if options.self_test else 1)
        for number, way in enumerate(ways):
            if options.way and way.name not in options.way:
                continue
            if options.self_test:
                gve = Gve.tiny(WORDS, TinySettings(layers=2, vocab_size=400), TrainSettings().tiny_inputs, 0)
            else:
                tokenizer = train_tokenizer(WORDS, 400)
                gve = Gve.start(options.architecture, tokenizer, 0, torch.bfloat16, ranks.device)
            results.append(measure(way, release, gve, settings, ranks, Path(folder, f"run-{number}")))
            print(json.dumps(results[-1]), flush=True)
            del gve
            gc.collect()
            if ranks.device.type == "cuda":
                torch.cuda.empty_cache()
    device = torch.cuda.get_device_name() if ranks.device.type == "cuda" else "CPU"
    print(f"{options.architecture} on {device}, {options.size} pairs a step")
    if options.json:
        Path(options.json).write_text(json.dumps({"device": device, "results": results}, indent=1) + "\n")


if __name__ == "__main__":
    main()
