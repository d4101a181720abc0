"""The ablation's table: means, Student's intervals and paired gains that were worked out by hand."""

import math

import numpy as np
import pytest

from eval.ablation import AVERAGE, VariantScores, markdown, over_seeds, tabulate, with_average


def scored(name: str, t2v: list[float], v2v: list[float]) -> VariantScores:
    recall = with_average({"T2V": np.array(t2v), "V2V": np.array(v2v)})
    return VariantScores(name, f"about {name}", recall, {"steps": 10})


def test_an_interval_over_seeds_is_students() -> None:
    """Of 0.5, 0.6, 0.7: mean 0.6, standard error 0.1 / sqrt(3), and 4.303 is t of 97.5% with 2 degrees of freedom."""
    found = over_seeds(np.array([0.5, 0.6, 0.7]))
    half = 4.302653 * 0.1 / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((0.6, 0.6 - half, 0.6 + half))


def test_gains_are_taken_seed_by_seed() -> None:
    """Seeds differ by 20 points, the gain is 5 points on each: sure, although the intervals of the means overlap."""
    base, better = scored("base", [0.3, 0.5], [0.2, 0.2]), scored("better", [0.35, 0.55], [0.2, 0.2])
    rows = {row.name: row for row in tabulate([base, better], "base")}
    gain = rows["better"].gain["T2V"]
    assert (gain.mean, gain.low, gain.high) == pytest.approx((0.05, 0.05, 0.05))
    assert rows["better"].gain[AVERAGE].mean == pytest.approx(0.025)
    assert rows["base"].recall_1[AVERAGE].mean == pytest.approx((0.25 + 0.35) / 2)
    assert rows["base"].recall_1["T2V"].high > rows["better"].recall_1["T2V"].low


def test_the_table_in_words() -> None:
    base, other = scored("base", [0.3, 0.5], [0.2, 0.2]), scored("other", [0.4, 0.6], [0.1, 0.3])
    text = markdown(tabulate([base, other], "base"), "base", [1, 2], "abc", "val")
    assert "| other | **+10.0 ± 0.0** | +0.0 ± 127.1 |" in text
    assert "| base | about base | 10 |" in text
