"""What a sweep will need is said before it runs, and holds when it does."""

from __future__ import annotations

import re

import jax
import numpy as np
import pytest

from jaxparl import cli, lockstep
from jaxparl.comparison import compile_comparison
from jaxparl.config import Config
from jaxparl.envs import make
from jaxparl.layout import numbers
from jaxparl.plan import plan
from jaxparl.run_state import target_weights
from jaxparl.runs import RunId
from jaxparl.sweep import compile_sweep

SMALL = Config(iterations=100_000, evaluation_interval=1_000, hidden_sizes=(16, 16))
BOARDS = Config(
    # As many as a plan tries: the test then reads the program that it has compiled.
    iterations=200,
    evaluation_interval=200,
    hidden_sizes=(16, 16),
    replay_capacity=4_000,
)


@pytest.fixture(scope="module")
def tree():
    env, _ = make("game_tree", depth=3)
    return env


def test_bytes_per_run_are_those_of_a_runs_state_and_what_is_needed_beside_it(tree):
    runs = [RunId(0, seed) for seed in range(64)]
    found = plan(SMALL, tree, runs)
    state = compile_sweep(SMALL, tree, runs[:1]).start()
    rows = len(jax.tree.leaves(state)[0])
    held = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(numbers(state))) / rows
    assert held <= found.training.bytes_per_run <= 1.05 * held
    assert found.runs == 64
    assert found.most_runs > 64
    assert 0 < found.training.seconds < 24 * 3600
    assert found.validation is None


def test_more_memory_for_a_larger_replay_and_more_time_for_more_runs(tree):
    few = plan(SMALL, tree, [RunId(0, seed) for seed in range(2)])
    many = plan(SMALL, tree, [RunId(0, seed) for seed in range(32)])
    # Runs beyond the devices wait for their turn.
    turns = 32 / jax.device_count()
    assert turns / 3 < many.training.seconds / few.training.seconds < turns * 3
    large = Config(**{**vars(SMALL), "replay_capacity": 2 * SMALL.replay_capacity})
    more = plan(large, tree, [RunId(0, 0)])
    assert more.training.bytes_per_run > 1.3 * few.training.bytes_per_run


def test_validation_needs_room_for_every_scheme():
    env, params = make("coin_game", grid_size=2)
    runs = [RunId(0, 0)]
    found = plan(BOARDS, env, runs, validate=True)
    assert found.validation is not None
    learner = lockstep.make_learner(BOARDS, env)
    fresh = lockstep.init(learner, params, BOARDS.rates, jax.random.key(0))
    weights = jax.tree.map(lambda leaf: leaf[None], target_weights(fresh))
    state = compile_comparison(BOARDS, env, runs, weights).start()
    held = sum(np.asarray(leaf).nbytes for leaf in jax.tree.leaves(numbers(state)))
    assert held <= found.validation.bytes_per_run <= 1.05 * held
    assert found.most_runs == found.validation.most_runs < found.training.most_runs


def test_the_command_prints_it_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ("--hidden-sizes", "16", "16", "--depth", "3", "--replay-capacity", "1600")
    cli.main(["plan", "game_tree", *small, "--seeds", "0:50", "--games", "0:1"])
    shown = capsys.readouterr().out
    assert re.search(r"50 runs +training *\n", shown)
    for row in ("side by side on each", "a run holds", "a device holds", "runs that fit"):
        assert re.search(rf"{row}.* \d", shown)
    for row in ("compiling", "setting up", "running"):
        assert re.search(rf"{row}.* \d+:\d\d", shown)
    assert list(tmp_path.iterdir()) == []


def test_what_makes_no_sense_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["plan", "game_tree", "--seeds", "5:2"])
    assert stop.value.code == 2
    assert "--seeds must be A:B" in capsys.readouterr().err
