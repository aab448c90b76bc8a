"""The benchmarks keep up with what they measure."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import jax
import pytest

FOLDER = Path(__file__).parents[1] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch):
    """Imports a benchmark as it imports itself, with its own folder on the path."""
    monkeypatch.syspath_prepend(str(FOLDER))
    yield importlib.import_module
    for path in FOLDER.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.parametrize(
    "name", ["breakdown", "contracts", "environments", "equilibrium", "replay", "scale", "training"]
)
def test_a_benchmark_can_be_imported_and_run(name, benchmark):
    assert callable(benchmark(name).main)


def test_the_replay_benchmark_stores_what_replay_stores(benchmark):
    replay = benchmark("replay")
    state = jax.eval_shape(lambda: replay.full_state(2))
    for program in replay.PROGRAMS:
        one = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), state)
        after, total = jax.eval_shape(
            lambda one, key, program=program: replay.iterate(program, one, key, 0),
            one,
            jax.random.key(0),
        )
        assert jax.tree.structure(after) == jax.tree.structure(one)
        assert jax.numpy.shape(total) == ()


def test_the_training_benchmark_knows_the_presets(benchmark):
    training = benchmark("training")
    for environment, preset in training.SPEED_BARS:
        job = training.cli.parse([environment, "--preset", preset])
        assert training.all_runs(job.selection.games, "0:1", (), job.config.rates)
