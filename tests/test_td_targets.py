"""The learning equations: by hand, and at the true values of a game that is solved exactly."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.learning import td_targets

PROBS = jnp.array([[0.9, 0.1], [0.2, 0.8]])


def test_the_next_state_is_worth_the_truncated_q_and_the_expected_payment():
    np.testing.assert_allclose(td_targets.agent_next_value(-0.25, 0.75), 0.5)


def test_the_agent_regresses_on_its_reward_and_the_discounted_next_value():
    np.testing.assert_allclose(td_targets.agent_target(-0.8, 1.2, 0.5), -0.2)
    np.testing.assert_allclose(td_targets.agent_target(-0.8, 0.0, 0.5), -0.8)  # the end


def test_the_principal_regresses_on_its_reward_net_of_the_weighted_payment():
    target = td_targets.principal_target(2.0, 0.5, 3.0, 0.9, 0.1)
    np.testing.assert_allclose(target, 2.0 - 0.05 + 2.7)
    target = td_targets.principal_target(2.0, 0.5, 3.0, 0.9, 1.0)
    np.testing.assert_allclose(target, 2.0 - 0.5 + 2.7)


def test_an_outcome_is_worth_the_same_whatever_was_paid_for_it():
    np.testing.assert_allclose(td_targets.outcome_worth(2.0, 3.0, 0.9), 4.7)
    free = td_targets.principal_target(2.0, 0.0, 3.0, 0.9, 1.0)
    np.testing.assert_allclose(td_targets.outcome_worth(2.0, 3.0, 0.9), free)


def test_the_outcome_matrix_turns_continuations_into_truncated_q_values():
    q = td_targets.truncated_q_from_outcomes(
        jnp.array([-0.8, 0.0]), jnp.array([1.0, 2.0]), PROBS, 0.5
    )
    # 0.9 x 1 + 0.1 x 2 = 1.1 and 0.2 x 1 + 0.8 x 2 = 1.8.
    np.testing.assert_allclose(q, [-0.8 + 0.55, 0.9], rtol=1e-6)


def test_the_outcome_matrix_turns_worth_into_contractual_q_values():
    q = td_targets.contractual_q_from_outcomes(
        jnp.array([2.0, -1.0]), PROBS, jnp.array([0.9, 0.2]), 0.5
    )
    # 0.9 x 2 - 0.1 = 1.7 and 0.2 x 2 - 0.8 = -0.4, less half of the payments.
    np.testing.assert_allclose(q, [1.7 - 0.45, -0.4 - 0.1], rtol=1e-6)


def test_the_game_of_figure_one_comes_out_as_by_hand():
    # In sL and sR the agent gets 0.1 and the principal 0.5; the contract pays 1 for L.
    probs = jnp.array([[0.9, 0.1], [0.1, 0.9]])
    q_truncated = td_targets.truncated_q_from_outcomes(
        jnp.array([-0.8, 0.0]), jnp.array([0.1, 0.1]), probs, 1.0
    )
    np.testing.assert_allclose(q_truncated, [-0.7, 0.1], rtol=1e-6)
    np.testing.assert_allclose(td_targets.agent_next_value(q_truncated[0], 0.9), 0.2, rtol=1e-6)
    left = td_targets.outcome_worth(14 / 9, 0.5, 1.0)
    right = td_targets.outcome_worth(0.0, 0.5, 1.0)
    q = td_targets.contractual_q_from_outcomes(
        jnp.array([left, right]), probs, jnp.array([0.9, 0.0]), 1.0
    )
    np.testing.assert_allclose(q[0], 1.0, rtol=1e-6)


def test_true_values_are_a_fixed_point_of_the_agents_equation(solved_tree):
    game, solution = solved_tree.game, solved_tree.solution
    from_outcomes = jax.vmap(td_targets.truncated_q_from_outcomes, (0, 0, 0, None))  # over S
    q_truncated = from_outcomes(
        game.agent_reward, solved_tree.next_agent_value, game.outcome_probs, game.discount
    )
    states = np.arange(len(solution.action))
    value = td_targets.agent_next_value(
        q_truncated[states, solution.action],
        solved_tree.contracts.expected_payment[states, solution.action],
    )
    np.testing.assert_allclose(value, solution.agent_value, atol=1e-5)


def test_true_values_are_a_fixed_point_of_the_principals_equation(solved_tree):
    game, solution = solved_tree.game, solved_tree.solution
    states = np.arange(len(solution.action))
    target = td_targets.principal_target(  # [S, O]
        game.principal_reward,
        solved_tree.contracts.payments[states, solution.action],
        solved_tree.next_principal_value,
        game.discount,
        1.0,
    )
    # The target after a single outcome is noisy; only its mean over outcomes is the value.
    mean = np.sum(game.outcome_probs[states, solution.action] * target, axis=-1)
    np.testing.assert_allclose(mean, solution.principal_value, atol=1e-5)
    assert np.abs(target - solution.principal_value[:, None]).max() > 0.1
