"""What results say of themselves: a few lines, and no wall of arrays."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.envs import make
from jaxparl.equilibrium import backward_induction
from jaxparl.evaluation.oracle import OracleMetrics
from jaxparl.learning.state import Weights
from jaxparl.training import TrainResult, ValidationResult
from jaxparl.training.sweep import CompiledRuns, Progress
from jaxparl.validation.metrics import OneAgentMetrics

RUNS, EVALUATIONS = 3, 40


def metrics(kind=OracleMetrics, shape=(RUNS, EVALUATIONS)):
    """Each metric begins at 0, and ends at 1, 2, 3 in the three runs."""
    rising = np.linspace(0, 1, shape[-1]) if len(shape) > 1 else np.ones(1)
    values = jnp.asarray(np.arange(1.0, shape[0] + 1)[:, None] * rising, jnp.float32)
    names = [field.name for field in dataclasses.fields(kind)]
    return kind(**dict.fromkeys(names, values.reshape(shape)))


def lines(shown: str) -> dict[str, str]:
    """What stands beside each name."""
    return dict(line.split(maxsplit=1) for line in shown.splitlines()[1:])


@pytest.mark.parametrize(
    ("made", "kind"), [(TrainResult, OracleMetrics), (ValidationResult, OneAgentMetrics)]
)
def test_a_result_shows_the_last_values_of_its_runs_beside_what_is_exact(made, kind):
    found = metrics(kind)
    exact = dataclasses.replace(
        found, equilibrium_principal_utility=jnp.full((RUNS, EVALUATIONS), 3.5)
    )
    shown = repr(made({"kernel": jnp.ones((64, 64))}, exact, 100))
    assert shown.startswith(f"{made.__name__} of 3 runs, the last of 40 evaluations:\n")
    assert lines(shown)["principal_utility"] == "1 to 3"
    assert lines(shown)["equilibrium_principal_utility"] == "3.5"
    assert [*lines(shown)] == [field.name for field in dataclasses.fields(kind)]


def test_runs_in_which_a_metric_is_undefined_do_not_count():
    found = metrics()
    ratio = found.utility_ratio.at[2].set(jnp.nan)
    loss = found.agent_loss * jnp.nan
    result = TrainResult(None, dataclasses.replace(found, utility_ratio=ratio, agent_loss=loss), 1)
    assert lines(repr(result))["utility_ratio"] == "1 to 2"
    assert lines(repr(result))["agent_loss"] == "nan"


def test_where_there_are_no_numbers_yet_shapes_are_shown():
    result = TrainResult(None, metrics(), 100)
    shown = []

    def show(result):
        shown.append(repr(result))
        return result

    shapes = jax.eval_shape(jax.vmap(show), result)
    shown.append(repr(shapes))
    jax.jit(show)(result)
    titles = [each.splitlines()[0].split(",")[0] for each in shown]
    assert titles == ["TrainResult of 1 run", *["TrainResult of 3 runs"] * 2]
    ratios = [lines(each)["utility_ratio"] for each in shown]
    assert ratios == ["float32[40]", *["float32[3, 40]"] * 2]
    assert shapes.evaluation_interval == 100, "it is static"


def test_what_the_generator_yields_is_a_line_for_each_metric():
    progress = Progress(7, 12.34, metrics(shape=(RUNS,)), {"kernel": jnp.ones((64, 64))})
    assert repr(progress).startswith("Evaluation 7 after 12.3 s\n")
    assert lines(repr(progress))["utility_ratio"] == "1 to 3"
    program = CompiledRuns([None] * RUNS, *[None] * 5, compile_seconds=4.21)
    assert repr(program) == "CompiledRuns(3 runs, compiled in 4.2 s)"


def test_tables_solutions_metrics_and_weights_are_shown_by_their_shapes():
    env, env_params = make("game_tree", depth=4)
    table = env.tabular(env_params)
    solution = jax.eval_shape(lambda: backward_induction(table, env.horizon))
    layer = {"params": {"bias": np.ones(8), "kernel": np.ones((8, 1000))}}
    for structure, says in (
        (env_params, "agent_reward=float32[15, 2]"),
        (table, "successor=int32[15, 2, 1], successor_probs=float32[15, 2, 1], discount=1)"),
        (solution, "contract=float32[4, 15, 2]"),
        (metrics(), "utility_ratio=float32[3, 40]"),
        (Weights(layer, layer, layer, ()), "principal=<8,008 numbers in 2 arrays>"),
    ):
        assert says in repr(structure)
        assert len(repr(structure)) < 500
        assert "\n" not in repr(structure)
