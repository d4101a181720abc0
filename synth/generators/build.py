"""From the recipe's section to the generator that answers."""

from __future__ import annotations

from typing import Final

from infra.stage import Workspace
from synth.generator import Generator
from synth.generators.endpoint.generator import EndpointGenerator
from synth.generators.measured.generator import Measured
from synth.generators.settings import GeneratorSettings

BATCH_ROWS: Final = 64  # rows asked about together: enough to keep a server busy, few enough to watch over


def build_generator(settings: GeneratorSettings, workspace: Workspace) -> Generator:
    """The generator for one worker."""
    return Measured() if settings.kind == "measured" else EndpointGenerator(settings, workspace)
