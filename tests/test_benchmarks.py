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
    "name", [path.stem for path in sorted(FOLDER.glob("*.py")) if path.stem != "report_card"]
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


def test_the_training_benchmarks_know_the_presets(benchmark):
    training, throughput = benchmark("training"), benchmark("throughput")
    trees = [("game_tree", preset) for preset in training.PRESET_BARS]
    for environment, preset in [
        *trees,
        ("coin_game", training.BOARD),
        *throughput.parts().values(),
    ]:
        job = training.cli.parse([environment, "--preset", preset])
        assert training.all_runs(job.selection.games, "0:1", (), job.config.rates)
    assert {part for _, part, _ in throughput.BARS} <= set(throughput.parts())


def test_the_scale_benchmark_says_what_can_be_parsed(benchmark):
    scale = benchmark("scale")
    lines = [scale.SWEPT, *((game, *said) for game, said in scale.KILLED.items())]
    lines += [(game, "--preset", preset, *scale.SHORT) for game, preset in scale.PAPERS.items()]
    for line in lines:
        job, env = scale.parse(*line)
        assert env.name and job.config.iterations < 10_000


def test_every_preset_can_be_cut_as_short_as_compiling_needs(benchmark):
    compiling, training = benchmark("compiling"), benchmark("training")
    for environment, preset in compiling.parts().values():
        asked = [environment, "--preset", preset, *compiling.RUNS, *compiling.SHORT]
        assert training.cli.parse(asked).config.iterations == 100


def test_throughput_is_measured_of_all_runs_together(benchmark, monkeypatch):
    throughput = benchmark("throughput")
    monkeypatch.setattr(throughput, "PAPERS", {"small": ("game_tree", "quick")})
    monkeypatch.setattr(throughput, "ITERATIONS", 100)
    rows, found = throughput.grow("small", 2)
    assert [one.runs for one in found] == [1, 2]
    assert all(one.iterations_per_second > 0 for one in found)
    assert "from Python" in rows[-1].what


def test_a_bar_is_reached_once_or_for_good(benchmark):
    training = benchmark("training")
    history = [training.Progress(chunk, 10.0 * chunk, None, None) for chunk in range(1, 5)]
    for reached, told in (
        ([0, 0, 0, 0], "not reached"),
        ([0, 1, 1, 1], "20 s"),
        ([1, 0, 1, 1], "10 s, for good 30 s"),
        ([0, 1, 1, 0], "20 s, but not at the end"),
    ):
        assert training.until(history, training.np.array(reached, bool)) == told
