"""What a sweep will need is told before it runs, and holds when it does."""

from __future__ import annotations

import dataclasses
import math
import re

import jax
import jax.numpy as jnp
import pytest
from small import (
    BOARD_CONFIG,
    BOARD_ENV,
    BOARD_PARAMS,
    TREE_CONFIG,
    TREE_ENV,
    TREE_PARAMS,
    TREE_RUNS,
    compiled_boards,
    compiled_trees,
)

from jaxparl import cli
from jaxparl.learning.components import STANDARD
from jaxparl.learning.learner import make_learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import target_weights
from jaxparl.training import plan as planning
from jaxparl.training.comparison import validation_runs
from jaxparl.training.devices import key_data
from jaxparl.training.plan import plan
from jaxparl.training.runs import RunId, grid
from jaxparl.training.sweep import Run
from jaxparl.training.task import Task, solve_context, training_task, validation_task
from jaxparl.validation.frozen import freeze
from jaxparl.validation.schemes import Scheme
from jaxparl.validation.terms import make_terms

TREE = (
    "game_tree --depth 3 --iterations 200 --evaluation-interval 200 --target-interval 10 "
    "--batch-size 64 --replay-capacity 4800 --hidden-sizes 32 --outcome-hidden-sizes 16 "
    "--nudge 0.01 --learning-rate 0.02"
)


def compiled(config, env, runs, lanes, *, components):
    """Programs of equally many runs are the same, whichever runs they are."""
    if env == BOARD_ENV:
        # Of more iterations and in other lanes, and a run is just as large.
        return compiled_boards()
    assert (config, env, lanes, components) == (TREE_CONFIG, TREE_ENV, None, STANDARD)
    return compiled_trees(TREE_RUNS[: len(runs)])


@pytest.fixture(autouse=True)
def compile_once(monkeypatch):
    """Plans use the programs that other tests compile."""
    monkeypatch.setattr(planning, "compile_training", compiled)


def planned(seeds: int):
    # Of more iterations than a plan tries.
    config = dataclasses.replace(TREE_CONFIG, iterations=100_000)
    return plan(config, TREE_ENV, grid([0], range(seeds)))


def fresh(task: Task, context) -> Run:
    return Run(jax.tree.map(jnp.asarray, context), task.init(jax.random.key(0)))


def trains(config, env, env_params) -> Run:
    """A training run before its first iteration."""
    context = solve_context(config, env, env_params, config.hyper_params)
    return fresh(training_task(config, env, context), context)


def validates(config, env, env_params) -> Run:
    """A run of validation before its first iteration."""
    learner = make_learner(Problem(config, env, env_params, config.hyper_params))
    weights = target_weights(trains(config, env, env_params).state)
    scheme = Scheme(contract_weight=jnp.float32(1.0))
    terms = make_terms(learner, freeze(learner, weights), scheme)
    return fresh(validation_task(config, env, terms), terms)


def bytes_of(start, *given) -> int:
    """What the run holds that `start(*given)` returns; nothing is computed."""
    shapes = jax.eval_shape(lambda: key_data(start(*given)))
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(shapes))


def test_bytes_per_run_are_those_of_a_runs_state_and_what_is_needed_beside_it():
    tree = planned(64)
    held = bytes_of(trains, TREE_CONFIG, TREE_ENV, TREE_PARAMS)
    assert held <= tree.training.bytes_per_run <= 1.05 * held
    assert tree.runs == 64
    assert tree.most_runs > 64
    assert 0 < tree.training.seconds < 24 * 3600
    assert tree.validation is None


def test_time_is_that_of_every_wave_for_all_iterations_and_evaluations(monkeypatch):
    learning, evaluating = 2.0, 0.25
    monkeypatch.setattr(planning, "_seconds_of_wave", lambda *_: (learning, evaluating))
    for seeds in (2, 32):
        # Runs beyond the devices wait for their turn.
        waves = math.ceil(seeds / jax.device_count())
        expected = waves * (100_000 / 200 * learning + 100_000 / 200 * evaluating)
        assert planned(seeds).training.seconds == expected


@pytest.mark.slow
def test_validation_needs_room_for_every_scheme():
    found = plan(BOARD_CONFIG, BOARD_ENV, [RunId(0, 0)], validate=True)
    assert found.validation is not None
    held = bytes_of(trains, BOARD_CONFIG, BOARD_ENV, BOARD_PARAMS)
    assert held <= found.training.bytes_per_run <= 1.05 * held
    each = bytes_of(validates, BOARD_CONFIG, BOARD_ENV, BOARD_PARAMS)
    held = each * len(validation_runs(BOARD_CONFIG, BOARD_ENV, [RunId(0, 0)]))
    assert held <= found.validation.bytes_per_run <= 1.05 * held
    assert found.most_runs == found.validation.most_runs < found.training.most_runs


def test_the_command_prints_it_and_writes_nothing(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    cli.main(["plan", *TREE.split(), "--seeds", "0:50", "--games", "0:1"])
    shown = capsys.readouterr().out
    assert re.search(r"50 runs +training *\n", shown)
    for name in ("side by side on each", "a run holds", "a device holds", "runs that fit"):
        assert re.search(rf"{name}.* \d", shown)
    for name in ("compiling", "setting up", "running"):
        assert re.search(rf"{name}.* \d+:\d\d", shown)
    assert list(tmp_path.iterdir()) == []


def test_what_makes_no_sense_is_refused(capsys):
    with pytest.raises(SystemExit) as stop:
        cli.main(["plan", "game_tree", "--seeds", "5:2"])
    assert stop.value.code == 2
    assert "--seeds must be A:B" in capsys.readouterr().err
