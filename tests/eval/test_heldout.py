"""Held-out evaluation: who is a positive, what the corpus is, and what is written about it."""

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from toy_release import tar_bytes

from eval.encode import encode_distinct
from eval.heldout import evaluate_heldout, without
from eval.report import to_json, to_markdown, write_report
from infra.errors import RunFailed, UsageError
from shards.manifest import FORMAT
from shards.records import INSTRUCTIONS, Side


class WordEmbedder:
    """Counts of the words on a side, whatever it is made of: so it matches what shares words."""

    dim = 64

    def __init__(self) -> None:
        self.asked: list[tuple[Side, str]] = []

    def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
        self.asked += [(side, instruction) for side in sides]
        vectors = np.zeros((len(sides), self.dim), dtype=np.float32)
        for row, side in enumerate(sides):
            words = " ".join([side.text or "", *[(part or b"").decode() for part in (side.image, side.video)]])
            for word in words.split():
                vectors[row, int(word.strip("w"))] += 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def write_val(folder: Path, pairs: Iterable[tuple[str, str, str]]) -> str:
    """A release of one held-out shard a task, from (task, query words, target words); media are words as well."""
    groups: dict[str, list[dict[str, Any]]] = {}
    for number, (task, query, target) in enumerate(pairs):
        facts: dict[str, Any] = {"pair_id": f"{task}{number}", "task": task, "video_id": f"v{number}"}
        facts |= {"query_id": f"{task[:-2]} {query}", "target_id": f"{task[-1]} {target}"}
        facts |= {"query_text": None, "target_text": None}
        members: dict[str, Any] = {"__key__": facts["pair_id"]}
        for role, kind, words in (("query", task[0], query), ("target", task[-1], target)):
            if kind == "T":
                facts[f"{role}_text"] = words
            else:
                members[f"{role}.{ {'I': 'jpg', 'V': 'mp4'}[kind] }"] = words.encode()
        groups.setdefault(task, []).append(members | {"json": json.dumps(facts).encode()})
    shards = []
    for task, samples in groups.items():
        data = tar_bytes(samples)
        (folder / f"val-{task}-000000.tar").write_bytes(data)
        shard = {"name": f"val-{task}-000000.tar", "split": "val", "task": task, "samples": len(samples)}
        shards.append(shard | {"bytes": len(data), "sha256": ""})
    path = folder / "manifest.json"
    path.write_text(json.dumps({"format": FORMAT, "release_id": "r1", "shards": shards}))
    return str(path)


def test_positives_corpora_and_scores(tmp_path: Path) -> None:
    manifest = write_val(
        tmp_path,
        [
            ("T2V", "w1 w2", "w1 w2 w9"),
            ("T2V", "w1 w2", "w3 w4"),  # one text, two right videos
            ("T2V", "w5", "w6 w7"),  # nothing in common with its own video
            ("I2V", "w7", "w6 w7"),  # the same video
            ("V2V", "w8", "w5 w5 w8"),  # the video nearest to the third text
            ("T2I", "w3", "w3 w3"),
        ],
    )
    embedder = WordEmbedder()
    report = evaluate_heldout(manifest, embedder)
    scores = {task.task: task for task in report.tasks}
    assert [task.task for task in report.tasks] == ["T2I", "T2V", "I2V", "V2V"]
    assert (scores["T2V"].queries, scores["T2V"].corpus, scores["T2V"].positives) == (2, 4, 1.5)
    assert scores["T2V"].recall[1] == pytest.approx((1 / 2 + 0) / 2)
    assert scores["T2V"].hit[1] == pytest.approx((1 + 0) / 2)
    assert scores["T2V"].recall[5] == 1
    assert scores["T2V"].chance_recall == {1: 0.25, 5: 1.0, 10: 1.0}
    assert scores["T2V"].chance_hit[1] == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert scores["I2V"].recall[1] == scores["V2V"].recall[1] == 1
    assert scores["I2V"].ratio_to_chance == 4
    assert (scores["T2I"].corpus, scores["T2I"].recall[1]) == (1, 1)
    # Queries carry their task's instruction, targets none, and each distinct side is embedded once.
    assert sorted(instruction for _, instruction in embedder.asked if instruction) == sorted(
        [INSTRUCTIONS["T2V"]] * 2 + [INSTRUCTIONS[task] for task in ("T2I", "I2V", "V2V")]
    )
    targets = [side for side, instruction in embedder.asked if not instruction]
    assert len(targets) == len(set(targets)) == 5


