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
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.equilibrium import joint_rules
from jaxparl.equilibrium.joint_rules import JointChoice, JointMix, JointState, Rule
from jaxparl.equilibrium.value_iteration import discounted_fixed_point, fixed_point
from jaxparl.exact import chances
from jaxparl.types import JointGame, PlayValue

# One more, and the largest weight would be 1 in float32, at which the price is infinite. So weights
# are found to 2^-24, in float64 too.
_HALVINGS = 24

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


def robust_value(
    game: JointGame,
    payments: jax.Array,
    *,
    slack: ArrayLike,
    alpha: ArrayLike,
    horizon: ArrayLike | None,
    num_actions: int,
) -> jax.Array:
    """`[]`, the least that offers may bring the principal, if its agent loses up to `slack`.

    That is how much less than its best response's the agent may get in a whole episode, in
    expectation; it may draw at random how it plays. The worst that it does solves a linear program,
    whose dual has one variable, the price λ of the agent's utility:

        max over λ >= 0 of   min over plays of (u_p - λ u_a)   +   λ (v - slack)

    u_p is the principal's rewards less `alpha` times the payments, u_a the agent's utility, and v
    the most that this can be. The minimum is a game of one player, and the sum is concave in λ.

    Args:
      game: of one agent, with all its actions.
      payments: `[S, 1, A]`, what is paid for each action, in expectation.
      slack: `[]`, in units of reward.
      alpha: `[]`, what a unit of payment costs the principal.
      horizon: as for `play`.
      num_actions: A.
    """

    def value_of(weight: jax.Array) -> tuple[jax.Array, jax.Array]:
        """u_p and u_a of the play that is best where λ = weight / (1 - weight)."""
        rule = partial(joint_rules.against, weight=weight, alpha=alpha)
        found = play(game, rule, payments, horizon=horizon, num_actions=num_actions)
        assert found.principal_reward is not None
        return found.principal_reward - alpha * found.payment, found.utilities[0]

    def halve(_: jax.Array, ends: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array]:
        low, high = ends
        middle = (low + high) / 2
        is_short = value_of(middle)[1] < most - slack
        return jnp.where(is_short, middle, low), jnp.where(is_short, high, middle)

    most = value_of(jnp.ones(()))[1]
    weight, _ = jax.lax.fori_loop(0, _HALVINGS, halve, (jnp.zeros(()), jnp.ones(())))
    objective, own = value_of(weight)
    return objective + weight / (1 - weight) * (most - slack - own)


class Stationary(NamedTuple):
    """What is done in each state of a game that goes on without an end.

    Attributes:
      joint: `[S]` int, the joint action, by its place on the axis J.
      reward: `[S, N, J]`, what each agent gets from each joint action on, if afterwards all do what
        is done: discounted, payments not included. NaN if the values did not settle.
    """

    joint: jax.Array
    reward: jax.Array


def play_on(
    game: JointGame,
    rule: Callable[[JointState], JointChoice],
    *,
    num_actions: int,
    discount: ArrayLike,
) -> Stationary:
    """What a rule does in every state where all decide as if there were no end.

    Args:
      game: the game as a table, with all joint actions.
      rule: see `joint_rules`.
      num_actions: A.
      discount: `[]`, below 1.

    Examples:
      A prisoner's dilemma, played by agents that do what is best for both:

      >>> from jaxparl.envs import make
      >>> from jaxparl.environment import Tabulation
      >>> from jaxparl.equilibrium import joint_rules
      >>> env, env_params = make("matrix_game", payoffs="prisoners_dilemma")
      >>> game = Tabulation(env).joint_game(env_params)
      >>> found = play_on(game, joint_rules.most_welfare, num_actions=2, discount=0.5)
      >>> found.joint.tolist(), found.reward[0, 0].round(2).tolist()  # both cooperate: 3 each
      ([0, 0, 0, 0, 0], [6.0, 3.0, 8.0, 4.0])
    """
    discounts = jnp.asarray(discount, game.discount.dtype)[None]
    by_state = (_by_state(game), None)
    back = jax.vmap(partial(_step_back, discounts, rule, num_actions), in_axes=by_state)  # over S
    shape = (len(game.start_probs), 1, 2 * game.agent_reward.shape[-1] + 1)
    end = jnp.zeros(shape, game.agent_reward.dtype)
    later = _repeat(partial(back, game), end, None, discounts[0])

    def now(state: JointGame, later: jax.Array) -> Stationary:
        known = _joint_state(state, _follows(discounts, state, later)[:, DECISIVE], num_actions)
        return Stationary(rule(known).joint, known.reward)

    found: Stationary = jax.vmap(now, in_axes=by_state)(game, later)  # over S
    return found


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
    follows = _follows(discounts, state, later)
    choice = rule(_joint_state(state, follows[:, DECISIVE], num_actions), *rows)
    paid = choice.payment.astype(later.dtype)[None]
    if isinstance(choice, JointMix):
        found = jnp.tensordot(choice.probs, follows, axes=1, precision="highest")
    else:
        found = follows[choice.joint]
    return found.at[:, state.agent_reward.shape[-1] : -1].add(paid)


def _follows(discounts: jax.Array, state: JointGame, later: jax.Array) -> jax.Array:
    """What each joint action of one state brings, `[J, D, X]`, given what all states bring later.

    The payments of this step are not among it.
    """
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
    return follows.at[..., :num_agents].add(state.agent_reward[:, None])


def _joint_state(state: JointGame, follows: jax.Array, num_actions: int) -> JointState:
    """What rules are told of one state, from what its joint actions bring `[J, X]`."""
    reward, payment, principal_reward = _split(follows, state.agent_reward.shape[-1])
    return JointState(
        reward=reward.T,
        payment=payment.T,
        principal_reward=principal_reward,
        outcome_probs=state.outcome_probs,
        num_actions=num_actions,
    )


def _split(sums: jax.Array, num_agents: int) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Rewards `[..., N]`, payments `[..., N]` and the principal's rewards `[...]`."""
    return sums[..., :num_agents], sums[..., num_agents:-1], sums[..., -1]
