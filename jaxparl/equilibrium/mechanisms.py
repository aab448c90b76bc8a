"""What other mechanisms than contracts need to make cooperation an equilibrium, exactly.

Each has one number, or one table, and an equation:

    reward exchange     (1 - x) r_i + x / (N - 1) sum_{j != i} r_j             the least share x
    formal contract     r_i - θ if i does not cooperate, + what it gets of     the least fine θ
                        the others' fines
    Pigovian tax        r_i - H_i(s, a_i)           H: what a_i costs the others, compared with
                                                    cooperating

All agents cooperate: they do what brings most to all together, as if there were no end, and whoever
deviates does so once. By the one-shot deviation principle cooperation is a subgame-perfect
equilibrium of the discounted game without an end if and only if no such deviation pays, in any
state that can be reached. Where episodes have a horizon the numbers are still those of the game
without one, so they are approximate there, the more the shorter episodes are: what is best, and
what a deviation brings, then depends on the steps that are left.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.core import Tracer
from jax.typing import ArrayLike

from jaxparl.environment import Environment, GameParams, Tabulation
from jaxparl.equilibrium import joint_rules
from jaxparl.equilibrium.joint import play_on
from jaxparl.exact import chances, enumeration
from jaxparl.numbers import ties
from jaxparl.types import JointGame


class Cooperation(NamedTuple):
    """What cooperation brings, and a deviation of one agent, after which all cooperate again.

    Attributes:
      action: `[S, N]` int, what each does.
      own: `[S, N, A]`, what an agent gets by each of its actions, while the others cooperate.
      others: `[S, N, A]`, what all others get by it, together.
      reachable: `[S]` bool, the states that any play may lead to.
    """

    action: jax.Array
    own: jax.Array
    others: jax.Array
    reachable: jax.Array

    @property
    def gain(self) -> jax.Array:
        """`[S, N, A]`, what an agent gains by each action instead of cooperating; 0 at least.

        A gain that may be rounding is none.
        """
        cooperates = _at(self.own, self.action)
        return jnp.where(ties(cooperates, self.own), 0, self.own - cooperates)

    @property
    def harm(self) -> jax.Array:
        """`[S, N, A]`, H: what all others lose by it, together.

        As a tax it makes everybody maximise the welfare, while the others cooperate (Pigou 1920).
        Who cooperates pays nothing, so later taxes are no reason to deviate.
        """
        return _at(self.others, self.action) - self.others


def _at(by_action: jax.Array, action: jax.Array) -> jax.Array:
    """The entries `[S, N, 1]` of `[S, N, A]` at actions `[S, N]`."""
    return jnp.take_along_axis(by_action, action[..., None], axis=-1)


def cooperation(env: Environment, env_params: GameParams) -> Cooperation:
    """Solves for cooperation in a game that is written out as a table.

    Args:
      env: a game of several agents, with `tabular_states`.
      env_params: its params, of which the discount must be below 1. If it has a horizon, that does
        not count: all is as if there were no end.

    Raises:
      ValueError: the game has one agent, or no `tabular_states`; or, outside `jit`, a discount that
        is not below 1.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("matrix_game", payoffs="prisoners_dilemma")
      >>> found = cooperation(env, env_params)
      >>> found.action[0].tolist(), found.gain[0, 0].round(2).tolist(), found.harm[0, 0].tolist()
      ([0, 0], [0.0, 2.0], [0.0, 3.0])
    """
    _check(env, env_params)
    game = Tabulation(env).joint_game(env_params)
    found = play_on(
        game,
        joint_rules.most_welfare,
        num_actions=env.num_actions,
        discount=env_params.discount,
    )
    action = jnp.take_along_axis(game.action, found.joint[:, None, None], axis=1)[:, 0]  # [S, N]

    def by_action(action: jax.Array, reward: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Of one state, `[N, A]`: what an agent gets by its actions, and the others."""
        joint = joint_rules.deviations(action, env.num_actions)
        own = jnp.take_along_axis(reward, joint, axis=-1)
        return own, reward.sum(axis=0)[joint] - own

    own, others = jax.vmap(by_action)(action, found.reward)  # over S
    return Cooperation(action, own, others, reachable(game))


def _check(env: Environment, env_params: GameParams) -> None:
    if env.num_agents == 1:
        raise ValueError(f"cooperation needs several agents, and {env.name} has one")
    if enumeration(env) is None:
        raise ValueError(f"cooperation needs a table, and {env.name} has no tabular_states")
    discount = env_params.discount
    if not isinstance(discount, Tracer) and not np.all(np.asarray(discount) < 1):
        raise ValueError(f"cooperation needs a discount below 1, and that of {env.name} is not")


def reachable(game: JointGame) -> jax.Array:
    """`[S]` bool, the states that joint actions of the game may lead to, whichever they are."""
    leads = game.successor_probs > 0  # [S, Z, K]
    if game.outcome_probs is not None and game.outcome is not None:
        by_state = jax.vmap(chances, in_axes=(0, 0, None))
        chance = by_state(game.outcome_probs, game.action, game.outcome)  # [S, J, Z]
        leads &= jnp.any(chance > 0, axis=1)[..., None]

    def more(known: jax.Array) -> jax.Array:
        reached = leads & known[:, None, None]
        return known.at[game.successor].max(reached)

    def is_unfinished(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        before, now = pair
        return jnp.any(before != now)

    start = game.start_probs > 0
    pair = start, more(start)
    return jax.lax.while_loop(is_unfinished, lambda pair: (pair[1], more(pair[1])), pair)[1]


def least_share(found: Cooperation, nudge: ArrayLike = 0.0) -> jax.Array:
    """`[]`, x: the least share that agents must exchange for cooperation to be an equilibrium.

    An agent keeps 1 - x of its rewards, and gets the same part of each other's. A deviation that
    brings it g and costs the others h, together, pays unless (1 - x) g <= x h / (N - 1). At
    x = (N - 1) / N all rewards are shared alike, and then none does. With a `nudge` `[]` every
    deviation that pays without exchange loses that much, if it can be made to.

    Examples:
      In a prisoner's dilemma defecting brings 2, and costs the other 3:

      >>> from jaxparl.envs import make
      >>> print(f"{least_share(cooperation(*make('matrix_game'))):.3f}")
      0.400
    """
    num_agents = found.own.shape[1]
    gain, harm = found.gain, found.harm / (num_agents - 1)
    share = jnp.where(gain > 0, gain + nudge, 0) / jnp.where(gain > 0, gain + harm, 1)
    return jnp.minimum(_most(found, share), (num_agents - 1) / num_agents)


def least_fine(found: Cooperation) -> jax.Array:
    """`[]`, θ: the least fine for not cooperating at which cooperation is an equilibrium.

    It is the number of a formal contract (Haupt et al. 2024, arXiv 2208.10469): whoever deviates
    pays θ, and the others get it in equal parts. On the path of play nobody pays.

    Examples:
      >>> from jaxparl.envs import make
      >>> print(f"{least_fine(cooperation(*make('matrix_game'))):.2f}")
      2.00
    """
    return _most(found, found.gain)


def _most(found: Cooperation, needed: ArrayLike) -> jax.Array:
    """The most that is needed `[S, N, A]` in any state that can be reached."""
    return jnp.max(jnp.where(found.reachable[:, None, None], needed, 0))
