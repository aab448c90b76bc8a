"""Exact solutions of a `TabularGame` that is played for `T` steps.

Backward induction and best responses (Ivanov et al. 2024, arXiv 2407.18074, sections 2 and 3). Each
equation is a function of one state; the solvers map it over the states and repeat it over time.
"""

from __future__ import annotations

import functools

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl.contracts import expected_payment
from jaxparl.equilibrium.tabular import (
    Values,
    best_choice,
    check_table,
    in_one_precision,
    least_contracts,
    over_states,
    truncated_q,
    unpaid_q,
    values_after_the_end,
)
from jaxparl.numbers import ties
from jaxparl.summaries import by_shape
from jaxparl.types import TabularGame


@struct.dataclass
class Equilibrium:
    """What both players do and get, in every state and at every step.

    Attributes:
      action: `[T, S]` int32, what the agent does.
      contract: `[T, S, O]`, the payments on offer, in units of reward.
      agent_value: `[T, S]`, the agent's value of the state, this step's payment included.
      principal_value: `[T, S]`, the principal's, net of payments.
    """

    action: jax.Array
    contract: jax.Array
    agent_value: jax.Array
    principal_value: jax.Array

    __repr__ = by_shape


# --- One state: `state` is a `TabularGame` without its leading S ------------------------------


def equilibrium_backup(state: TabularGame, future: Values) -> tuple[Values, Equilibrium]:
    """What both players do in equilibrium, given the values `[S]` of the next step."""
    q_truncated = truncated_q(state, future.agent)
    choice = best_choice(state, least_contracts(state, q_truncated), future.principal)
    utility = q_truncated + expected_payment(choice.payments, state.outcome_probs)
    now = Values(agent=utility[choice.action], principal=choice.value)
    return now, Equilibrium(choice.action, choice.payments, now.agent, now.principal)


def response_backup(
    state: TabularGame, future: Values, offered: jax.Array, recommended: jax.Array
) -> tuple[Values, Equilibrium]:
    """What the agent does under the payments `offered` `[O]`, and what either player gets."""
    payments = offered.astype(state.outcome_probs.dtype)
    paid = expected_payment(payments, state.outcome_probs)
    utility = truncated_q(state, future.agent) + paid
    best = jnp.max(utility)
    # Contracts that were computed in float32 leave the agent indifferent in float32.
    is_tie = ties(utility[recommended], best, dtype=offered.dtype)
    action = jnp.where(is_tie, recommended, jnp.argmax(utility).astype(recommended.dtype))
    action = action.astype(jnp.int32)
    net = unpaid_q(state, future.principal) - paid
    now = Values(agent=utility[action], principal=net[action])
    return now, Equilibrium(action, payments, now.agent, now.principal)


# --- All states and all steps -----------------------------------------------------------------


def backward_induction(table: TabularGame, horizon: int) -> Equilibrium:
    """Returns the subgame-perfect equilibrium of a game of `horizon` steps.

    In each state the principal picks the action of the best contractual Q, the first on ties, and
    offers its least-payment contract, which the agent accepts (Ivanov et al. 2024, sections 2 and
    3).

    Args:
      table: the game as a table; where it ends both players get 0.
      horizon: T, static.

    Returns:
      An `Equilibrium` with a leading `T`, in units of reward.

    Raises:
      ValueError: outside `jit`, `check_table` finds an array invalid.

    Examples:
      In the one state, work costs the agent 0.5 and triples the chance of a success, which is worth
      2 to the principal. A failure ends the game. At the last step a success costs the principal
      1. Before, the agent also works for the value of what follows, and 0.75 is enough:

      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, backward_induction
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(1.0),
      ... )
      >>> solution = backward_induction(table, horizon=2)
      >>> print(solution.contract[:, 0])
      [[0.75 0.  ]
       [1.   0.  ]]
      >>> print(solution.agent_value[:, 0], solution.principal_value[:, 0])
      [0.25 0.25] [1.5  0.75]
    """
    check_table(table)
    return _backward_induction(table, horizon)


@functools.partial(jax.jit, static_argnums=1)
def _backward_induction(table: TabularGame, horizon: int) -> Equilibrium:
    table = in_one_precision(table)

    def step(future: Values, _: None) -> tuple[Values, Equilibrium]:
        return over_states(equilibrium_backup, table, None)(future)

    end = values_after_the_end(table)
    return jax.lax.scan(step, end, None, length=horizon, reverse=True)[1]


def best_response(
    table: TabularGame, horizon: int, contracts: ArrayLike, recommended: ArrayLike
) -> Equilibrium:
    """Returns the agent's optimum against given contracts, and what it leaves the principal.

    Args:
      table: the game as a table (Ivanov et al. 2024, section 2).
      horizon: T, static.
      contracts: `[T, S, O]`, payments in units of reward.
      recommended: `[T, S]` int, taken where it is as good as the best action, up to rounding: see
        `TIE_TOLERANCE`. Elsewhere the agent takes the best, the first on ties.

    Returns:
      An `Equilibrium` whose contracts are the given ones.

    Raises:
      ValueError: outside `jit`, `check_table` finds an array invalid.
      AssertionError: a shape is wrong.

    Examples:
      Work is recommended at both steps. Offered 1 for a success, the agent is indifferent and
      follows. Offered nothing, it shirks:

      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, best_response
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(1.0),
      ... )
      >>> contracts = jnp.array([[[1.0, 0.0]], [[0.0, 0.0]]])
      >>> response = best_response(table, 2, contracts, recommended=jnp.zeros((2, 1), int))
      >>> print(response.action[:, 0], response.principal_value[:, 0])
      [0 1] [1.125 0.5  ]
    """
    check_table(table)
    chex.assert_shape(contracts, (horizon, *table.principal_reward.shape))
    chex.assert_shape(recommended, (horizon, table.agent_reward.shape[0]))
    return _best_response(table, contracts, recommended)


@jax.jit
def _best_response(table: TabularGame, contracts: jax.Array, recommended: jax.Array) -> Equilibrium:
    table = in_one_precision(table)

    def step(future: Values, offered: tuple[jax.Array, ...]) -> tuple[Values, Equilibrium]:
        return over_states(response_backup, table, None, 0, 0)(future, *offered)

    end = values_after_the_end(table)
    return jax.lax.scan(step, end, (contracts, recommended), reverse=True)[1]
