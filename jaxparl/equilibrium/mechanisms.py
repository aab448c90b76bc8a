"""What other mechanisms than contracts need to make cooperation an equilibrium, exactly.

Each has one number, or one table, and an equation:

    reward exchange     (1 - x) r_i + x / (N - 1) sum_{j != i} r_j             the least share x
    formal contract     r_i - θ if i does not cooperate, + what it gets of     the least fine θ
                        the others' fines
    Pigovian payments   r_i + E_i(s, a_i)           E: what a_i brings the others, above its worst

All agents cooperate: they do what brings most to all together, as if there were no end, and whoever
deviates does so once. By the one-shot deviation principle cooperation is a subgame-perfect
equilibrium if and only if no such deviation pays, in any state that can be reached.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.environment import Environment, GameParams, Tabulation
from jaxparl.equilibrium import joint_rules
from jaxparl.equilibrium.joint import play_on
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
        """`[S, N, A]`, what all others lose by it, together."""
        return _at(self.others, self.action) - self.others


def _at(by_action: jax.Array, action: jax.Array) -> jax.Array:
    """The entries `[S, N, 1]` of `[S, N, A]` at actions `[S, N]`."""
    return jnp.take_along_axis(by_action, action[..., None], axis=-1)


def cooperation(env: Environment, env_params: GameParams) -> Cooperation:
    """Solves for cooperation in a game that is written out as a table.

    Args:
      env: a game of several agents, with `tabular_states`.
      env_params: its params, of which the discount must be below 1.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("matrix_game", payoffs="prisoners_dilemma")
      >>> found = cooperation(env, env_params)
      >>> found.action[0].tolist(), found.gain[0, 0].round(2).tolist(), found.harm[0, 0].tolist()
      ([0, 0], [0.0, 2.0], [0.0, 3.0])
    """
    game = Tabulation(env).joint_game(env_params)
    found = play_on(
        game,
        joint_rules.most_welfare,
        num_actions=env.num_actions,
        discount=env_params.discount,
    )
    action = jnp.take_along_axis(game.action, found.joint[:, None, None], axis=1)[:, 0]  # [S, N]
    own, others = [], []
    for agent in range(env.num_agents):
        stride = env.num_actions ** (env.num_agents - 1 - agent)
        instead = jnp.arange(env.num_actions)[None] - action[:, agent, None]
        joint = found.joint[:, None] + instead * stride  # [S, A]
        by_agent = jnp.take_along_axis(found.reward, joint[:, None], axis=-1)  # [S, N, A]
        own.append(by_agent[:, agent])
        others.append(by_agent.sum(axis=1) - by_agent[:, agent])
    return Cooperation(
        action=action,
        own=jnp.stack(own, axis=1),
        others=jnp.stack(others, axis=1),
        reachable=reachable(game),
    )


def reachable(game: JointGame) -> jax.Array:
    """`[S]` bool, the states that any joint actions may lead to."""
    leads = game.successor_probs > 0

    def more(known: jax.Array) -> jax.Array:
        reached = leads & known[:, None, None]
        return known.at[game.successor].max(reached)

    def is_unfinished(pair: tuple[jax.Array, jax.Array]) -> jax.Array:
        before, now = pair
        return jnp.any(before != now)

    start = game.start_probs > 0
    pair = start, more(start)
    return jax.lax.while_loop(is_unfinished, lambda pair: (pair[1], more(pair[1])), pair)[1]


def least_share(found: Cooperation) -> jax.Array:
    """`[]`, x: the least share that agents must exchange for cooperation to be an equilibrium.

    An agent keeps 1 - x of its rewards, and gets the same part of each other's. A deviation that
    brings it g and costs the others h, together, pays unless (1 - x) g <= x h / (N - 1). At
    x = (N - 1) / N all rewards are shared alike, and then none does.

    Examples:
      In a prisoner's dilemma defecting brings 2, and costs the other 3:

      >>> from jaxparl.envs import make
      >>> print(f"{least_share(cooperation(*make('matrix_game'))):.3f}")
      0.400
    """
    num_agents = found.own.shape[1]
    gain, harm = found.gain, found.harm / (num_agents - 1)
    share = gain / jnp.where(gain > 0, gain + harm, 1)
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


def externality(found: Cooperation) -> jax.Array:
    """`[S, N, A]`, E: Pigovian payments. What an action brings the others, above its worst one.

    With it everybody maximises the welfare, while the others cooperate, and nobody pays a fine.

    Examples:
      >>> from jaxparl.envs import make
      >>> externality(cooperation(*make("matrix_game")))[0].tolist()
      [[3.0, 0.0], [3.0, 0.0]]
    """
    return found.others - jnp.min(found.others, axis=-1, keepdims=True)


def _most(found: Cooperation, needed: ArrayLike) -> jax.Array:
    """The most that is needed `[S, N, A]` in any state that can be reached."""
    return jnp.max(jnp.where(found.reachable[:, None, None], needed, 0))
