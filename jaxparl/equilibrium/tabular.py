"""One step of a `TabularGame`: whether its arrays are valid, and what they say about a state.

The equations are those of Ivanov et al. 2024 (arXiv 2407.18074, section 3). Each is a function of
one state: `state` is a `TabularGame` without its leading `S`, and `over_states` maps over it.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Concatenate, ParamSpec, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from jax.core import Tracer

from jaxparl.contracts import expected_payment, minimal_contract
from jaxparl.numbers import precision_of
from jaxparl.types import Contract, TabularGame

# By how much a row of probabilities, rounded to float32, may miss its sum.
_ROW_SLACK = 1e-4

Args = ParamSpec("Args")
Result = TypeVar("Result")


def check_table(table: TabularGame, has_horizon: bool = True) -> None:
    """Raises `ValueError`, in one line, if an array of the table is invalid.

    Traced arrays, inside `jit` or `vmap`, have no values to check and pass.

    Args:
      table: the game as a table, or a stack of tables.
      has_horizon: if not, the discount must be below 1.

    Examples:
      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, check_table
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(1.0),
      ... )
      >>> check_table(table)
      >>> check_table(table, has_horizon=False)
      Traceback (most recent call last):
      ValueError: the table has a discount of 1 but no horizon
      >>> check_table(table.replace(outcome_probs=jnp.ones((1, 2, 2))))
      Traceback (most recent call last):
      ValueError: the table has a row of outcome_probs that does not sum to 1
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(table)):
        return
    arrays = jax.tree.map(np.asarray, table)
    for complaint, is_true in _complaints(arrays, has_horizon).items():
        if is_true:
            raise ValueError(f"the table has {complaint}")


def in_one_precision(table: TabularGame) -> TabularGame:
    """The same table with all its numbers in float64 if some of them are, else in float32.

    Examples:
      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium.tabular import in_one_precision
      >>> rewards, probs = jnp.array([[0, 1]]), jnp.full((1, 2, 2), 0.5)
      >>> nowhere = jnp.zeros((1, 2, 1), int)
      >>> table = TabularGame(rewards, rewards, probs, nowhere, nowhere, discount=1)
      >>> in_one_precision(table).agent_reward
      Array([[0., 1.]], dtype=float32)
    """
    numbers = {name: leaf for name, leaf in vars(table).items() if name != "successor"}
    dtype = precision_of(*numbers.values())
    cast = {name: jnp.asarray(leaf, dtype) for name, leaf in numbers.items()}
    return dataclasses.replace(table, **cast)


def _complaints(arrays: TabularGame, has_horizon: bool) -> dict[str, bool]:
    """What may be wrong, the first to be reported first, and whether it is."""
    states = arrays.agent_reward.shape[-2]
    rows, ongoing = arrays.outcome_probs.sum(-1), arrays.successor_probs.sum(-1)
    outside = (arrays.successor < 0) | (arrays.successor >= states)
    discount = arrays.discount
    is_wrong = {
        "NaN or infinity": any(~np.isfinite(leaf).all() for leaf in jax.tree.leaves(arrays)),
        "a negative outcome probability": (arrays.outcome_probs < 0).any(),
        "a negative successor probability": (arrays.successor_probs < 0).any(),
        "a row of outcome_probs that does not sum to 1": (np.abs(rows - 1) > _ROW_SLACK).any(),
        "a row of successor_probs that sums to more than 1": (ongoing > 1 + _ROW_SLACK).any(),
        f"a successor outside of its {states} states": outside.any(),
        "a discount outside of [0, 1]": ((discount < 0) | (discount > 1)).any(),
        "a discount of 1 but no horizon": not has_horizon and (discount == 1).any(),
    }
    return {complaint: bool(is_true) for complaint, is_true in is_wrong.items()}


@struct.dataclass
class Values:
    """The value of each state to either player, from some step on.

    Attributes:
      agent: `[S]`, in units of reward.
      principal: `[S]`, in units of reward, net of payments.
    """

    agent: jax.Array
    principal: jax.Array


