"""The arrays that travel between modules, and the letters of their axes.

Every shape in this package is written with these letters:

    R  runs          independent trainings (games x seeds), vmapped at the very top
    E  environments  copies of the game that one run steps at once
    B  batch         transitions drawn from replay for one gradient step
    T  time          steps of a finite horizon
    S  states        states of a game that is small enough to enumerate
    N  agents
    A  actions       of one agent
    O  outcomes      what the principal can observe, and pay for
    K  successors    the states that may follow one (state, outcome)

Functions are written without the leading R, E and B axes: `vmap` adds them where
a comment names them.
"""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
from flax import struct

PyTree = Any


@struct.dataclass
class Contract:
    """What the principal offers one agent: a payment for each outcome.

    Attributes:
      payments: `[O]`, never negative (limited liability), in units of reward.
      expected_payment: `[]`, its mean over the outcomes of the recommended action.
      implementable: `[]` bool, whether any contract makes the recommended action
        a best response. Where it is False the payments are zero, not infinite.
    """

    payments: jax.Array
    expected_payment: jax.Array
    implementable: jax.Array


@struct.dataclass
class TabularGame:
    """A principal-agent MDP with one agent, written out state by state.

    Attributes:
      agent_reward: `[S, A]`, r(s, a).
      principal_reward: `[S, O]`, r_p(s, o).
      outcome_probs: `[S, A, O]`, O(s, a)(o); each row sums to 1.
      successor: `[S, O, K]` int, the states that may follow.
      successor_probs: `[S, O, K]`, T(s, o)(s'). What is missing from 1 in the last
        axis is the chance that the game ends.
      discount: `[]`, gamma, shared by principal and agent.
    """

    agent_reward: jax.Array
    principal_reward: jax.Array
    outcome_probs: jax.Array
    successor: jax.Array
    successor_probs: jax.Array
    discount: jax.Array


@struct.dataclass
class PlayValue:
    """What an episode brings, in expectation over resets, draws and new coins, undiscounted.

    Attributes:
      welfare: `[]`, the rewards of both agents, in units of reward.
      payment: `[]`, what both are paid.
      utilities: `[N]`, each agent's rewards and payments.
    """

    welfare: jax.Array
    payment: jax.Array
    utilities: jax.Array

    @property
    def payment_share(self) -> jax.Array:
        """`[]`, the payment over the welfare; 0 where there is no welfare."""
        return self.payment / jnp.where(self.welfare > 0, self.welfare, 1.0)


@struct.dataclass
class Transition:
    """One stored step of the game, as it lies in replay.

    Attributes:
      state: the game's state before the step, compact; observations are drawn from it.
      action: `[N]` int.
      outcome: `[N]` int.
      follows: `[N]` bool, which agents follow the principal in this episode.
      explores: `[N]` bool, which agents did something else than they wanted.
      agent_reward: `[N]`, payments not included (those of `validation` are: black-box agents learn
        from all that they get).
      principal_reward: `[N]`, one term per agent, payments not included.
      next_state: the state after the step, before any reset.
      discount: `[]`, 0 where the game ended, else 1 (a time limit does not end it).
    """

    state: PyTree
    action: jax.Array
    outcome: jax.Array
    follows: jax.Array
    explores: jax.Array
    agent_reward: jax.Array
    principal_reward: jax.Array
    next_state: PyTree
    discount: jax.Array


@struct.dataclass
class Offer:
    """What the principal puts before each agent in one state.

    Attributes:
      recommendation: `[N]` int, the action it asks for.
      contract: the contract for it, payments `[N, O]`.
      own_action: `[N]` int, what the agent would do without a payment.
      agent_value: `[N]`, Q-bar of the recommended action plus the expected payment.
      principal_value: `[N]`, q of the recommended action.
    """

    recommendation: jax.Array
    contract: Contract
    own_action: jax.Array
    agent_value: jax.Array
    principal_value: jax.Array


@struct.dataclass
class PlayerState:
    """The learning state of the principal, or of all agents together (they share weights).

    Attributes:
      params: weights of the online network.
      target_params: weights of the target network.
      optimizer_state: of optax' optimiser.
    """

    params: PyTree
    target_params: PyTree
    optimizer_state: PyTree
