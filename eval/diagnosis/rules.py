"""By which rules weak abilities change the recipe of the next synthesis.

The paper names no such rules: its shares (section 3.2, table 7) are fixed. These are ours, stated so that they can be
argued with: what each looks at, what it changes, within which bounds, and why that may help. How much follows for
all of them from the shortfall (see `eval.diagnosis.diagnose`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

from eval.diagnosis.rebalance import Bounds
from eval.uvrb.datasets import DATASETS
from shards.records import CAPTION_KINDS, TASKS, UVRD_THOUSANDS

PROFILE: Final = "captions.shares"
KINDS: Final = "sides.caption_weights"
WEIGHTS: Final = "pairs.weights"
CLIP_S: Final = "spans.max_s"
HARDNESS: Final = "negatives.max_share"
NEGATIVES: Final = "train.batches.hard_negatives"
PROBER: Final = "embed.prober"

# Misses of which half or more come within the first ten are near ones.
NEAR: Final = 0.5

# The abilities that text alone asks for, in the order of the benchmark.
TEXT_ABILITIES: Final = tuple(dict.fromkeys(dataset.ability for dataset in DATASETS if dataset.query == "T"))

_UVRD: Final = sum(UVRD_THOUSANDS.values())
_ALIKE: Final = 1 / len(CAPTION_KINDS)

# The lowest and the highest share of each entry of a table; entries that are not here are left alone.
TABLE_BOUNDS: Final[dict[str, Bounds]] = {
    # A caption is to be 30-60% spatial and 30-60% temporal (appendix A.6), so neither profile may vanish. The third
    # gives to them, or spatial and temporal could not both grow. It keeps half of the paper's 10%, since nothing else
    # dwells on theme, style, light and camera; of a caption these are to be 20% at most.
    PROFILE: {"spatial": (0.15, 0.6), "temporal": (0.3, 0.8), "other": (0.05, 0.2)},
    # Between half and three times its share among kinds drawn alike. Each is how somebody may ask, so none may vanish;
    # one at its most leaves the other four just their least.
    KINDS: dict.fromkeys(CAPTION_KINDS, (0.5 * _ALIKE, 3 * _ALIKE)),
    # Between half and three times a task's share in table 7.
    WEIGHTS: {task: (0.5 * part / _UVRD, min(1.0, 3 * part / _UVRD)) for task, part in UVRD_THOUSANDS.items()},
}
# How far a number may rise: clips twice as long as by default; a negative that scores 98% of the positive.
NUMBER_BOUNDS: Final = {CLIP_S: 60.0, HARDNESS: 0.98}

Reads = Literal["shortfall", "near misses", "far misses", "weakest"]


@dataclass(frozen=True)
class Rule:
    """One rule: where its ability or task is surely weak, its setting is changed.

    Rules that do the same for several abilities have one name; what they raise rises once, by the greatest shortfall.
    `reads` tells what else must hold: "near misses", that at least NEAR of the misses at 1 come within 10, "far
    misses", that fewer do; "weakest", that nothing else is as weak.
    """

    name: str
    looks_at: str  # an ability, or a task of the held-out split
    why: str
    setting: str  # the recipe's key
    reads: Reads = "shortfall"
    raises: tuple[str, ...] = ()  # entries of the setting, where it is a table; a number rises itself
    requires: tuple[str, ...] = ()  # switches that are on, else the change would do nothing
    needs: str = ""  # what is told instead where the switches are off


UVRB_RULES: Final = (
    Rule(
        "spatial profile",
        "S",
        "captions under a spatial profile say what is where, which spatial queries ask for",
        setting=PROFILE,
        raises=("spatial",),
    ),
    Rule(
        "temporal profile",
        "T",
        "captions under a temporal profile say what happens in which order, which temporal queries ask for",
        setting=PROFILE,
        raises=("temporal",),
    ),
    Rule(
        "short captions",
        "PR",
        "keywords and partial captions are the training texts that resemble partially relevant queries",
        setting=KINDS,
        raises=("partial", "keywords"),
    ),
    Rule(
        "longer clips",
        "LC",
        "long-context queries are about videos longer than the clips that are trained on",
        setting=CLIP_S,
    ),
    Rule(
        "detailed captions",
        "LC",
        "detailed captions are the training texts that resemble long queries",
        setting=KINDS,
        raises=("detailed",),
    ),
    Rule(
        "composed pairs",
        "CMP",
        "pairs with composed queries are what composed retrieval is learnt from, and table 7 has few of them",
        setting=WEIGHTS,
        raises=("TI2V", "TV2V"),
    ),
    Rule(
        "visual pairs",
        "VIS",
        "frames and sub-clips with their videos are what visual queries are",
        setting=WEIGHTS,
        raises=("I2V", "V2V"),
    ),
    *(
        Rule(
            "caption pairs",
            ability,
            "the right video is not even near, so more pairs of a caption and its video are wanted",
            reads="far misses",
            setting=WEIGHTS,
            raises=("T2V",),
        )
        for ability in TEXT_ABILITIES
    ),
    Rule(
        "hard negatives",
        "CG",
        "the right video is near but not first: it is confused with similar ones, which hard negatives tell apart",
        reads="near misses",
        setting=NEGATIVES,
        requires=(PROBER,),
        needs="embed.prober, a GVE checkpoint: without one no hard negatives are mined",
    ),
    Rule(
        "harder negatives",
        "CG",
        "the right video is near but not first although hard negatives are trained on, so harder ones are wanted",
        reads="near misses",
        setting=HARDNESS,
        requires=(PROBER, NEGATIVES),
    ),
)

HELDOUT_RULES: Final = tuple(
    Rule(
        f"{task} pairs",
        task,
        "the task that was learnt least gets more pairs",
        reads="weakest",
        setting=WEIGHTS,
        raises=(task,),
    )
    for task in TASKS
)
