"""Exact solutions of a principal-agent game that is small enough to write down.

Backward induction, best responses and the meta-algorithm of Ivanov et al. 2024 (arXiv
2407.18074, Algorithm 1) on a `TabularGame` that is played for `T` steps. Each equation is a
function of one state; the solvers map it over the states and repeat it over time. Games without
a horizon are solved in `jaxparl.stationary`, by the same equations.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax.typing import ArrayLike

from jaxparl.contracts import expected_payment
from jaxparl.tabular import (
    PrincipalChoice,
    Values,
    agent_backup,
    best_choice,
    check_game,
    least_contracts,
    over_states,
    truncated_q,
    unpaid_q,
    values_after_the_end,
)
from jaxparl.types import TabularGame as TabularGame

# A least payment leaves the agent exactly indifferent, and float32 does not see exactly. Utilities
# this close, relative to their size where that exceeds 1, are a tie.
TIE_TOLERANCE = 1e-5

# Algorithm 1 needs at most T + 1 iterations (Theorem 3.3). Were it ever to need more, it should
# be seen rather than cut off at the bound.
_ITERATIONS_BEYOND_BOUND = 3


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


@struct.dataclass
class MetaResult:
    """Where Algorithm 1 arrived and how.

    Attributes:
      equilibrium: of the last iteration.
      iterations: `[]` int32, iterations made, the one that confirms included.
      principal_q_change: `[I]`, the sup-norm change of the principal's contractual Q in each
        iteration, over the actions that are implementable before and after it. The first is
        measured from zero; those that were not made are zero.
    """

    equilibrium: Equilibrium
    iterations: jax.Array
    principal_q_change: jax.Array


# --- One state: `state` is a `TabularGame` without its leading S ------------------------------


def equilibrium_backup(state: TabularGame, future: Values) -> tuple[Values, Equilibrium]:
    """What both players do in equilibrium, given the values `[S]` of the next step."""
    q_truncated = truncated_q(state, future.agent)
    choice = best_choice(state, least_contracts(state, q_truncated), future.principal)
    utility = q_truncated + expected_payment(choice.payments, state.outcome_probs)
    now = Values(agent=utility[choice.action], principal=choice.value)
    return now, Equilibrium(choice.action, choice.payments, now.agent, now.principal)


def _response_backup(
    state: TabularGame, future: Values, payments: jax.Array, recommended: jax.Array
) -> tuple[Values, Equilibrium]:
    paid = expected_payment(payments, state.outcome_probs)
    utility = truncated_q(state, future.agent) + paid
    best = jnp.max(utility)
    is_tie = utility[recommended] >= best - TIE_TOLERANCE * jnp.maximum(1.0, jnp.abs(best))
    action = jnp.where(is_tie, recommended, jnp.argmax(utility)).astype(jnp.int32)
    net = unpaid_q(state, future.principal) - paid
    now = Values(agent=utility[action], principal=net[action])
    return now, Equilibrium(action, payments, now.agent, now.principal)


# --- All states and all steps -----------------------------------------------------------------


def backward_induction(game: TabularGame, horizon: int) -> Equilibrium:
    """The subgame-perfect equilibrium of the game of `horizon` steps.

    In each state the principal picks the action of the best contractual Q, the first on ties, and
    offers its least-payment contract; the agent takes it (Ivanov et al. 2024, sections 2 and 3).

    Args:
      game: the game; where it ends both players get 0.
      horizon: T, static.

    Returns:
      An `Equilibrium` with a leading `T`, in units of reward.

    Raises:
      ValueError: outside `jit`, `check_game` finds a table wrong.
    """
    check_game(game)
    return _backward_induction(game, horizon)


@functools.partial(jax.jit, static_argnums=1)
def _backward_induction(game: TabularGame, horizon: int) -> Equilibrium:
    def step(future: Values, _: None) -> tuple[Values, Equilibrium]:
        return over_states(equilibrium_backup, game, None)(future)

    end = values_after_the_end(game)
    return jax.lax.scan(step, end, None, length=horizon, reverse=True)[1]


def best_response(
    game: TabularGame, horizon: int, contracts: ArrayLike, recommended: ArrayLike
) -> Equilibrium:
    """The agent's optimum against given contracts, and what it leaves the principal (section 2).

    Args:
      game: the game.
      horizon: T, static.
      contracts: `[T, S, O]`, payments in units of reward.
      recommended: `[T, S]` int, taken where it is within `TIE_TOLERANCE` of the best action;
        elsewhere the agent takes the best, the first on ties.

    Returns:
      An `Equilibrium` whose contracts are the given ones.

    Raises:
      ValueError: outside `jit`, `check_game` finds a table wrong.
      AssertionError: a shape is wrong.
    """
    check_game(game)
    chex.assert_shape(contracts, (horizon, *game.principal_reward.shape))
    chex.assert_shape(recommended, (horizon, game.agent_reward.shape[0]))
    return _best_response(game, contracts, recommended)


@jax.jit
def _best_response(game: TabularGame, contracts: jax.Array, recommended: jax.Array) -> Equilibrium:
    def step(future: Values, offered: tuple[jax.Array, ...]) -> tuple[Values, Equilibrium]:
        return over_states(_response_backup, game, None, 0, 0)(future, *offered)

    end = values_after_the_end(game)
    return jax.lax.scan(step, end, (contracts, recommended), reverse=True)[1]


def meta_algorithm(game: TabularGame, horizon: int, initial_contracts: ArrayLike) -> MetaResult:
    """Algorithm 1: solves the agent's and the principal's MDP in turn until nothing changes.

    Iteration k makes the last k steps final to the bit, because it repeats the same operations on
    the same numbers. So the contracts are compared exactly, and T + 1 iterations are enough
    (Ivanov et al. 2024, Theorem 3.3).

    Args:
      game: the game.
      horizon: T, static.
      initial_contracts: `[T, S, O]`, from which to start, in units of reward.

    Returns:
      A `MetaResult` with `I = T + 1`.

    Raises:
      ValueError: outside `jit`, `check_game` finds a table wrong.
      AssertionError: a shape is wrong.
    """
    check_game(game)
    chex.assert_shape(initial_contracts, (horizon, *game.principal_reward.shape))
    return _meta_algorithm(game, initial_contracts)


@jax.jit
def _meta_algorithm(game: TabularGame, initial_contracts: jax.Array) -> MetaResult:
    bound = initial_contracts.shape[0] + 1
    result = alternate(
        functools.partial(_solve_agent, game),
        functools.partial(_solve_principal, game),
        initial_contracts,
        tolerance=0.0,
        cap=bound + _ITERATIONS_BEYOND_BOUND,
    )
    return dataclasses.replace(result, principal_q_change=result.principal_q_change[:bound])


def _solve_agent(game: TabularGame, contracts: jax.Array) -> tuple[jax.Array, jax.Array]:
    def step(
        value: jax.Array, payments: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        value, q_truncated = over_states(agent_backup, game, None, 0)(value, payments)
        return value, (value, q_truncated)

    return jax.lax.scan(step, values_after_the_end(game).agent, contracts, reverse=True)[1]


def _solve_principal(game: TabularGame, q_truncated: jax.Array) -> PrincipalChoice:
    def step(value: jax.Array, q_now: jax.Array) -> tuple[jax.Array, PrincipalChoice]:
        contracts = over_states(least_contracts, game, 0)(q_now)
        choice = over_states(best_choice, game, 0, None)(contracts, value)
        return choice.value, choice

    return jax.lax.scan(step, values_after_the_end(game).principal, q_truncated, reverse=True)[1]


# --- Algorithm 1, whatever solves the two MDPs ------------------------------------------------


@struct.dataclass
class _Progress:
    """The carry of Algorithm 1."""

    iteration: jax.Array
    choice: PrincipalChoice
    agent_value: jax.Array
    principal_q_change: jax.Array
    is_settled: jax.Array


def alternate(
    solve_agent: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    solve_principal: Callable[[jax.Array], PrincipalChoice],
    contracts: jax.Array,
    tolerance: ArrayLike,
    cap: int,
) -> MetaResult:
    """Algorithm 1 by two given solvers.

    The agent sees nothing of the principal's policy but the contracts: once they stay the same,
    so do the actions and the values.

    Args:
      solve_agent: from contracts to the agent's values and its truncated Q.
      solve_principal: from truncated Q to the principal's choices.
      contracts: `[..., S, O]`, from which to start.
      tolerance: the change of a payment, in units of reward, that does not count as one.
      cap: iterations at most, static.

    Returns:
      A `MetaResult` with `I = cap`.
    """

    def iterate(now: _Progress) -> _Progress:
        agent_value, q_truncated = solve_agent(now.choice.payments)
        choice = solve_principal(q_truncated)
        comparable = choice.implementable & now.choice.implementable
        change = jnp.max(jnp.abs(choice.q - now.choice.q), where=comparable, initial=0.0)
        changes = now.principal_q_change.at[now.iteration].set(change)
        is_settled = jnp.max(jnp.abs(choice.payments - now.choice.payments)) <= tolerance
        return _Progress(now.iteration + 1, choice, agent_value, changes, is_settled)

    def goes_on(now: _Progress) -> jax.Array:
        return ~now.is_settled & (now.iteration < cap)

    shapes = jax.eval_shape(lambda given: solve_principal(solve_agent(given)[1]), contracts)
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    start = _Progress(
        iteration=jnp.int32(0),
        choice=dataclasses.replace(
            blank,
            payments=contracts.astype(blank.payments.dtype),
            implementable=jnp.ones_like(blank.implementable),
        ),
        agent_value=jnp.zeros_like(blank.value),
        principal_q_change=jnp.zeros(cap, blank.q.dtype),
        is_settled=jnp.bool_(False),
    )
    end = jax.lax.while_loop(goes_on, iterate, start)
    last = end.choice
    solution = Equilibrium(last.action, last.payments, end.agent_value, last.value)
    return MetaResult(solution, end.iteration, end.principal_q_change)
