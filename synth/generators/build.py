"""From the name in a recipe to the generator that answers."""

from __future__ import annotations

from infra.errors import UsageError
from synth.generator import Generator
from synth.generators.measured.generator import MODEL, Measured


def build_generator(name: str) -> Generator:
    """The generator called `name`; raises UsageError for a name there is none of."""
    if name == MODEL:
        return Measured()
    raise UsageError(f"no generator is called {name!r}; there is {MODEL!r}")
