"""Mining the toy release's hard negatives with a tiny model of random weights, on any rank."""

from infra.progress import Watcher
from shards.manifest import load_manifest
from train.batches import TrainingBatches
from train.gve import Gve
from train.mining import Mining, mine_negatives
from train.progress import StepProgress
from train.ranks import Ranks
from train.settings import BatchSettings, InputSettings, TinySettings

INPUTS = InputSettings(frames=4, frame_max_pixels=56 * 56, image_max_pixels=56 * 56, max_tokens=96)
SETTINGS = BatchSettings(size=8, tasks=("T2V",), mine_negatives=True)


def tiny(seed: int = 0) -> Gve:
    """A model that finds texts and clips alike, as every model of random weights does."""
    sizes = TinySettings(layers=2, vocab_size=320, hidden=64, intermediate=128, vision_hidden=32)
    return Gve.tiny(["A red square moves left."], sizes, INPUTS, seed)


def batches_of(release: str, gve: Gve, ranks: Ranks | None = None) -> TrainingBatches:
    """The batches of its T2V pairs."""
    ranks = ranks or Ranks()
    return TrainingBatches(load_manifest(release), gve.inputs, SETTINGS, 1, ranks.rank, ranks.size)


def mine_toy(release: str, ranks: Ranks) -> Mining:
    """What a rank mines."""
    gve = tiny()
    return mine_negatives(gve, batches_of(release, gve, ranks), ranks, None)


def mine_shown(release: str, watcher: Watcher) -> None:
    """Mine while someone watches."""
    gve = tiny()
    with StepProgress(10, 0, watcher) as shown:
        mine_negatives(gve, batches_of(release, gve), Ranks(), shown)
