"""Recipes: overrides, and errors that name the key at fault."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from infra.errors import UsageError
from infra.recipe import Settings, load_recipe


@dataclass(frozen=True)
class Inner(Settings):
    rate: float = 1.0
    name: str = "a"
    sizes: tuple[int, ...] = (1, 2)


@dataclass(frozen=True)
class Outer(Settings):
    inner: Inner = field(default_factory=Inner)
    seed: int = 1


@dataclass(frozen=True)
class Whole(Settings):
    outer: Outer = Outer(Inner(rate=5.0, name="b"), seed=7)


def test_file_and_overrides_fill_the_settings(tmp_path: Path) -> None:
    path = tmp_path / "recipe.toml"
    path.write_text("seed = 3\n[inner]\nrate = 2\nsizes = [4, 5]\n")
    assert load_recipe(Outer, str(path), ["inner.name=plain words", "seed=9"]) == Outer(
        Inner(2.0, "plain words", (4, 5)), 9
    )
    assert load_recipe(Outer) == Outer()


def test_a_silent_section_stays_what_it_is_there_not_what_its_class_is() -> None:
    assert load_recipe(Whole, None, ["outer.inner.name=c"]) == Whole(Outer(Inner(5.0, "c"), 7))
    assert load_recipe(Whole, None, ["outer.seed=8"]) == Whole(Outer(Inner(5.0, "b"), 8))


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("inner.rat=1", r"unknown key inner\.rat; did you mean inner\.rate\?"),
        ("inner.rate=fast", r"inner\.rate: .*number"),
        ("inner=3", "inner is a section"),
        ("nonsense", r"section\.key=value"),
        ("seed.x=1", "seed: .*integer"),
        ("seed=1.5", "seed"),
    ],
)
def test_what_is_wrong_is_named(override: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        load_recipe(Outer, None, [override])


def test_broken_and_missing_files(tmp_path: Path) -> None:
    (tmp_path / "broken.toml").write_text("seed = ")
    with pytest.raises(UsageError, match="not valid TOML"):
        load_recipe(Outer, str(tmp_path / "broken.toml"))
    with pytest.raises(UsageError, match="no recipe at"):
        load_recipe(Outer, str(tmp_path / "missing.toml"))