@struct.dataclass
class PrincipalChoice:
    """The principal's optimum in one state.

    Attributes:
      q: `[A]`, contractual Q: the principal's value of each action at its least price. It has no
        meaning where the action is not implementable.
      implementable: `[A]` bool.
      action: `[]` int32, the implementable action of the best `q`, the first on ties.
      payments: `[O]`, its least-payment contract.
      value: `[]`, its `q`.
    """

    q: jax.Array
    implementable: jax.Array
    action: jax.Array
    payments: jax.Array
    value: jax.Array


# --- One state: `state` is a `TabularGame` without its leading S ------------------------------


def truncated_q(state: TabularGame, agent_value: jax.Array) -> jax.Array:
    """The agent's value `[A]` of each action without this step's payment.

    `agent_value` is `[S]`, of the next step.
    """
    continuation = _continuation(state, agent_value)
    return state.agent_reward + jnp.sum(state.outcome_probs * continuation[None], axis=-1)


def unpaid_q(state: TabularGame, principal_value: jax.Array) -> jax.Array:
    """The principal's value `[A]` of each action before it pays for it.

    `principal_value` is `[S]`, of the next step.
    """
    by_outcome = state.principal_reward + _continuation(state, principal_value)
    return jnp.sum(state.outcome_probs * by_outcome[None], axis=-1)


def least_contracts(state: TabularGame, q_truncated: jax.Array) -> Contract:
    """The least-payment contract of every action, with a leading `A`."""
    actions = jnp.arange(q_truncated.shape[0])
    # Over A, the action to implement.
    contracts = jax.vmap(minimal_contract, in_axes=(None, None, 0))
    return contracts(q_truncated, state.outcome_probs, actions)


def best_choice(
    state: TabularGame, contracts: Contract, principal_value: jax.Array
) -> PrincipalChoice:
    """The principal's best action at its least price.

    `contracts` has a leading `A`; `principal_value` is `[S]`, of the next step.
    """
    q = unpaid_q(state, principal_value) - contracts.expected_payment
    worst = jnp.finfo(q.dtype).min  # Only for the argmax: it enters nobody's value.
    action = jnp.argmax(jnp.where(contracts.implementable, q, worst)).astype(jnp.int32)
    payments = contracts.payments[action]
    return PrincipalChoice(q, contracts.implementable, action, payments, q[action])


def agent_backup(
    state: TabularGame, value: jax.Array, payments: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """The agent's value `[]` of its best action under `payments` `[O]`, and its truncated Q `[A]`.

    `value` is `[S]`, of the next step.
    """
    q_truncated = truncated_q(state, value)
    utility = q_truncated + expected_payment(payments, state.outcome_probs)
    return jnp.max(utility), q_truncated


def _continuation(state: TabularGame, value: jax.Array) -> jax.Array:
    """Discounted value `[O]` of what follows each outcome; the end is worth zero."""
    return state.discount * jnp.sum(state.successor_probs * value[state.successor], axis=-1)


# --- All states -------------------------------------------------------------------------------


def over_states(
    function: Callable[Concatenate[TabularGame, Args], Result],
    table: TabularGame,
    *in_axes: int | None,
) -> Callable[Args, Result]:
    """Maps a function of one state over `S`.

    Args:
      function: its first argument is the state.
      table: all states.
      in_axes: of the other arguments of `function`, as `vmap` takes them.

    Returns:
      The function of those other arguments; its results have a leading `S`.
    """
    axes = jax.tree.map(lambda leaf: 0, table)
    axes = dataclasses.replace(axes, discount=None)  # Shared by all states.
    return functools.partial(jax.vmap(function, in_axes=(axes, *in_axes)), table)


def values_after_the_end(table: TabularGame) -> Values:
    """Zero for both players in all states."""
    zeros = jnp.zeros(table.agent_reward.shape[0], table.outcome_probs.dtype)
    return Values(agent=zeros, principal=zeros)
