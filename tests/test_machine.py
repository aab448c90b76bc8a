"""The machine and its operator: its rules by numbers worked out by hand, and its exact side."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.envs import make
from jaxparl.envs.machine import MachineState, Settings
from jaxparl.equilibrium import stationary_response, value_iteration

ENV, PARAMS = make("machine")


def at(wear):
    return MachineState(wear=jnp.int32(wear), time=jnp.int32(3))


@pytest.mark.parametrize(
    ("wear", "expected"),
    [
        # A new machine breaks down with probability 0.05, and full effort services 0.8 of the rest.
        (0, [[0.05, 0.95, 0.0], [0.05, 0.57, 0.38], [0.05, 0.19, 0.76]]),
        # One that is worn out does so with probability 0.8, and in between it is linear.
        (5, [[0.8, 0.2, 0.0], [0.8, 0.12, 0.08], [0.8, 0.04, 0.16]]),
        (2, [[0.35, 0.65, 0.0], [0.35, 0.39, 0.26], [0.35, 0.13, 0.52]]),
    ],
)
def test_wear_makes_breakdowns_likely_and_effort_services(wear, expected):
    probs = ENV.outcome_probs(at(wear), PARAMS)
    np.testing.assert_allclose(probs, [expected], atol=1e-6)


def test_only_service_mends_and_only_a_machine_that_runs_earns():
    def step(wear, effort, outcome):
        found = ENV.transitions(at(wear), jnp.array([effort]), jnp.array([outcome]), PARAMS)
        assert found.probs.tolist() == [1.0] and not found.terminated.any()
        assert found.state.time.tolist() == [4]
        return found.state.wear.item(), found.principal_reward.item(), found.agent_reward.item()

    for wear, effort, outcome, expected in (
        (0, 0, 0, (1, 0.0, 0.0)),
        (0, 1, 1, (1, 1.0, -0.05)),
        (0, 2, 2, (0, 1.0, -0.2)),
        (3, 2, 2, (2, 1.0, -0.2)),
        (5, 1, 0, (5, 0.0, -0.05)),
        (5, 0, 1, (5, 1.0, 0.0)),
    ):
        assert step(wear, effort, outcome) == pytest.approx(expected)


def test_unpaid_the_operator_does_nothing_and_the_machine_wears_out():
    table = ENV.tabular(PARAMS)
    size = ENV.settings.num_conditions
    unpaid = stationary_response(table, jnp.zeros((size, 3)), jnp.zeros(size, int))
    assert not unpaid.action.any()
    # 0.95, 0.8, 0.65, 0.5 and 0.35 in the first five steps, then 0.2 for ever.
    runs = 0.95 - 0.15 * np.minimum(np.arange(500), 5)
    expected = np.sum(0.9 ** np.arange(500) * runs)
    np.testing.assert_allclose(unpaid.principal_value[0], expected, rtol=1e-5)


def test_in_equilibrium_every_effort_is_right_in_some_condition():
    solution = value_iteration(ENV.tabular(PARAMS))
    assert solution.action.tolist() == [1, 2, 2, 2, 1, 0]
    # It pays for service alone, and a machine that is given up is not paid for.
    assert not solution.contract[:, :2].any() and not solution.contract[5].any()
    assert (solution.contract[:5, 2] > 0).all()
    # The same as by the fixed point's own equation, for the owner of a new machine.
    probs = ENV.outcome_probs(at(0), PARAMS)[0, 1]
    paid = 1 - np.array([1, 0, 0]) - np.asarray(solution.contract[0])
    later = np.asarray(solution.principal_value)[[1, 1, 0]]
    np.testing.assert_allclose(solution.principal_value[0], probs @ (paid + 0.9 * later), rtol=1e-5)


def test_an_owner_that_does_not_care_for_tomorrow_pays_for_nothing():
    solution = value_iteration(ENV.tabular(PARAMS.replace(discount=0.0)))
    assert not solution.action.any() and not solution.contract.any()
    np.testing.assert_allclose(solution.principal_value, 0.95 - 0.15 * np.arange(6), atol=1e-6)


def test_the_number_of_conditions_is_a_setting():
    env, params = make("machine", num_conditions=3)
    table = env.tabular(params)
    assert table.successor.shape == (3, 3, 1) and env.horizon is None
    np.testing.assert_allclose(table.outcome_probs[:, 0, 0], [0.05, 0.425, 0.8], atol=1e-6)
    assert env.start_probs(params).tolist() == [1, 0, 0]
    with pytest.raises(ValueError, match="max_steps_in_episode must be at least 1, not 0"):
        Settings(max_steps_in_episode=0)


def test_play_draws_what_the_table_says():
    def step(key):
        _, state, reward, _, _, info = ENV.step(key, at(2), jnp.array([2]), PARAMS)
        return info["outcome"][0], info["next_state"].wear, reward[0], state.time

    outcome, wear, reward, time = jax.jit(jax.vmap(step))(jax.random.split(jax.random.key(0), 4000))
    np.testing.assert_allclose(np.bincount(outcome) / 4000, [0.35, 0.13, 0.52], atol=0.03)
    np.testing.assert_array_equal(wear, np.where(outcome == 2, 1, 3))
    np.testing.assert_allclose(reward, -0.2)
    assert (time == 4).all()
