"""A game in which agents can also give: each action comes with or without a gift to the others."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
from gymnax.environments import spaces

from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Resolution, Transitions
from jaxparl.types import PyTree


@dataclasses.dataclass(frozen=True)
class GiftingSettings:
    """By what games with gifts are told apart.

    Attributes:
      game: the game without them.
      size: what a gift costs, in units of reward.
    """

    game: PrincipalAgentEnvironment[Any, Any]
    size: float


class GiftingGame(PrincipalAgentEnvironment[Any, GameParams]):
    """A game of several agents with observed actions, and gifts (Lupu and Precup 2020).

    The first A actions are those of the game. The next A are the same with a gift: who takes one
    gives up `size`, and the others get it in equal parts. The welfare stays what it is.

    Attributes:
      game: the game without gifts.

    Examples:
      >>> from jaxparl.envs import make
      >>> game, env_params = make("matrix_game", payoffs="prisoners_dilemma")
      >>> env = with_gifts(game, size=0.5)
      >>> _, state = env.reset(jax.random.key(0), env_params)
      >>> action = jnp.array([0, 2])  # both cooperate, and the second gives
      >>> env.step(jax.random.key(1), state, action, env_params)[2].tolist()
      [3.5, 2.5]
    """

    observed_actions = True

    def __init__(self, game: PrincipalAgentEnvironment[Any, Any], size: float):
        super().__init__(GiftingSettings(game, size))
        self.game = game
        self.num_agents: int = game.num_agents
        self.identifies_agents: bool = game.identifies_agents
        self.has_horizon: bool = game.has_horizon
        self.wraps_around: bool = game.wraps_around
        self.can_draw: bool = game.can_draw

    @property
    def name(self) -> str:
        """What it is called."""
        return f"{self.game.name} with gifts"

    @property
    def num_actions(self) -> int:
        """2 A: those of the game, and the same with a gift."""
        return 2 * self.game.num_actions

    @property
    def default_params(self) -> Any:
        """Those of the game."""
        return self.game.default_params

    def sample_params(self, key: jax.Array) -> Any:
        """Draws those of the game."""
        return self.game.sample_params(key)

    def initial_state(self, key: jax.Array, params: Any) -> PyTree:
        """Draws the first state of an episode."""
        return self.game.initial_state(key, params)

    def available_actions(self, state: PyTree, params: Any) -> jax.Array | None:
        """What is available without a gift is so with one."""
        found = self.game.available_actions(state, params)
        return None if found is None else jnp.concatenate([found, found], axis=-1)

    def tabular_states(self) -> PyTree | None:
        """Those of the game."""
        return self.game.tabular_states()

    def state_index(self, state: PyTree) -> jax.Array:
        """As in the game."""
        return self.game.state_index(state)

    def start_probs(self, params: Any) -> jax.Array:
        """As in the game."""
        return self.game.start_probs(params)

    def transitions(
        self, state: PyTree, action: jax.Array, outcome: jax.Array, params: Any
    ) -> Transitions[PyTree]:
        """Those of the game, with gifts among the rewards."""
        own = action % self.game.num_actions
        found = self.game.transitions(state, own, outcome % self.game.num_actions, params)
        return dataclasses.replace(found, agent_reward=found.agent_reward + self._gifts(action))

    def resolve(
        self, key: jax.Array, state: PyTree, action: jax.Array, outcome: jax.Array, params: Any
    ) -> Resolution[PyTree]:
        """As in the game, with gifts among the rewards."""
        own = action % self.game.num_actions
        found = self.game.resolve(key, state, own, outcome % self.game.num_actions, params)
        return dataclasses.replace(found, agent_reward=found.agent_reward + self._gifts(action))

    def get_obs(self, state: PyTree, params: Any = None, key: jax.Array | None = None) -> PyTree:
        """As in the game."""
        return self.game.get_obs(state, params, key)

    def observation_space(self, params: Any = None) -> spaces.Space:
        """As in the game."""
        return self.game.observation_space(params)

    def make_network(self, hidden_sizes: tuple[int, ...], num_outputs: int) -> nn.Module | None:
        """As for the game."""
        return self.game.make_network(hidden_sizes, num_outputs)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """Those of the game, and the same with a gift."""
        labels = self.game.action_labels
        return (*labels, *(f"{label} + gift" for label in labels))

    def draw(self, axes: Any, state: PyTree) -> None:
        """As in the game."""
        self.game.draw(axes, state)

    def _gifts(self, action: jax.Array) -> jax.Array:
        """`[N]`, what agents get less what they give."""
        gives = (action >= self.game.num_actions).astype(jnp.float32)
        others = (jnp.sum(gives) - gives) / (self.num_agents - 1)
        return self.settings.size * (others - gives)


def with_gifts(game: PrincipalAgentEnvironment[Any, Any], size: float) -> GiftingGame:
    """The same game, in which agents can also give; see `GiftingGame`.

    Args:
      game: of several agents, with observed actions.
      size: what a gift costs whoever gives it, in units of reward.

    Raises:
      ValueError: the game has hidden actions, or one agent, or the size is not positive.
    """
    if game.num_agents == 1:
        raise ValueError(f"gifts need several agents, and {game.name} has one")
    if not game.observed_actions:
        raise ValueError(f"gifts need observed actions, and {game.name} hides them")
    if not size > 0:
        raise ValueError(f"the size of a gift must be > 0, not {size}")
    return GiftingGame(game, size)
