"""Standing offers where actions are hidden: one contract that holds whoever follows."""

from __future__ import annotations

import types
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from jaxparl.config import Config
from jaxparl.contracts import incentive_slack, minimal_contract
from jaxparl.evaluation.offers import follow_sets, standing_offer
from jaxparl.learning.lockstep import Lockstep
from jaxparl.learning.principal import Principal
from jaxparl.learning.problem import Problem

ACTIONS, OUTCOMES, NUDGE, COUNT = 3, 4, 0.01, 200


def stub_learner(num_agents: int) -> Lockstep:
    """A learner whose state is all that it knows.

    A state is `(q, probs, outputs)`: Q-values `[M, N, A]` by what the others do, outcome
    probabilities `[N, A, O]` and the principal's `[N, A]`.
    """
    env = types.SimpleNamespace(
        num_agents=num_agents,
        num_actions=ACTIONS,
        observed_actions=False,
        identifies_agents=False,
        get_obs=lambda env_state, env_params: env_state,
    )
    hyper_params = types.SimpleNamespace(nudge=NUDGE)
    problem = Problem(Config(), env, None, hyper_params)  # type: ignore[arg-type]

    def q_values(params, observation, bits, probs):
        number = (bits @ 2 ** jnp.arange(num_agents - 1)).astype(int)
        return observation[0][number, jnp.arange(num_agents)]

    principal = Principal(
        problem=problem,
        critic=types.SimpleNamespace(q_contractual=lambda outputs, probs, payment: outputs),
        network=types.SimpleNamespace(apply=lambda params, observation, bits: observation[2]),
        optimizer=None,  # type: ignore[arg-type]
    )
    agent = types.SimpleNamespace(q_values=q_values)
    model = types.SimpleNamespace(probs=lambda params, env_state, observation: env_state[1])
    return Lockstep(problem, agent, principal, model)  # type: ignore[arg-type]


def random_states(num_agents: int):
    """`COUNT` states of a stub learner."""
    rng = np.random.default_rng(num_agents)
    sets = 2 ** (num_agents - 1)
    return (
        rng.uniform(-1, 0, (COUNT, sets, num_agents, ACTIONS)).astype(np.float32),
        rng.dirichlet(np.ones(OUTCOMES), (COUNT, num_agents, ACTIONS)).astype(np.float32),
        rng.uniform(0, 2, (COUNT, num_agents, ACTIONS)).astype(np.float32),
    )


WEIGHTS = types.SimpleNamespace(principal=None, agent=None, agent_average=None, outcome_model=None)


def least_joint_payment(q, probs, action):
    """The least expected payment under all Q-values `[M, A]` at once by HiGHS, None without one."""
    others = [other for other in range(ACTIONS) if other != action]
    result = linprog(
        probs[action],
        A_ub=np.concatenate([probs[others] - probs[action]] * len(q)),
        b_ub=np.concatenate([row[action] - row[others] - NUDGE for row in q]),
        bounds=(0, None),
        method="highs",
    )
    return result.fun if result.status == 0 else None


def slack(q, probs, action, payments):
    """The least slack under any Q-values `[M, A]`."""
    each = jax.vmap(incentive_slack, (0, None, None, None))
    return jnp.min(each(q, probs, action, payments))


@pytest.mark.parametrize("num_agents", [2, 3])
def test_a_standing_offer_implements_its_action_whoever_follows_and_at_the_least_price(num_agents):
    learner, states = stub_learner(num_agents), random_states(num_agents)
    q, probs, _ = states
    offered = jax.jit(jax.vmap(partial(standing_offer, learner, WEIGHTS)))(states)
    by_agent = np.moveaxis(q, 1, 2)  # [COUNT, N, M, A]
    action, payments = offered.recommendation, offered.contract.payments
    found = jax.vmap(jax.vmap(slack))(by_agent, probs, action, payments)

    implementable, price = map(
        np.asarray, (offered.contract.implementable, offered.contract.expected_payment)
    )
    for place in np.ndindex(COUNT, num_agents):
        least = least_joint_payment(by_agent[place], probs[place], int(action[place]))
        assert implementable[place] == (least is not None)
        if least is not None:
            assert found[place] >= NUDGE - 1e-5
            assert price[place] == pytest.approx(least, rel=1e-4, abs=1e-5)
    assert implementable.mean() > 0.3

    # The largest payment for each outcome is no contract: it often leaves something to gain.
    @jax.jit
    @jax.vmap
    def largest(state):
        sets = jnp.array([s for s in follow_sets(num_agents) if (~s).sum() % 2 == 0])
        each = jax.vmap(partial(learner.offer, WEIGHTS, state))(sets)  # over M
        return each.contract.payments.max(axis=0)

    wrong = jax.vmap(jax.vmap(slack))(by_agent, probs, action, largest(states))
    assert np.mean(np.asarray(wrong)[implementable] < -1e-3) > 0.05


def test_one_agent_is_offered_its_least_contract_to_the_bit():
    learner, states = stub_learner(1), random_states(1)

    @jax.jit
    @jax.vmap
    def offered_and_least(state):
        offered = standing_offer(learner, WEIGHTS, state)
        q, probs, _ = state
        return offered.contract, minimal_contract(
            q[0, 0], probs[0], offered.recommendation[0], NUDGE
        )

    pairs = zip(*map(jax.tree.leaves, offered_and_least(states)), strict=True)
    for leaf, expected in pairs:
        np.testing.assert_array_equal(leaf[:, 0], expected)
