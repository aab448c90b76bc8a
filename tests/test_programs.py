"""The loop of many runs: every iteration once and in order, in whatever segments and waves."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jaxparl.config import Config
from jaxparl.learning import loop
from jaxparl.training.devices import assign_runs
from jaxparl.training.programs import compile_interval

NUM_RUNS = 7
CONFIG = Config(iterations=96, target_interval=8, evaluation_interval=32)


class Toy(NamedTuple):
    """A run whose last bit depends on every iteration, and on their order."""

    number: jax.Array
    digest: jax.Array


def iterate(run, iteration):
    digest = 31 * run.digest + run.number * jnp.uint32(iteration)
    return run._replace(digest=digest), jnp.float32(iteration)


def move_targets(run, iteration):
    return run._replace(digest=run.digest ^ jnp.uint32(iteration))


def evaluate(run, loss):
    return {"number": run.number, "loss": loss}


def expected_digest(number: int) -> int:
    digest = 0
    for iteration in range(CONFIG.iterations):
        digest = (31 * digest + number * iteration) % 2**32
        if (iteration + 1) % CONFIG.target_interval == 0:
            digest ^= iteration
    return digest


@pytest.mark.parametrize(("longest", "segments"), [(1_000, 1), (16, 2), (8, 4)])
@pytest.mark.parametrize("lanes", [1, 3])
def test_an_interval_is_the_same_in_one_segment_and_in_several(
    monkeypatch, lanes, longest, segments
):
    monkeypatch.setattr("jaxparl.config._LONGEST_SEGMENT", longest)
    assert CONFIG.segments_per_evaluation == segments
    layout = assign_runs(NUM_RUNS, lanes)
    numbers = np.uint32(layout.rows + 1)
    runs = jax.device_put(Toy(numbers, np.zeros_like(numbers)), layout.sharding)
    with ThreadPoolExecutor() as pool:
        program = compile_interval(
            layout,
            segments,
            learn=partial(loop.run_segment, CONFIG, iterate, move_targets),
            evaluate=evaluate,
            runs=runs,
            pool=pool,
        )
    for number in range(CONFIG.num_evaluations):
        runs, metrics = program(runs, number)
        np.testing.assert_array_equal(metrics["number"], numbers)
        first, last = 32 * number, 32 * number + 31
        np.testing.assert_array_equal(metrics["loss"], (first + last) / 2)
    assert runs.digest.tolist() == [expected_digest(number) for number in numbers.tolist()]


@given(st.integers(1, 400), st.integers(1, 60), st.integers(1, 3))
def test_segments_are_whole_target_intervals_and_make_up_the_interval(target, periods, intervals):
    config = Config(
        target_interval=target,
        evaluation_interval=target * periods,
        iterations=target * periods * intervals,
    )
    assert config.segment_length % config.target_interval == 0
    assert config.segment_length * config.segments_per_evaluation == config.evaluation_interval
    assert config.segment_length <= max(200, target)
    assert config.num_evaluations == intervals


def test_a_check_for_nan_is_of_losses_and_not_of_what_is_undefined():
    layout = assign_runs(1, 1)
    run = {"undefined": np.full(1, np.nan, np.float32), "loss": np.zeros(1, np.float32)}
    with ThreadPoolExecutor() as pool:
        program = compile_interval(
            layout,
            1,
            learn=lambda run, segment: (run, run["loss"]),
            evaluate=lambda run, loss: {"undefined": run["undefined"], "loss": loss},
            runs=run,
            pool=pool,
        )
    with jax.debug_nans(True):
        metrics = program(jax.device_put(run, layout.sharding), 0)[1]
        assert np.isnan(metrics["undefined"]) and metrics["loss"] == 0
        diverged = run | {"loss": run["undefined"]}
        with pytest.raises(FloatingPointError, match="a loss is NaN in evaluation interval 3"):
            program(jax.device_put(diverged, layout.sharding), 2)
    program(jax.device_put(diverged, layout.sharding), 2)
