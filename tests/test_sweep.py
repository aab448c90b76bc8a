"""Many runs in one program: their independence, equal bits, and what compiling takes."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np
import pytest
from conftest import told
from small import (
    BOARD_CONFIG,
    TREE_CONFIG,
    TREE_GAME,
    compiled_boards,
    compiled_trees,
    finish,
    largest_difference,
    row,
    trained_trees,
    tree_hyper_params,
    tree_program,
)

from jaxparl.experiment.checkpoint import fingerprints
from jaxparl.training import sweep
from jaxparl.training.devices import key_data
from jaxparl.training.runs import grid

# In segments of 150 iterations, where TREE_CONFIG has segments of 200.
CONFIG = dataclasses.replace(TREE_CONFIG, evaluation_interval=300)
# More than the lanes of all devices: some runs wait for the next wave, and the last is repeated.
SEVEN = tuple(grid([TREE_GAME - 1, TREE_GAME], range(2), {"nudge": [0.01, 0.5]})[:7])
ALONE = (SEVEN[5],)
# On two busy cores; on idle ones it is a tenth of that.
MOST_SECONDS = 60.0


def test_two_seeds_differ_in_weights_actions_and_trees():
    before = compiled_trees(CONFIG, SEVEN, 1).start()
    tables = np.asarray(before.state.agent.params["params"]["Embed_0"]["embedding"])[:7]
    rewards = before.context.env_params.agent_reward
    assert np.array_equal(rewards[0], rewards[1])
    assert not np.array_equal(rewards[0], rewards[4])
    after = trained_trees(CONFIG, SEVEN, 1).runs
    actions = np.asarray(after.state.replay.ring.action)[:7, :, 0]
    # Two games, and two seeds of each; the others differ in their nudge alone.
    four = (0, 1, 4, 5)
    assert len(np.unique(tables[:, 0, 0])) == len(four)
    for one, other in itertools.combinations(four, 2):
        assert tables[one, 0, 0] != tables[other, 0, 0]
        assert np.mean(actions[one] == actions[other]) < 0.9


def test_each_run_has_the_nudge_of_its_own():
    payments = trained_trees(CONFIG, SEVEN, 1).metrics.agent_utility
    assert np.all(payments[2:4] > payments[:2] + 0.1)


def test_a_run_alone_equals_the_same_run_in_a_batch():
    in_batch = row(trained_trees(CONFIG, SEVEN, 3).runs.state, 5)
    alone = row(trained_trees(CONFIG, ALONE, 1).runs.state, 0)
    assert largest_difference(alone.agent.params, in_batch.agent.params) <= 1e-5
    assert largest_difference(alone.principal.params, in_batch.principal.params) <= 1e-5
    assert largest_difference(alone.replay, in_batch.replay) <= 1e-5


@pytest.mark.parametrize("lanes", [1, 3])
def test_equal_lanes_give_equal_bits_however_many_runs_there_are(lanes):
    many, one = (
        fingerprints(key_data(trained_trees(CONFIG, runs, lanes).runs)) for runs in (SEVEN, ALONE)
    )
    assert many[5] == one[0]
    assert len(set(many[:7])) == 7


def test_a_sweep_gives_what_make_train_gives_in_other_segments():
    assert CONFIG.segment_length != TREE_CONFIG.segment_length
    last = trained_trees(CONFIG, ALONE, 1)
    key = sweep.run_key(sweep._TRAINING_ROOT, TREE_GAME, ALONE[0].seed)
    single = tree_program().train(key, tree_hyper_params(0.01))
    swept = row(last.runs.state, 0)
    assert largest_difference(swept.agent.params, single.state.agent.params) <= 1e-5
    assert largest_difference(swept.principal.params, single.state.principal.params) <= 1e-5
    np.testing.assert_allclose(
        last.metrics.utility_ratio[0], single.metrics.utility_ratio[-1], rtol=1e-6
    )


def test_several_lanes_compile_in_a_bounded_time_and_say_how_fast_they_are(pytestconfig):
    compiled = compiled_trees(CONFIG, SEVEN, 3)
    assert compiled.layout.lanes == 3
    assert compiled.compile_seconds < MOST_SECONDS
    for lanes in (1, 3):
        seconds = trained_trees(CONFIG, SEVEN, lanes).seconds
        told(pytestconfig).append(
            f"trees: {len(SEVEN)} small runs in {lanes} lanes a device, "
            f"{len(SEVEN) * CONFIG.iterations / seconds:,.0f} iterations/s in all"
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
