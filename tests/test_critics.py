"""The two forms of the critics: where they agree, and that true values leave no error."""

import itertools
from typing import get_args, get_type_hints

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.config import Config
from jaxparl.learning.critics import AGENT_CRITICS, PRINCIPAL_CRITICS

GAMMA, ALPHA = 0.5, 0.3


def agent_critic(form, num_actions=2, num_outcomes=3, gamma=GAMMA):
    return AGENT_CRITICS[form](num_actions, num_outcomes, gamma)


def principal_critic(form, num_actions=2, num_outcomes=3, gamma=GAMMA, alpha=ALPHA):
    return PRINCIPAL_CRITICS[form](num_actions, num_outcomes, gamma, alpha)


@pytest.mark.parametrize("critics", [AGENT_CRITICS, PRINCIPAL_CRITICS])
def test_every_form_that_a_config_may_name_exists(critics):
    assert set(critics) == set(get_args(get_type_hints(Config)["critic"]))


def test_a_network_has_one_output_for_everything_that_is_learned():
    # 3 actions and 5 outcomes, so that one cannot pass for the other.
    assert agent_critic("per_action", 3, 5).num_outputs == 3
    assert agent_critic("per_outcome", 3, 5).num_outputs == 3 + 5
    assert principal_critic("per_action", 3, 5).num_outputs == 3
    assert principal_critic("per_outcome", 3, 5).num_outputs == 5


# --- By hand, with 2 actions and 3 outcomes ---------------------------------------------------


def test_per_action_the_outputs_are_the_q_values():
    outputs, probs = jnp.array([0.5, -1.0]), jnp.full((2, 3), 1 / 3)
    agent, principal = agent_critic("per_action"), principal_critic("per_action")
    np.testing.assert_array_equal(agent.q_values(outputs, probs), outputs)
    q = principal.q_contractual(outputs, probs, jnp.array([7.0, 8.0]))
    np.testing.assert_array_equal(q, outputs)


def test_per_action_errors_come_out_as_by_hand():
    outputs = jnp.array([0.5, -1.0])
    agent, principal = agent_critic("per_action"), principal_critic("per_action")
    # Whatever the outcome: -1 - (-0.2 + 0.5 x 4).
    for outcome in range(3):
        errors = agent.errors(outputs, 1, outcome, -0.2, 4.0)
        np.testing.assert_allclose(errors, [-2.8], rtol=1e-6)
    # -1 - (2 - 0.3 x 1 + 0.5 x 4).
    error = principal.error(outputs, action=1, outcome=0, reward=2.0, payment=1.0, next_value=4.0)
    np.testing.assert_allclose(error, -4.7, rtol=1e-6)


def test_per_outcome_q_values_come_out_as_by_hand():
    probs = jnp.array([[0.5, 0.5, 0.0], [0.0, 0.2, 0.8]])
    agent, principal = agent_critic("per_outcome"), principal_critic("per_outcome")
    q_truncated = agent.q_values(jnp.array([-1.0, -2.0, 1.0, 2.0, 3.0]), probs)
    np.testing.assert_allclose(q_truncated, [-1 + 0.75, -2 + 1.4], rtol=1e-6)
    q = principal.q_contractual(jnp.array([1.0, 2.0, 3.0]), probs, jnp.array([1.0, 0.0]))
    np.testing.assert_allclose(q, [1.5 - 0.3, 2.8], rtol=1e-6)


def test_per_outcome_errors_come_out_as_by_hand():
    agent, principal = agent_critic("per_outcome"), principal_critic("per_outcome")
    # The reward of action 1, then the continuation after outcome 2; gamma is not in it.
    errors = agent.errors(jnp.array([-1.0, -2.0, 1.0, 2.0, 3.0]), 1, 2, -0.2, 4.0)
    np.testing.assert_allclose(errors, [-1.8, -1.0], rtol=1e-6)
    # 3 - (2 + 0.5 x 4): neither the action nor what was paid for it is in the worth of an outcome.
    for action, payment in itertools.product(range(2), (0.0, 1.0)):
        error = principal.error(
            jnp.array([1.0, 2.0, 3.0]),
            action=action,
            outcome=2,
            reward=2.0,
            payment=payment,
            next_value=4.0,
        )
        np.testing.assert_allclose(error, -1.0, rtol=1e-6)


# --- Observed actions: the outcome matrix is the identity -------------------------------------


