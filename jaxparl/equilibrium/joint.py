"""Exact solutions of a `JointGame`: of N agents, with hidden or observed actions.

A rule says what happens in one state (`joint_rules`), given what follows. It is applied backwards
in time over a horizon, or, without one, until nothing changes any more. What all get is kept as one
array, so that one lookup of the states that follow serves all of it:

    S  states
    D  discounts: DECISIVE, what the players decide by; REPORTED, what is returned
    X  the agents' rewards `[N]`, their payments `[N]`, and the principal's rewards `[1]`
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.equilibrium.joint_rules import JointState, Rule
from jaxparl.equilibrium.value_iteration import discounted_fixed_point, fixed_point
from jaxparl.exact import chances
from jaxparl.types import JointGame, PlayValue

# Positions on the axis D, which has length 1 where both are the same.
DECISIVE, REPORTED = 0, -1


def play(
    game: JointGame,
    rule: Rule,
    *tables: jax.Array,
    horizon: ArrayLike | None,
    num_actions: int,
    gamma: ArrayLike | None = None,
) -> PlayValue:
    """What an episode brings where a rule says what happens in every state.

    Args:
      game: the game as a table.
      rule: see `joint_rules`.
      tables: further arguments of the rule, with a leading `S`.
      horizon: `[]`, T; what is returned is then undiscounted. None where there is no end: then it
        is discounted as the game is.
      num_actions: A.
      gamma: `[]`, the discount by which rules decide; by default that of what is returned.

    Returns:
      The value from where episodes start. Without a horizon it is NaN if the values did not settle.

    Examples:
      Two agents and one state. Whoever gives (1) loses 1, and the other gets 3, three times:

      >>> from jaxparl.equilibrium import joint_rules
      >>> from jaxparl.exact import joint_choices
      >>> reward = jnp.array([[0.0, 0.0], [3.0, -1.0], [-1.0, 3.0], [2.0, 2.0]])
      >>> game = JointGame(
      ...     action=joint_choices(2, 2)[None],
      ...     agent_reward=reward[None],
      ...     outcome_probs=None,
      ...     outcome=None,
      ...     principal_reward=reward.sum(axis=-1)[None],
      ...     successor=jnp.zeros((1, 4, 1), int),
      ...     successor_probs=jnp.ones((1, 4, 1)),
      ...     start_probs=jnp.ones(1),
      ...     discount=jnp.array(1.0),
      ... )
      >>> for rule in (joint_rules.most_welfare, joint_rules.selfish):
      ...     print(play(game, rule, horizon=3, num_actions=2).welfare)
      12.0
      0.0
    """
    num_agents = game.agent_reward.shape[-1]
    reported = jnp.ones((), game.discount.dtype) if horizon is not None else game.discount
    decisive = [] if gamma is None else [jnp.asarray(gamma, reported.dtype)]
    discounts = jnp.stack([*decisive, reported])
    back = jax.vmap(  # over S
        partial(_step_back, discounts, rule, num_actions),
        in_axes=(_by_state(game), None, *(0 for _ in tables)),
    )
    shape = (len(game.start_probs), len(discounts), 2 * num_agents + 1)
    zeros = jnp.zeros(shape, game.agent_reward.dtype)

    def step_back(later: jax.Array) -> jax.Array:
        return back(game, later, *tables)

    return _at_start(game, _repeat(step_back, zeros, horizon, reported)[:, REPORTED])


def _repeat(
    step_back: Callable[[jax.Array], jax.Array],
    end: jax.Array,
    horizon: ArrayLike | None,
    discount: jax.Array,
) -> jax.Array:
    """What all states bring `[S, D, X]` at the first of so many steps, or without an end."""
    if horizon is not None:
        # Values that one more step does not change are those of any longer horizon, too.
        return fixed_point(step_back, end, tolerance=0.0, max_iterations=horizon).values
    found = discounted_fixed_point(step_back, end, discount)
    return jnp.where(found.is_settled, found.values, jnp.nan)


def _at_start(game: JointGame, sums: jax.Array) -> PlayValue:
    """What states bring `[S, X]`, from where episodes start."""
    total = jnp.sum(game.start_probs[:, None] * sums, axis=0)
    reward, payment, principal_reward = _split(total, game.agent_reward.shape[-1])
    return PlayValue(reward.sum(), payment.sum(), reward + payment, principal_reward)


def _by_state(game: JointGame) -> Any:
    """The axis of states of each array of a game, as `vmap` takes it."""
    axes = jax.tree.map(lambda _: 0, game)
    return dataclasses.replace(axes, outcome=None, start_probs=None, discount=None)


def _step_back(
    discounts: jax.Array,
    rule: Rule,
    num_actions: int,
    state: JointGame,
    later: jax.Array,
    *rows: jax.Array,
) -> jax.Array:
    """What one state brings, `[D, X]`, given what all states bring at the next step `[S, D, X]`."""
    num_agents = state.agent_reward.shape[-1]

    def add(number: jax.Array, total: jax.Array) -> jax.Array:
        probs, place = state.successor_probs[:, number], state.successor[:, number]
        return total + probs[:, None, None] * later[place]

    # One successor after the other: all at once would be an array of all of them.
    nothing = jnp.zeros((len(state.principal_reward), *later.shape[1:]), later.dtype)
    follows = jax.lax.fori_loop(0, state.successor.shape[-1], add, nothing)
    follows = discounts[:, None] * follows  # [Z, D, X]
    follows = follows.at[..., -1].add(state.principal_reward[:, None])
    if state.outcome_probs is not None and state.outcome is not None:
        chance = chances(state.outcome_probs, state.action, state.outcome)
        follows = jnp.tensordot(chance, follows, axes=1, precision="highest")
    follows = follows.at[..., :num_agents].add(state.agent_reward[:, None])  # [J, D, X]
    reward, payment, principal_reward = _split(follows[:, DECISIVE], num_agents)
    now = JointState(
        reward=reward.T,
        payment=payment.T,
        principal_reward=principal_reward,
        outcome_probs=state.outcome_probs,
        num_actions=num_actions,
    )
    choice = rule(now, *rows)
    paid = choice.payment.astype(later.dtype)[None]
    return follows[choice.joint].at[:, num_agents:-1].add(paid)


def _split(sums: jax.Array, num_agents: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rewards `[..., N]`, payments `[..., N]` and the principal's rewards `[...]`."""
    return sums[..., :num_agents], sums[..., num_agents:-1], sums[..., -1]
