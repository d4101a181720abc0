"""The whole way on a laptop: rendered videos, a release, a trained tiny GVE, its scores and its nine abilities."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eval.report import SCORES_REPORT
from eval.sample_uvrb.analogue import Dial
from eval.sample_uvrb.write import write_benchmark
from flows.benchmark_sample import DIFFICULTY, QUERIES, SEED
from flows.evaluation import PAGE, Asked, evaluate_uvrb
from flows.printing import print_release
from flows.synthesize_pairs import synthesize_pairs
from flows.tiny_captioner import make_captioner
from flows.train_and_eval import train_and_eval
from infra.sample_world.write import write_world
from shards.manifest import load_manifest
from shards.preview.page import write_preview

WORLD_SEED = 7
# A model of a million parameters on two cores: short prompts, few requests at once, and no luck in the answers.
CAPTIONER_SERVING = ("serving.context=2048", "serving.max_sequences=16", "generator.sampling.temperature=0.0")


def run_demo(folder: Path, videos: int, overrides: Sequence[str]) -> None:
    """Make everything under `folder`; a second call goes on from what is there.

    With `generator.kind=vllm` and no model named, a tiny captioner is trained first, and served.
    """
    overrides = [*_served_captioner(folder, overrides), *overrides]
    print(f"1/4 rendering {videos} sample videos with known content", flush=True)
    listing = write_world(str(folder / "videos"), videos, WORLD_SEED, workers=2)
    print("2/4 making a release from them", flush=True)
    manifest = synthesize_pairs(listing, str(folder / "lake"), None, list(overrides))
    print_release(str(folder / "lake"), manifest)
    print("3/4 training a tiny GVE on it and scoring it on sources it never saw", flush=True)
    verdict = Path(str(train_and_eval(manifest, str(folder / "model"), None, list(overrides))))
    scores = verdict.with_name(SCORES_REPORT)
    print(f"{scores.read_text()}\n{verdict.read_text()}")
    print("4/4 rendering a little UVRB, sixteen datasets of which all is known, and asking the model", flush=True)
    data, asked = folder / "uvrb", folder / "abilities"
    write_benchmark(str(data), Dial(QUERIES, DIFFICULTY, SEED), workers=2)
    evaluate_uvrb(Asked(str(folder / "model"), str(data), str(asked), cache=str(asked / "vectors")))
    preview, _ = write_preview(load_manifest(manifest), samples=4)
    print("look at")
    print(f"  preview  {preview}")
    print(f"  release  {manifest}")
    print(f"  curves   {folder / 'model' / 'curves.png'}")
    print(f"  scores   {scores}")
    print(f"  verdict  {verdict}")
    print(f"  uvrb     {asked / PAGE}")
    print(f"  any id   uvr explain ID --lake {folder / 'lake'}")


def _served_captioner(folder: Path, overrides: Sequence[str]) -> list[str]:
    """Settings of a captioner of our own, made if need be; none where the demo can do without."""
    keys = dict(text.split("=", 1) for text in overrides if "=" in text)
    if keys.get("generator.kind") != "vllm" or {"generator.model", "preset"} & keys.keys():
        return []
    print("0/4 a tiny captioner for vLLM to serve, trained once on other sample videos", flush=True)
    return [f"generator.model={make_captioner(folder / 'tiny-captioner')}", *CAPTIONER_SERVING]
