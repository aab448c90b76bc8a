"""The two forms of the critics: where they agree, and that true values leave no error."""

import itertools
from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.config import Config
from jaxparl.critics import AGENT_CRITICS, PRINCIPAL_CRITICS

ALPHA = 0.3


@pytest.mark.parametrize("critics", [AGENT_CRITICS, PRINCIPAL_CRITICS])
def test_every_form_that_a_config_may_name_exists(critics):
    assert set(critics) == set(get_args(get_type_hints(Config)["critic"]))


def test_a_network_has_one_output_for_everything_that_is_learned():
    # 3 actions and 5 outcomes, so that one cannot pass for the other.
    assert AGENT_CRITICS["per_action"](3, 5).num_outputs == 3
    assert AGENT_CRITICS["per_outcome"](3, 5).num_outputs == 3 + 5
    assert PRINCIPAL_CRITICS["per_action"](3, 5).num_outputs == 3
    assert PRINCIPAL_CRITICS["per_outcome"](3, 5).num_outputs == 5


# --- By hand, with 2 actions and 3 outcomes ---------------------------------------------------


def test_per_action_the_outputs_are_the_q_values():
    outputs, probs = jnp.array([0.5, -1.0]), jnp.full((2, 3), 1 / 3)
    agent, principal = AGENT_CRITICS["per_action"](2, 3), PRINCIPAL_CRITICS["per_action"](2, 3)
    np.testing.assert_array_equal(agent.q_truncated(outputs, probs, 0.9), outputs)
    q = principal.q_contractual(outputs, probs, jnp.array([7.0, 8.0]), ALPHA)
    np.testing.assert_array_equal(q, outputs)


def test_per_action_errors_come_out_as_by_hand():
    outputs = jnp.array([0.5, -1.0])
    agent, principal = AGENT_CRITICS["per_action"](2, 3), PRINCIPAL_CRITICS["per_action"](2, 3)
    # Whatever the outcome: -1 - (-0.2 + 0.5 x 4).
    for outcome in range(3):
        errors = agent.errors(outputs, 1, outcome, -0.2, 4.0, 0.5)
        np.testing.assert_allclose(errors, [-2.8], rtol=1e-6)
    # -1 - (2 - 0.3 x 1 + 0.5 x 4).
    error = principal.error(outputs, 1, 0, 2.0, 1.0, 4.0, 0.5, ALPHA)
    np.testing.assert_allclose(error, -4.7, rtol=1e-6)


def test_per_outcome_q_values_come_out_as_by_hand():
    probs = jnp.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]])
    agent, principal = AGENT_CRITICS["per_outcome"](2, 3), PRINCIPAL_CRITICS["per_outcome"](2, 3)
    q_truncated = agent.q_truncated(jnp.array([-1.0, -2.0, 1.0, 2.0, 3.0]), probs, 0.5)
    np.testing.assert_allclose(q_truncated, [-1 + 0.75, -2 + 1.4], rtol=1e-6)
    q = principal.q_contractual(jnp.array([1.0, 2.0, 3.0]), probs, jnp.array([1.0, 0.0]), ALPHA)
    np.testing.assert_allclose(q, [1.5 - 0.3, 2.8], rtol=1e-6)


def test_per_outcome_errors_come_out_as_by_hand():
    agent, principal = AGENT_CRITICS["per_outcome"](2, 3), PRINCIPAL_CRITICS["per_outcome"](2, 3)
    # The reward of action 1, then the continuation after outcome 2; the discount is not in it.
    errors = agent.errors(jnp.array([-1.0, -2.0, 1.0, 2.0, 3.0]), 1, 2, -0.2, 4.0, 0.5)
    np.testing.assert_allclose(errors, [-1.8, -1.0], rtol=1e-6)
    # 3 - (2 + 0.5 x 4): neither the action nor what was paid for it is in the worth of an outcome.
    for action, payment in itertools.product(range(2), (0.0, 1.0)):
        error = principal.error(
            jnp.array([1.0, 2.0, 3.0]), action, 2, 2.0, payment, 4.0, 0.5, ALPHA
        )
        np.testing.assert_allclose(error, -1.0, rtol=1e-6)


# --- Observed actions: the outcome matrix is the identity -------------------------------------


@pytest.mark.parametrize("action", range(4))
def test_with_observed_actions_the_agents_forms_are_the_same_update(action):
    rng = np.random.default_rng(action)
    outputs, reward, next_value = rng.normal(size=8).astype(np.float32), 0.3, 1.7
    form, paper = AGENT_CRITICS["per_outcome"](4, 4), AGENT_CRITICS["per_action"](4, 4)
    q = form.q_truncated(outputs, jnp.eye(4), 0.9)
    np.testing.assert_allclose(q, outputs[:4] + 0.9 * outputs[4:], rtol=1e-5)
    # The paper's error is that of the reward and that of the discounted continuation, added.
    of_reward, of_continuation = form.errors(outputs, action, action, reward, next_value, 0.9)
    (error,) = paper.errors(q, action, action, reward, next_value, 0.9)
    np.testing.assert_allclose(of_reward + 0.9 * of_continuation, error, atol=1e-5)


