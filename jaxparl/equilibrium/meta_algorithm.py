"""The meta-algorithm of Ivanov et al. 2024 (arXiv 2407.18074, Algorithm 1).

It solves the agent's and the principal's MDP in turn until the contracts stay the same. With a
horizon of `T` steps it finds the equilibrium in T + 1 iterations (Theorem 3.3).

Without a horizon, Theorem 3.4 states that an iteration is a contraction. Over 100 random games with
hidden actions the principal's backup was one while the agent's truncated Q was held fixed: ratios
up to 0.496 at a discount of 0.5 and 0.899 at 0.9. Successive iterations of Algorithm 1 were not,
and some games cycle: a test holds one of two states, at 0.5, with period 2. The reason is that a
change of the agent's Q moves a payment by more than itself where outcome rows are close. With
observed actions all games settled. `benchmarks/equilibrium.py` measures this and produces the table
in the documentation.
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

from jaxparl.equilibrium.finite_horizon import Equilibrium
from jaxparl.equilibrium.tabular import (
    PrincipalChoice,
    agent_backup,
    best_choice,
    check_table,
    in_one_precision,
    least_contracts,
    over_states,
    values_after_the_end,
)
from jaxparl.equilibrium.value_iteration import MAX_BACKUPS, fixed_point
from jaxparl.numbers import by_precision
from jaxparl.summaries import by_shape
from jaxparl.types import TabularGame

# Algorithm 1 needs at most T + 1 iterations (Theorem 3.3). If it ever needed more, that should be
# visible rather than cut off at the bound.
_ITERATIONS_BEYOND_BOUND = 3
# The inner value iterations of the stationary algorithm stop at a few units in the last place, of
# float32 or of float64.
_ROUNDING, _ROUNDING_64 = 5e-7, 1e-15


@struct.dataclass
class MetaResult:
    """What Algorithm 1 found, and in how many iterations.

    Attributes:
      equilibrium: of the last iteration.
      iterations: `[]` int32, iterations made, including the one that confirms.
      principal_q_change: `[I]`, the sup-norm change of the principal's contractual Q in each
        iteration, over the actions that are implementable before and after it. The first is
        measured from zero; iterations that were not made have zero.
    """

    equilibrium: Equilibrium
    iterations: jax.Array
    principal_q_change: jax.Array

    __repr__ = by_shape


# --- With a horizon ---------------------------------------------------------------------------


def meta_algorithm(table: TabularGame, horizon: int, initial_contracts: ArrayLike) -> MetaResult:
    """Solves the agent's and the principal's MDP in turn until nothing changes (Algorithm 1).

    Iteration k makes the last k steps final, bit for bit, because it repeats the same operations on
    the same numbers. So the contracts are compared exactly, and T + 1 iterations are enough
    (Ivanov et al. 2024, Theorem 3.3).

    Args:
      table: the game as a table.
      horizon: T, static.
      initial_contracts: `[T, S, O]`, the contracts of the first iteration, in units of reward.

    Returns:
      A `MetaResult` with `I = T + 1`.

    Raises:
      ValueError: outside `jit`, `check_table` finds an array invalid.
      AssertionError: a shape is wrong.

    Examples:
      From contracts that pay nothing, each iteration settles one step more, from the last to the
      first. A third iteration confirms that nothing changes:

      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, meta_algorithm
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(1.0),
      ... )
      >>> result = meta_algorithm(table, 2, jnp.zeros((2, 1, 2)))
      >>> print(result.iterations, result.principal_q_change)
      3 [1.3125 0.1875 0.    ]
      >>> print(result.equilibrium.contract[:, 0])
      [[0.75 0.  ]
       [1.   0.  ]]
    """
    check_table(table)
    chex.assert_shape(initial_contracts, (horizon, *table.principal_reward.shape))
    return _meta_algorithm(table, initial_contracts)


@jax.jit
def _meta_algorithm(table: TabularGame, initial_contracts: jax.Array) -> MetaResult:
    table = in_one_precision(table)
    bound = initial_contracts.shape[0] + 1
    result = _alternate(
        functools.partial(_solve_agent, table),
        functools.partial(_solve_principal, table),
        initial_contracts,
        tolerance=0.0,
        max_iterations=bound + _ITERATIONS_BEYOND_BOUND,
    )
    return dataclasses.replace(result, principal_q_change=result.principal_q_change[:bound])


def _solve_agent(table: TabularGame, contracts: jax.Array) -> tuple[jax.Array, jax.Array]:
    def step(
        value: jax.Array, payments: jax.Array
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        value, q_truncated = over_states(agent_backup, table, None, 0)(value, payments)
        return value, (value, q_truncated)

    return jax.lax.scan(step, values_after_the_end(table).agent, contracts, reverse=True)[1]


def _solve_principal(table: TabularGame, q_truncated: jax.Array) -> PrincipalChoice:
    def step(value: jax.Array, q_now: jax.Array) -> tuple[jax.Array, PrincipalChoice]:
        contracts = over_states(least_contracts, table, 0)(q_now)
        choice = over_states(best_choice, table, 0, None)(contracts, value)
        return choice.value, choice

    return jax.lax.scan(step, values_after_the_end(table).principal, q_truncated, reverse=True)[1]


# --- Without a horizon ------------------------------------------------------------------------


def stationary_meta_algorithm(
    table: TabularGame,
    initial_contracts: ArrayLike,
    tolerance: ArrayLike | None = None,
    max_iterations: int = 100,
) -> MetaResult:
    """Runs Algorithm 1 without a horizon: each MDP is solved by value iteration.

    Args:
      table: the game as a table, with a discount below 1.
      initial_contracts: `[S, O]`, the contracts of the first iteration, in units of reward.
      tolerance: the change of a payment, in units of reward, that does not count as one; by default
        1e-4, and 1e-12 in float64. Values carry rounding errors times 1 / (1 - discount), so it
        cannot be zero.
      max_iterations: static. With hidden actions a few games never settle (the head of this file
        says why). They stop here, with a `principal_q_change` that is not close to zero.

    Returns:
      A `MetaResult` without `T`, with `I = max_iterations`.

    Raises:
      ValueError: outside `jit`, `check_table` finds an array invalid, or the discount is 1.
      AssertionError: a shape is wrong.

    Examples:
      From contracts that pay nothing it reaches the contracts of `value_iteration`:

      >>> import jax.numpy as jnp
      >>> from jaxparl.equilibrium import TabularGame, stationary_meta_algorithm
      >>> table = TabularGame(
      ...     agent_reward=jnp.array([[-0.5, 0.0]]),  # work, shirk
      ...     principal_reward=jnp.array([[2.0, 0.0]]),  # success, failure
      ...     outcome_probs=jnp.array([[[0.75, 0.25], [0.25, 0.75]]]),
      ...     successor=jnp.array([[[0], [0]]]),  # state 0 again
      ...     successor_probs=jnp.array([[[1.0], [0.0]]]),  # a failure ends the game
      ...     discount=jnp.array(0.5),
      ... )
      >>> result = stationary_meta_algorithm(table, jnp.zeros((1, 2)))
      >>> payment = result.equilibrium.contract[0, 0]
      >>> print(f"{payment:.3f} for a success, after {result.iterations} iterations")
      0.875 for a success, after 9 iterations
    """
    check_table(table, has_horizon=False)
    chex.assert_shape(initial_contracts, table.principal_reward.shape)
    return _stationary_meta_algorithm(table, initial_contracts, tolerance, max_iterations)


@functools.partial(jax.jit, static_argnums=3)
def _stationary_meta_algorithm(
    table: TabularGame,
    initial_contracts: jax.Array,
    tolerance: ArrayLike | None,
    max_iterations: int,
) -> MetaResult:
    table = in_one_precision(table)
    start = values_after_the_end(table)
    if tolerance is None:
        tolerance = by_precision(start.agent.dtype, single=1e-4, double=1e-12)
    rounding = by_precision(start.agent.dtype, _ROUNDING, _ROUNDING_64)
    settle = functools.partial(fixed_point, tolerance=rounding, max_iterations=MAX_BACKUPS)

    def solve_agent(contracts: jax.Array) -> tuple[jax.Array, jax.Array]:
        backup = over_states(agent_backup, table, None, 0)
        value = settle(lambda value: backup(value, contracts)[0], start.agent).values
        return value, backup(value, contracts)[1]

    def solve_principal(q_truncated: jax.Array) -> PrincipalChoice:
        contracts = over_states(least_contracts, table, 0)(q_truncated)
        choose = functools.partial(over_states(best_choice, table, 0, None), contracts)
        return choose(settle(lambda value: choose(value).value, start.principal).values)

    return _alternate(
        solve_agent,
        solve_principal,
        initial_contracts,
        tolerance=tolerance,
        max_iterations=max_iterations,
    )


# --- Algorithm 1, whatever solves the two MDPs ------------------------------------------------


@struct.dataclass
class _Progress:
    """The carry of Algorithm 1."""

    iteration: jax.Array
    choice: PrincipalChoice
    agent_value: jax.Array
    principal_q_change: jax.Array
    is_settled: jax.Array


def _alternate(
    solve_agent: Callable[[jax.Array], tuple[jax.Array, jax.Array]],
    solve_principal: Callable[[jax.Array], PrincipalChoice],
    initial_contracts: jax.Array,
    *,
    tolerance: ArrayLike,
    max_iterations: int,
) -> MetaResult:
    """Algorithm 1 by two given solvers.

    The agent sees nothing of the principal's policy but the contracts: once they stay the same,
    so do the actions and the values.

    Args:
      solve_agent: from contracts to the agent's values and its truncated Q.
      solve_principal: from truncated Q to the principal's choices.
      initial_contracts: `[..., S, O]`, the contracts of the first iteration.
      tolerance: the change of a payment, in units of reward, that does not count as one.
      max_iterations: static.

    Returns:
      A `MetaResult` with `I = max_iterations`.
    """

    def iterate(now: _Progress) -> _Progress:
        agent_value, q_truncated = solve_agent(now.choice.payments)
        choice = solve_principal(q_truncated)
        comparable = choice.implementable & now.choice.implementable
        change = jnp.max(jnp.abs(choice.q - now.choice.q), where=comparable, initial=0.0)
        changes = now.principal_q_change.at[now.iteration].set(change)
        is_settled = jnp.max(jnp.abs(choice.payments - now.choice.payments)) <= tolerance
        return _Progress(now.iteration + 1, choice, agent_value, changes, is_settled)

    def is_unfinished(now: _Progress) -> jax.Array:
        return ~now.is_settled & (now.iteration < max_iterations)

    one_round = jax.eval_shape(lambda b: solve_principal(solve_agent(b)[1]), initial_contracts)
    start = _first_progress(one_round, initial_contracts, max_iterations)
    end = jax.lax.while_loop(is_unfinished, iterate, start)
    last = end.choice
    solution = Equilibrium(last.action, last.payments, end.agent_value, last.value)
    return MetaResult(solution, end.iteration, end.principal_q_change)


def _first_progress(
    shapes: PrincipalChoice, initial_contracts: jax.Array, max_iterations: int
) -> _Progress:
    """The carry before the first iteration: the given contracts, and zero for everything else."""
    blank = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape, leaf.dtype), shapes)
    return _Progress(
        iteration=jnp.int32(0),
        choice=dataclasses.replace(
            blank,
            payments=initial_contracts.astype(blank.payments.dtype),
            implementable=jnp.ones_like(blank.implementable),
        ),
        agent_value=jnp.zeros_like(blank.value),
        principal_q_change=jnp.zeros(max_iterations, blank.q.dtype),
        is_settled=jnp.bool_(False),
    )
