"""Many runs in one program: their independence, equal bits, and what compiling takes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from conftest import told
from small import (
    BOARD_CONFIG,
    TREE_CONFIG,
    TREE_GAME,
    TREE_RUNS,
    compiled_boards,
    compiled_trees,
    finish,
    largest_difference,
    row,
    trained_trees,
)

from jaxparl.experiment.checkpoint import fingerprints
from jaxparl.training.devices import key_data
from jaxparl.training.runs import RunId, grid

# In lanes of three, the last run is repeated to fill them.
SEVEN = tuple(grid([TREE_GAME - 1, TREE_GAME], range(2), {"nudge": [0.01, 0.5]})[:7])
ALONE = RunId(TREE_GAME, 1)
# Of the processors, which other load does not prolong much; ours need a third of that.
MOST_SECONDS = 60.0


def test_two_seeds_differ_in_weights_actions_and_trees():
    count = len(TREE_RUNS)
    before, after = compiled_trees().start(), trained_trees().runs
    tables = np.asarray(before.state.agent.params["params"]["Embed_0"]["embedding"])
    rewards = before.context.env_params.agent_reward
    first, *_, last = range(count)
    assert np.array_equal(rewards[first], rewards[first + 1])
    assert not np.array_equal(rewards[first], rewards[last])
    assert len(np.unique(tables[:, 0, 0])) == count
    actions = np.asarray(after.state.replay.ring.action)[..., 0]
    for one, other in itertools.combinations(range(count), 2):
        assert np.mean(actions[one] == actions[other]) < 0.9


@pytest.mark.slow
def test_each_run_has_the_nudge_of_its_own():
    payments = trained_trees(SEVEN, 3).metrics.agent_utility
    assert np.all(payments[2:4] > payments[:2] + 0.1)


def test_a_run_alone_equals_the_same_run_in_a_batch():
    in_batch = row(trained_trees(SEVEN, 3).runs.state, 5)
    alone = row(trained_trees((ALONE,), 1).runs.state, 0)
    assert largest_difference(alone.agent.params, in_batch.agent.params) <= 1e-5
    assert largest_difference(alone.principal.params, in_batch.principal.params) <= 1e-5
    assert largest_difference(alone.replay, in_batch.replay) <= 1e-5


@pytest.mark.parametrize(
    ("runs", "number", "lanes"), [(TREE_RUNS, TREE_RUNS.index(ALONE), 1), (SEVEN, 5, 3)]
)
def test_equal_lanes_give_equal_bits_however_many_runs_there_are(runs, number, lanes):
    many, one = (
        fingerprints(key_data(trained_trees(each, lanes).runs)) for each in (runs, (ALONE,))
    )
    assert many[number] == one[0]
    assert len(set(many[: len(runs)])) == len(runs)


def test_several_lanes_compile_in_a_bounded_time_and_say_how_fast_they_are(pytestconfig):
    compiled = compiled_trees(SEVEN, 3)
    assert compiled.layout.lanes == 3
    assert compiled.compile_seconds < MOST_SECONDS
    for runs, lanes in ((TREE_RUNS, 1), (SEVEN, 3)):
        rate = len(runs) * TREE_CONFIG.iterations / trained_trees(runs, lanes).seconds
        told(pytestconfig).append(
            f"trees: {len(runs)} small runs in {lanes} lanes a device, {rate:,.0f} iterations/s"
        )


def test_two_agents_learn_to_share_a_small_coin_game(pytestconfig):
    compiled = compiled_boards()
    assert compiled.compile_seconds < MOST_SECONDS
    last = finish(BOARD_CONFIG, compiled)
    means = {name: np.mean(values) for name, values in vars(last.metrics).items()}
    # So few iterations do not bring every run there: 0.91 to 0.99, with a mean of 0.975.
    assert means["welfare_ratio"] >= 0.95
    # Nobody can be paid less than in the equilibrium, but for what agents could gain.
    assert 0.1 < means["payment_share"] < 0.5
    assert means["deviation_gain"] < 0.5
    told(pytestconfig).append(
        f"coin game: 8 small runs in 2 lanes a device, compiled (or read from the tests' cache) in "
        f"{compiled.compile_seconds:.1f} s, "
        f"{8 * BOARD_CONFIG.iterations / last.seconds:,.0f} iterations/s in all"
    )
