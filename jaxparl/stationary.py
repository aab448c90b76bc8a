"""Exact solutions of a principal-agent game that is played without a horizon.

Its discount is below 1, and every array of its solution lacks the leading `T`: `S` comes first.

Theorem 3.4 of Ivanov et al. 2024 (arXiv 2407.18074) calls an iteration a contraction. Over 100
random games with hidden actions, the principal's backup was one while the agent's truncated Q was
held fixed: ratios up to 0.496 at a discount of 0.5 and 0.899 at 0.9. Successive iterations of
Algorithm 1 were not, and some games cycle (one of two states, at 0.5, with period 2: a test holds
it), because a change of the agent's Q moves a payment by more than itself where outcome rows are
close. With observed actions all games settled. `benchmarks/equilibrium.py` measures this anew and
produces the docs' table.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Generic, TypeVar

import chex
import jax
import jax.numpy as jnp
from flax import struct
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxparl.equilibrium import Equilibrium, MetaResult, alternate, equilibrium_backup
from jaxparl.tabular import (
    PrincipalChoice,
    agent_backup,
    best_choice,
    check_game,
    least_contracts,
    over_states,
    values_after_the_end,
)
from jaxparl.types import PyTree, TabularGame

# Value iteration inside Algorithm 1 goes as far as float32 does: a few units in the last place.
_ROUNDING = 5e-7
_MAX_BACKUPS = 10_000

Tree = TypeVar("Tree")


def value_iteration(
    game: TabularGame, tolerance: ArrayLike = 1e-6, max_iterations: int = _MAX_BACKUPS
) -> Equilibrium:
    """The stationary equilibrium that backward induction settles at as the horizon grows.

    It need not settle: with hidden actions the agent's rent jumps where the principal changes its
    mind, and a few games go round in a circle, even at a discount of 0.5. With observed actions
    the agent gets no rent, and it always does.

    Args:
      game: the game, with a discount below 1.
      tolerance: the change of a backup at which to stop, in the sup-norm, in units of reward;
        relative to the largest value where that exceeds 1.
      max_iterations: backups at most, static.

    Returns:
      An `Equilibrium` without `T`.

    Raises:
      ValueError: outside `jit`, `check_game` finds a table wrong, or the discount is 1.
      RuntimeError: outside `jit`, the values did not settle.
    """
    check_game(game, has_horizon=False)
    solution, is_settled = _value_iteration(game, tolerance, max_iterations)
    if not isinstance(is_settled, Tracer) and not is_settled:
        raise RuntimeError(f"the values did not settle within {max_iterations} backups")
    return solution


@functools.partial(jax.jit, static_argnums=2)
def _value_iteration(
    game: TabularGame, tolerance: ArrayLike, max_iterations: int
) -> tuple[Equilibrium, jax.Array]:
    backup = over_states(equilibrium_backup, game, None)
    start = values_after_the_end(game)
    end = _fixed_point(lambda values: backup(values)[0], start, tolerance, max_iterations)
    return backup(end.values)[1], end.is_settled


def stationary_meta_algorithm(
    game: TabularGame,
    initial_contracts: ArrayLike,
    tolerance: ArrayLike = 1e-4,
    max_iterations: int = 100,
) -> MetaResult:
    """Algorithm 1 without a horizon: either MDP is solved by value iteration.

    Args:
      game: the game, with a discount below 1.
      initial_contracts: `[S, O]`, from which to start, in units of reward.
      tolerance: the change of a payment, in units of reward, that does not count as one. The
        values carry float32's rounding times 1 / (1 - discount), so it cannot be zero.
      max_iterations: static. With hidden actions a few games never settle (the head of this file
        says why) and end here, with `principal_q_change` not near zero.

    Returns:
      A `MetaResult` without `T`, with `I = max_iterations`.

    Raises:
      ValueError: outside `jit`, `check_game` finds a table wrong, or the discount is 1.
      AssertionError: a shape is wrong.
    """
    check_game(game, has_horizon=False)
    chex.assert_shape(initial_contracts, game.principal_reward.shape)
    return _stationary_meta_algorithm(game, initial_contracts, tolerance, max_iterations)


@functools.partial(jax.jit, static_argnums=3)
def _stationary_meta_algorithm(
    game: TabularGame, initial_contracts: jax.Array, tolerance: ArrayLike, max_iterations: int
) -> MetaResult:
    start = values_after_the_end(game)
    settle = functools.partial(_fixed_point, tolerance=_ROUNDING, max_iterations=_MAX_BACKUPS)

    def solve_agent(contracts: jax.Array) -> tuple[jax.Array, jax.Array]:
        backup = over_states(agent_backup, game, None, 0)
        value = settle(lambda value: backup(value, contracts)[0], start.agent).values
        return value, backup(value, contracts)[1]

    def solve_principal(q_truncated: jax.Array) -> PrincipalChoice:
        contracts = over_states(least_contracts, game, 0)(q_truncated)
        choose = functools.partial(over_states(best_choice, game, 0, None), contracts)
        return choose(settle(lambda value: choose(value).value, start.principal).values)

    return alternate(solve_agent, solve_principal, initial_contracts, tolerance, max_iterations)


# --- Fixed points -----------------------------------------------------------------------------


@struct.dataclass
class _Iterate(Generic[Tree]):
    """The carry of a fixed-point iteration."""

    values: Tree
    is_settled: jax.Array
    count: jax.Array


def _fixed_point(
    operator: Callable[[Tree], Tree], start: Tree, tolerance: ArrayLike, max_iterations: int
) -> _Iterate[Tree]:
    """Repeats `operator` until no value changes by more than `tolerance`.

    The tolerance is relative to the largest value where that exceeds 1: float32 has no more.
    """

    def iterate(now: _Iterate[Tree]) -> _Iterate[Tree]:
        after = operator(now.values)
        change = _largest(jax.tree.map(jnp.subtract, after, now.values))
        is_settled = change <= tolerance * jnp.maximum(1.0, _largest(after))
        return _Iterate(after, is_settled, now.count + 1)

    def goes_on(now: _Iterate[Tree]) -> jax.Array:
        return ~now.is_settled & (now.count < max_iterations)

    state = _Iterate(start, jnp.bool_(False), jnp.int32(0))
    return jax.lax.while_loop(goes_on, iterate, state)


def _largest(tree: PyTree) -> jax.Array:
    return jnp.max(jnp.stack([jnp.max(jnp.abs(leaf)) for leaf in jax.tree.leaves(tree)]))
