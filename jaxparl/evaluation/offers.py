"""Standing offers of learned weights, in one state or in every state."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.contracts import expected_payment
from jaxparl.environment import Environment
from jaxparl.learning.learner import Learner
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import Offer, PyTree

# The observations of all states of a large game at once would not fit into a cache.
_STATES_AT_ONCE = 4096


def in_every_state(env: Environment, of_state: Callable[[PyTree], PyTree]) -> PyTree:
    """Applies a function of one state to all enumerated states, which adds a leading axis `S`.

    Raises:
      ValueError: the states of the environment are not enumerated.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, _ = make("game_tree", depth=3)
      >>> in_every_state(env, lambda env_state: env_state.time).tolist()
      [0, 1, 1, 2, 2, 2, 2]
    """
    if env.exact is None:
        raise ValueError(f"the states of {env.name} are not enumerated")
    states = env.exact.states()
    count = len(jax.tree.leaves(states)[0])
    # XLA-14, see docs/xla.md.
    # A number that divides S if possible: a remainder would be compiled as a program of its own.
    most = min(count, _STATES_AT_ONCE)
    at_once = next((size for size in range(most, most // 2, -1) if count % size == 0), most)
    return jax.lax.map(of_state, states, batch_size=at_once)  # over S


def follow_sets(num_agents: int) -> np.ndarray:
    """All M = 2^N sets of agents that may follow, `[M, N]` bool. Bit i of m says if agent i does.

    Examples:
      >>> follow_sets(2).astype(int).tolist()
      [[0, 0], [1, 0], [0, 1], [1, 1]]
    """
    return (np.arange(2**num_agents)[:, None] >> np.arange(num_agents)) % 2 == 1


def standing_offer(learner: Learner, weights: Weights, env_state: PyTree) -> Offer:
    """What a trained principal offers in one state, whatever the other agents do.

    Following is worthwhile no matter who else follows (section 5.2 of the paper asks for dominant
    strategies). Where actions are observed, each agent is paid the largest of its contracts over
    all f_{-i}. Where they are hidden that would be no contract for the action, as payments for
    other outcomes rise too; then it is the least contract that all f_{-i} allow.
    """
    env = learner.problem.env
    sets = follow_sets(env.num_agents)
    # Sets that leave out an even number of agents: these show each agent every f_{-i} once.
    sets = jnp.asarray(sets[(~sets).sum(axis=1) % 2 == 0])
    offered = jax.vmap(partial(learner.offer, weights, env_state))(sets)  # over M
    all_follow = jax.tree.map(lambda leaf: leaf[-1], offered)
    if env.observed_actions or len(sets) == 1:
        contract = jax.tree.map(lambda leaf: jnp.max(leaf, axis=0), offered.contract)
    else:
        asked = all_follow.recommendation
        contract = learner.standing_contracts(weights, env_state, asked, sets)
    return dataclasses.replace(all_follow, contract=contract)


def learned_offers(learner: Learner, weights: Weights) -> Offer:
    """The standing offers of these weights in every state, `[S, N]`."""
    return in_every_state(learner.problem.env, partial(standing_offer, learner, weights))


def payments_by_action(problem: Problem, offered: Offer) -> jax.Array:
    """What each agent is paid for each of its actions in every state, expected, `[S, N, A]`."""
    payments = offered.contract.payments
    env = problem.env
    if env.observed_actions:
        return payments
    probs = in_every_state(env, lambda state: env.outcome_probs(state, problem.env_params))
    return jax.vmap(jax.vmap(expected_payment))(payments, probs.astype(payments.dtype))  # N, S


def for_following(by_action: jax.Array, recommendation: jax.Array) -> jax.Array:
    """The payments `[..., N]` for the recommended actions, of those for each action `[..., N, A]`.

    Examples:
      >>> print(for_following(jnp.array([[0.0, 0.5, 0.0]]), jnp.array([1])))
      [0.5]
    """
    return jnp.take_along_axis(by_action, recommendation[..., None], axis=-1)[..., 0]
