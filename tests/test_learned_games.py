"""The presets of the games learn what their pages say, on other seeds than those of the pages."""

import numpy as np
import pytest
from benchmark_imports import importing_benchmarks
from small import finish

from jaxparl.envs import REGISTRY
from jaxparl.training.runs import grid
from jaxparl.training.sweep import compile_training

with importing_benchmarks() as benchmark:
    PARTS = benchmark("games").PARTS

SEEDS = range(1_000, 1_003)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, part in PARTS.items() if part.preset])
def test_a_preset_comes_close_to_the_exact_best(name):
    part = PARTS[name]
    entry = REGISTRY[part.environment]
    preset = entry.presets[part.preset]
    env = entry.environment(preset.settings)
    compiled = compile_training(preset.config, env, grid([0], SEEDS))
    metrics = finish(preset.config, compiled).metrics
    ratio = metrics.utility_ratio if env.num_agents == 1 else metrics.welfare_ratio
    assert np.min(ratio) >= part.least