@pytest.mark.parametrize("action", range(4))
def test_with_observed_actions_the_principals_forms_are_the_same_update(action):
    rng = np.random.default_rng(action)
    worth, payment = rng.normal(size=(2, 4)).astype(np.float32)
    form, paper = PRINCIPAL_CRITICS["per_outcome"](4, 4), PRINCIPAL_CRITICS["per_action"](4, 4)
    # An action that is observed is paid for with certainty: the expected payment is the payment.
    q = form.q_contractual(worth, jnp.eye(4), payment, ALPHA)
    step = (action, action, 2.0, payment[action], 1.7, 0.9, ALPHA)
    np.testing.assert_allclose(form.error(worth, *step), paper.error(q, *step), atol=1e-5)


# --- True values leave no error ---------------------------------------------------------------


def exact_outputs(tree, form):
    """What networks of that form would put out if they were right: agent's and principal's."""
    game = tree.game
    worth = game.principal_reward + game.discount * tree.next_principal_value
    if form == "per_outcome":
        return np.concatenate([game.agent_reward, tree.next_agent_value], axis=-1), worth

    def mean(values):
        return np.einsum("sao,so->sa", game.outcome_probs, values)

    q_truncated = game.agent_reward + game.discount * mean(tree.next_agent_value)
    return q_truncated, mean(worth) - tree.contracts.expected_payment


def errors_everywhere(tree, form):
    """Errors of the agent `[S, A, O, k]` and the principal `[S, A, O]`, after every outcome."""
    agent, principal = AGENT_CRITICS[form](2, 2), PRINCIPAL_CRITICS[form](2, 2)
    game = tree.game

    def errors(state, action, outcome):
        agent_outputs, principal_outputs = (
            jnp.asarray(outputs)[state] for outputs in exact_outputs(tree, form)
        )
        of_agent = agent.errors(
            agent_outputs,
            action,
            outcome,
            jnp.asarray(game.agent_reward)[state, action],
            jnp.asarray(tree.next_agent_value)[state, outcome],
            game.discount,
        )
        of_principal = principal.error(
            principal_outputs,
            action,
            outcome,
            jnp.asarray(game.principal_reward)[state, outcome],
            tree.contracts.payments[state, action, outcome],
            jnp.asarray(tree.next_principal_value)[state, outcome],
            game.discount,
            1.0,
        )
        return of_agent, of_principal

    over_outcomes = jax.vmap(errors, (None, None, 0))
    over_actions = jax.vmap(over_outcomes, (None, 0, None))
    over_states = jax.jit(jax.vmap(over_actions, (0, None, None)))
    return over_states(np.arange(len(game.agent_reward)), np.arange(2), np.arange(2))


def test_per_outcome_true_values_leave_no_error_after_any_outcome(solved_tree):
    of_agent, of_principal = errors_everywhere(solved_tree, "per_outcome")
    assert of_agent.shape == (15, 2, 2, 2) and of_principal.shape == (15, 2, 2)
    np.testing.assert_allclose(of_agent, 0, atol=1e-5)
    np.testing.assert_allclose(of_principal, 0, atol=1e-5)


def test_per_action_true_values_leave_no_error_on_average_over_the_outcomes(solved_tree):
    of_agent, of_principal = errors_everywhere(solved_tree, "per_action")
    assert of_agent.shape == (15, 2, 2, 1) and of_principal.shape == (15, 2, 2)
    assert solved_tree.contracts.implementable.all()
    for error in (of_agent[..., 0], of_principal):
        mean = np.sum(solved_tree.game.outcome_probs * error, axis=-1)
        np.testing.assert_allclose(mean, 0, atol=1e-5)
        # Each outcome by itself pulls at a value that is right: the luck that the other form
        # takes out of the targets.
        assert np.abs(error).max() > 0.01


@pytest.mark.parametrize("form", sorted(AGENT_CRITICS))
def test_true_outputs_give_the_values_and_the_actions_of_the_equilibrium(solved_tree, form):
    game, solution, contracts = solved_tree.game, solved_tree.solution, solved_tree.contracts
    of_agent, of_principal = exact_outputs(solved_tree, form)
    agent, principal = AGENT_CRITICS[form](2, 2), PRINCIPAL_CRITICS[form](2, 2)
    probs = game.outcome_probs
    # over S
    q_truncated = jax.vmap(agent.q_truncated, (0, 0, None))(of_agent, probs, game.discount)
    q = jax.vmap(principal.q_contractual, (0, 0, 0, None))(
        of_principal, probs, contracts.expected_payment, 1.0
    )
    np.testing.assert_array_equal(np.argmax(q, axis=-1), solution.action)
    np.testing.assert_allclose(np.max(q, axis=-1), solution.principal_value, atol=1e-5)
    utility = np.asarray(q_truncated + contracts.expected_payment)
    states = np.arange(len(solution.action))
    np.testing.assert_allclose(utility[states, solution.action], solution.agent_value, atol=1e-5)
