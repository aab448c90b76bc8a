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
from jaxparl.learning.lockstep import over_follow_sets
from jaxparl.learning.problem import Problem
from jaxparl.learning.state import Weights
from jaxparl.types import Offer, PyTree

#: Sets of followers that a standing offer is taken over, at most, but for very many agents.
MOST_FOLLOW_SETS = 256

_FOLLOW_SETS_SEED = 0
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
    """Sets of agents that may follow, `[M, N]` bool: those that standing offers are taken over.

    Together they show each agent what the others may do, its f_{-i}. Up to nine agents they show
    all of it, each f_{-i} once. Of more agents they are `MOST_FOLLOW_SETS` of all 2^N, always the
    same: nobody, each alone and all among them, and others of every size. All is the last one.

    Examples:
      >>> follow_sets(3).astype(int).tolist()
      [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1]]
      >>> follow_sets(20).shape
      (256, 20)
    """
    if 2 ** (num_agents - 1) <= MOST_FOLLOW_SETS:
        every = (np.arange(2**num_agents)[:, None] >> np.arange(num_agents)) % 2 == 1
        # Sets that leave out an even number of agents.
        return every[(~every).sum(axis=1) % 2 == 0]
    alone = np.eye(num_agents, dtype=bool)
    found = {row.tobytes(): row for row in (np.zeros(num_agents, bool), *alone)}
    everybody = np.ones(num_agents, bool)
    rng = np.random.default_rng(_FOLLOW_SETS_SEED)
    while len(found) < max(MOST_FOLLOW_SETS - 1, 2 * num_agents):
        # A share of its own for each: with one share for all, few sets would be small or large.
        drawn = rng.random(num_agents) < rng.random()
        if not drawn.all():
            found[drawn.tobytes()] = drawn
    return np.stack([*found.values(), everybody])


def sampling_note(num_agents: int) -> str:
    """What is to be said of offers that are not taken over everything; empty if they are.

    Examples:
      >>> sampling_note(20)
      'standing offers are taken over 256 of 524,288 follow sets'
      >>> sampling_note(9)
      ''
    """
    count, every = len(follow_sets(num_agents)), 2 ** (num_agents - 1)
    if count == every:
        return ""
    return f"standing offers are taken over {count:,} of {every:,} follow sets"


def standing_offer(learner: Learner, weights: Weights, env_state: PyTree) -> Offer:
    """What a trained principal offers in one state, whatever the other agents do.

    Following is worthwhile no matter who else follows (section 5.2 of the paper asks for dominant
    strategies); of ten agents or more, under those `follow_sets` that are looked at. Where actions
    are observed, each agent is paid the largest of its contracts over all f_{-i}. Where they are
    hidden that would be no contract for the action, as payments for other outcomes rise too; then
    it is the least contract that all f_{-i} allow. Where none does, nothing is paid, and the
    contract is flagged as not implementable.
    """
    env = learner.problem.env
    sets = jnp.asarray(follow_sets(env.num_agents))
    if env.observed_actions or len(sets) == 1:
        offered = over_follow_sets(partial(learner.offer, weights, env_state), sets)  # over M
        all_follow = jax.tree.map(lambda leaf: leaf[-1], offered)
        contract = jax.tree.map(lambda leaf: jnp.max(leaf, axis=0), offered.contract)
    else:
        all_follow = learner.offer(weights, env_state, sets[-1])
        asked = all_follow.recommendation
        contract = learner.standing_contracts(weights, env_state, asked, sets)
    return dataclasses.replace(all_follow, contract=contract)


def standing_recommendation(learner: Learner, weights: Weights, env_state: PyTree) -> jax.Array:
    """`[N]` int, what `standing_offer` recommends; without its contracts, which take long."""
    everybody = jnp.ones(learner.problem.env.num_agents, bool)
    return learner.offer(weights, env_state, everybody).recommendation


def learned_offers(learner: Learner, weights: Weights) -> Offer:
    """The standing offers of these weights in every state, `[S, N]`."""
    return in_every_state(learner.problem.env, partial(standing_offer, learner, weights))


def payments_by_action(problem: Problem, payments: jax.Array) -> jax.Array:
    """What each agent is paid for each of its actions in every state, expected, `[S, N, A]`.

    Args:
      problem: whose game has a table.
      payments: `[S, N, O]`, for each outcome.
    """
    env = problem.env
    if env.observed_actions:
        return payments
    probs = in_every_state(env, lambda state: env.outcome_probs(state, problem.env_params))
    return jax.vmap(jax.vmap(expected_payment))(payments, probs.astype(payments.dtype))  # N, S


def payments_for(by_choice: jax.Array, choice: jax.Array) -> jax.Array:
    """The payments `[..., N]` for what was chosen, of those for each action or outcome.

    Args:
      by_choice: `[..., N, A]` or `[..., N, O]`.
      choice: `[..., N]` int, an action or an outcome of each agent.

    Examples:
      >>> print(payments_for(jnp.array([[0.0, 0.5, 0.0]]), jnp.array([1])))
      [0.5]
    """
    return jnp.take_along_axis(by_choice, choice[..., None], axis=-1)[..., 0]
