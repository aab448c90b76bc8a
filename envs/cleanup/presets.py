"""The presets of Cleanup."""

from __future__ import annotations

import dataclasses

from jaxparl.envs.cleanup.rules import Settings
from jaxparl.envs.registry.presets import SEVERAL_AGENTS, Preset

# Chosen with seeds 100 and 101, which no table shows.
_CONFIG = dataclasses.replace(
    SEVERAL_AGENTS,
    iterations=12_000,
    batch_size=64,
    replay_capacity=48_000,
    target_interval=50,
    evaluation_interval=3_000,
    hyper_params=dataclasses.replace(
        SEVERAL_AGENTS.hyper_params,
        learning_rate=1e-3,
        epsilon=0.3,
        epsilon_final=0.05,
        validation_epsilon=0.3,
        nudge=0.03,
    ),
)

#: By name.
PRESETS = {
    "quick": Preset(
        summary="2 agents, 1 seed, to look around",
        settings=Settings(),
        config=dataclasses.replace(_CONFIG, iterations=8_000, evaluation_interval=2_000),
        games="0:1",
        seeds="0:1",
    ),
    "full": Preset(
        summary="2 agents, 5 seeds, and what black boxes make of them",
        settings=Settings(),
        config=_CONFIG,
        games="0:1",
        seeds="0:5",
        validate=True,
    ),
}