def test_a_text_is_not_its_own_best_answer(tmp_path: Path) -> None:
    """Each text is the query of one pair and the target of the next; its own row must not outrank the right one."""
    texts = ["w1 w2", "w1 w2 w3", "w1 w2 w3 w4"]
    manifest = write_val(tmp_path, [("T2T", a, b) for a, b in zip(texts, [*texts[1:], "w9"], strict=True)])
    body = json.loads(to_json(evaluate_heldout(manifest, WordEmbedder())))
    (t2t,) = body["tasks"]
    assert (t2t["queries"], t2t["corpus"]) == (3, 3)
    assert t2t["R@1"] == pytest.approx(2 / 3)
    assert without(np.array([[2, 0, 1], [1, 2, 0]]), np.array([0, -1])).tolist() == [[2, 1, -1], [1, 2, 0]]


class ChainEmbedder:
    """Text wN is near to its neighbours in number; with an instruction it moves a bit away from itself."""

    dim = 20

    def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
        numbers = [int((side.text or "").strip("w")) for side in sides]
        drawn = np.random.default_rng(3).normal(size=(400, 2, self.dim)).astype(np.float32)
        vectors = np.stack([drawn[n, 0] + drawn[n + 1, 0] + 0.7 * bool(instruction) * drawn[n, 1] for n in numbers])
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def test_the_hit_among_two_hundred_is_that_of_corpora_drawn_from_the_split(tmp_path: Path) -> None:
    """Each text is the query of one pair and the target of the one before, and no answer to itself."""
    count = 300
    manifest = write_val(tmp_path, [("T2T", f"w{n}", f"w{n + 1}") for n in range(count)])
    (scores,) = evaluate_heldout(manifest, ChainEmbedder()).tasks
    texts = [Side(text=f"w{n}") for n in range(count + 1)]
    cosines = ChainEmbedder().embed(texts[:-1], INSTRUCTIONS["T2T"]) @ ChainEmbedder().embed(texts[1:]).T
    rng, hits = np.random.default_rng(0), []
    for query in range(count):
        others = [row for row in range(count) if row not in (query, query - 1)]  # rows are those of the targets
        hits += [cosines[query, query] > cosines[query, rng.choice(others, 199, False)].max() for _ in range(20)]
    assert scores.hit_1_small == pytest.approx(np.mean(hits), abs=0.015)
    assert 0.1 < scores.hit[1] < scores.hit_1_small < 0.9
    assert "hit@1 of 200" in to_markdown(evaluate_heldout(manifest, ChainEmbedder()))


def test_reports_are_the_same_bytes_and_name_their_metrics(tmp_path: Path) -> None:
    manifest = write_val(tmp_path, [("T2V", f"w{n}", f"w{n} w{n} w{n + 1}") for n in range(30)])
    first, again = (evaluate_heldout(manifest, WordEmbedder()) for _ in range(2))
    json_path, markdown_path = write_report(first, str(tmp_path / "out"))
    assert Path(json_path).read_text() == to_json(again)
    assert Path(markdown_path).read_text() == to_markdown(again)
    (scores,) = json.loads(to_json(first))["tasks"]
    assert scores["R@1"] == scores["hit@1"] == 1.0
    assert scores["chance R@1"] == pytest.approx(1 / 30)
    assert scores["R@1 / chance"] == pytest.approx(30)
    assert "| T2V | 30 | 30 | 100.0% |" in to_markdown(first)


def test_what_cannot_be_evaluated_is_refused(tmp_path: Path) -> None:
    manifest = write_val(tmp_path, [("T2V", "w1", "w2")])
    with pytest.raises(UsageError, match="no pair in its train split"):
        evaluate_heldout(manifest, WordEmbedder(), split="train")

    class Broken(WordEmbedder):
        def embed(self, sides: Sequence[Side], instruction: str = "") -> NDArray[np.float32]:
            return super().embed(sides, instruction) * np.float32("nan")

    with pytest.raises(RunFailed, match="length one"):
        encode_distinct([("a", Side(text="w1"))], Broken())