@pytest.mark.parametrize("action", range(4))
def test_with_observed_actions_the_agents_forms_are_the_same_update(action):
    rng = np.random.default_rng(action)
    outputs, reward, next_value = rng.normal(size=8).astype(np.float32), 0.3, 1.7
    form, paper = (agent_critic(name, 4, 4, 0.9) for name in ("per_outcome", "per_action"))
    q = form.q_values(outputs, jnp.eye(4))
    np.testing.assert_allclose(q, outputs[:4] + 0.9 * outputs[4:], rtol=1e-5)
    # The paper's error is that of the reward and that of the discounted continuation, added.
    of_reward, of_continuation = form.errors(outputs, action, action, reward, next_value)
    (error,) = paper.errors(q, action, action, reward, next_value)
    np.testing.assert_allclose(of_reward + 0.9 * of_continuation, error, atol=1e-5)


@pytest.mark.parametrize("action", range(4))
def test_with_observed_actions_the_principals_forms_are_the_same_update(action):
    rng = np.random.default_rng(action)
    worth, payment = rng.normal(size=(2, 4)).astype(np.float32)
    form, paper = (principal_critic(name, 4, 4, 0.9) for name in ("per_outcome", "per_action"))
    # An action that is observed is paid for with certainty: the expected payment is the payment.
    q = form.q_contractual(worth, jnp.eye(4), payment)
    step = dict(action=action, outcome=action, reward=2.0, payment=payment[action], next_value=1.7)
    np.testing.assert_allclose(form.error(worth, **step), paper.error(q, **step), atol=1e-5)


# --- True values leave no error ---------------------------------------------------------------


def exact_outputs(tree, form):
    """What networks of that form would put out if they were right: agent's and principal's."""
    table = tree.game
    worth = table.principal_reward + table.discount * tree.next_principal_value
    if form == "per_outcome":
        return np.concatenate([table.agent_reward, tree.next_agent_value], axis=-1), worth

    def mean(values):
        return np.einsum("sao,so->sa", table.outcome_probs, values)

    q_truncated = table.agent_reward + table.discount * mean(tree.next_agent_value)
    return q_truncated, mean(worth) - tree.contracts.expected_payment


def errors_everywhere(tree, form):
    """Errors of the agent `[S, A, O, k]` and the principal `[S, A, O]`, after every outcome."""
    gamma = float(tree.game.discount)
    agent = agent_critic(form, 2, 2, gamma)
    principal = principal_critic(form, 2, 2, gamma, alpha=1.0)
    table, tree, outputs = jax.tree.map(jnp.asarray, (tree.game, tree, exact_outputs(tree, form)))

    def errors(state, action, outcome):
        of_agent = agent.errors(
            outputs[0][state],
            action,
            outcome,
            table.agent_reward[state, action],
            tree.next_agent_value[state, outcome],
        )
        of_principal = principal.error(
            outputs[1][state],
            action=action,
            outcome=outcome,
            reward=table.principal_reward[state, outcome],
            payment=tree.contracts.payments[state, action, outcome],
            next_value=tree.next_principal_value[state, outcome],
        )
        return of_agent, of_principal

    over_outcomes = jax.vmap(errors, (None, None, 0))
    over_actions = jax.vmap(over_outcomes, (None, 0, None))
    over_states = jax.jit(jax.vmap(over_actions, (0, None, None)))
    return over_states(np.arange(len(table.agent_reward)), np.arange(2), np.arange(2))


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
        # After a single outcome the error is not 0, though the value is right: the other form
        # takes this noise out of the targets.
        assert np.abs(error).max() > 0.01


@pytest.mark.parametrize("form", sorted(AGENT_CRITICS))
def test_true_outputs_give_the_values_and_the_actions_of_the_equilibrium(solved_tree, form):
    table, solution, contracts = solved_tree.game, solved_tree.solution, solved_tree.contracts
    gamma = float(table.discount)
    of_agent, of_principal = exact_outputs(solved_tree, form)
    agent = agent_critic(form, 2, 2, gamma)
    principal = principal_critic(form, 2, 2, gamma, alpha=1.0)
    q_truncated = jax.vmap(agent.q_values)(of_agent, table.outcome_probs)  # over S
    q = jax.vmap(principal.q_contractual)(  # over S
        of_principal, table.outcome_probs, contracts.expected_payment
    )
    np.testing.assert_array_equal(np.argmax(q, axis=-1), solution.action)
    np.testing.assert_allclose(np.max(q, axis=-1), solution.principal_value, atol=1e-5)
    utility = np.asarray(q_truncated + contracts.expected_payment)
    states = np.arange(len(solution.action))
    np.testing.assert_allclose(utility[states, solution.action], solution.agent_value, atol=1e-5)
