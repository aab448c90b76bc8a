"""Games of JaxMARL: the agents play for themselves, and the principal for all of them."""

from __future__ import annotations

import importlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from gymnax.environments import spaces

from jaxparl.environment import NO_TIME_LIMIT, GameParams, Resolution
from jaxparl.types import PyTree, fixed_key
from jaxparl.wrappers.wrapped import (
    DISCOUNT,
    WrappedGame,
    WrappedState,
    check_time_limit,
    float_box,
    in_form,
    settled,
)


class JaxmarlGame(WrappedGame[GameParams]):
    """A game of JaxMARL; see `from_jaxmarl`, which takes the same arguments.

    Attributes:
      agents: what the game calls its agents, in their order.
    """

    num_agents: int
    observed_actions = True
    agents: list[Any]

    def __init__(
        self,
        env: Any,
        *,
        discount: float = DISCOUNT,
        max_steps_in_episode: int | None = None,
    ):
        if isinstance(env, str):
            env = _make(env)
        limit = max_steps_in_episode
        if limit is None:
            limit = getattr(env, "max_steps", NO_TIME_LIMIT)
        check_time_limit(limit)
        params = GameParams(max_steps_in_episode=limit, discount=discount)
        self.agents = list(env.agents)
        self.num_agents = len(self.agents)
        counts = [_num_actions(env.name, agent, env.action_space(agent)) for agent in self.agents]
        super().__init__(env, params, max(counts))
        #: `[N, A]`, which actions each agent ever has.
        self._has = np.arange(self.num_actions) < np.array(counts)[:, None]
        self._form = settled(self.name, self._first_form, self._next_form)
        self._masks = self._can_mask()
        self._shape, self._are_padded = self._observed()

    # --- The rules --------------------------------------------------------------------------------

    def initial_state(self, key: jax.Array, params: GameParams) -> WrappedState:
        """A first state of the game."""
        del params
        _, first = self.game.reset(key)
        return WrappedState(in_form(first, self._form), jnp.int32(0))

    def available_actions(self, state: WrappedState, params: GameParams) -> jax.Array | None:
        """What the game allows each agent to do, `[N, A]`; None if it always allows everything."""
        del params
        if not self._masks:
            return None if self._has.all() else jnp.asarray(self._has)
        own = self.game.get_avail_actions(state.game)
        rows = [jnp.asarray(own[agent], bool) for agent in self.agents]
        width = self.num_actions
        return jnp.stack([jnp.pad(row, (0, width - len(row))) for row in rows]) & self._has

    def resolve(
        self,
        key: jax.Array,
        state: WrappedState,
        action: jax.Array,
        outcome: jax.Array,
        params: GameParams,
    ) -> Resolution[WrappedState]:
        """A step of the game. What an agent does not have is its first action that it has."""
        del outcome
        available = self.available_actions(state, params)
        if available is not None:
            agents = jnp.arange(self.num_agents)
            action = jnp.where(available[agents, action], action, jnp.argmax(available, axis=-1))
        _, after, rewards, dones, _ = self.game.step_env(key, state.game, self._by_agent(action))
        reward = jnp.stack([jnp.asarray(rewards[agent], float) for agent in self.agents])
        time = state.time + 1
        # The game does not say which of the two it is that ends it.
        is_cut = time >= params.max_steps_in_episode
        return Resolution(
            state=WrappedState(in_form(after, self._form), time),
            agent_reward=reward,
            principal_reward=reward,
            terminated=jnp.asarray(dones["__all__"], bool) & ~is_cut,
        )

    def get_obs(
        self, state: WrappedState, params: GameParams | None = None, key: jax.Array | None = None
    ) -> jax.Array:
        """What each agent sees, `[N, ...]` floats."""
        del params, key
        seen = self.game.get_obs(state.game)
        if not self._are_padded:
            return jnp.stack([jnp.asarray(seen[agent], float) for agent in self.agents])
        rows = [_as_vector(seen[agent]) for agent in self.agents]
        return jnp.stack([jnp.pad(row, (0, self._shape[0] - len(row))) for row in rows])

    def observation_space(self, params: GameParams | None = None) -> spaces.Box:
        """Floats, within the bounds that the game declares for all of its agents."""
        del params
        bounds = [_bounds(self.game.observation_space(agent)) for agent in self.agents]
        padding = [(0.0, 0.0)] if self._are_padded else []
        low, high = zip(*bounds, *padding, strict=True)
        return float_box(min(low), max(high), self._shape)

    # --- What the game is -------------------------------------------------------------------------

    def _by_agent(self, action: jax.Array) -> dict[Any, jax.Array]:
        return {agent: action[number] for number, agent in enumerate(self.agents)}

    def _first_form(self) -> PyTree:
        return self.game.reset(fixed_key(0))[1]

    def _next_form(self, state: PyTree) -> PyTree:
        nothing = self._by_agent(jnp.zeros(self.num_agents, jnp.int32))
        return self.game.step_env(fixed_key(0), state, nothing)[1]

    def _can_mask(self) -> bool:
        """Whether the game says in each state which actions there are."""
        try:
            jax.eval_shape(self.game.get_avail_actions, self._form)
        except NotImplementedError:
            return False
        return True

    def _observed(self) -> tuple[tuple[int, ...], bool]:
        """The shape of what an agent sees, and whether it is padded to it.

        Raises:
          ValueError: the game cannot say what is seen in a state.
        """
        try:
            seen = jax.eval_shape(self.game.get_obs, self._form)
            forms = [seen[agent] for agent in self.agents]
        except Exception as error:  # whatever the code of the game raises
            raise ValueError(
                f"{self.name}: its get_obs(state) must say what each of its agents sees in a state "
                f"({type(error).__name__})"
            ) from error
        shapes = {getattr(form, "shape", None) for form in forms}
        if len(shapes) == 1 and None not in shapes:
            return forms[0].shape, False
        sizes = [sum(leaf.size for leaf in jax.tree.leaves(form)) for form in forms]
        return (max(sizes),), True


def from_jaxmarl(
    env: Any,
    *,
    discount: float = DISCOUNT,
    max_steps_in_episode: int | None = None,
) -> JaxmarlGame:
    """Makes a principal-agent environment of a game of JaxMARL.

    The agents have the game's rewards, each its own, and the principal has their sum: it is a
    planner that pays the agents so that they do what is best for all. It sees what they do.

    States and rewards are those of the game, under the same keys and actions. Agents that see
    different things see vectors, padded with zeros to the longest. Agents that have fewer actions
    than others, or in some states only some, never do what they do not have, and are never asked
    to. JaxMARL is an extra: `pip install 'jaxparl[jaxmarl]'`.

    Args:
      env: an environment of JaxMARL, or a name that `jaxmarl.make` knows, such as
        `MPE_simple_spread_v3`. Its actions must be `Discrete`, and its observations functions of
        its state.
      discount: gamma, a param.
      max_steps_in_episode: the time limit; by default the `max_steps` of the game. Values are
        bootstrapped through it. JaxMARL says that an episode is done, and not whether by its rules
        or at its own time limit: what is done before ours counts as the game's end.

    Raises:
      ValueError: the game has other actions or observations than that.
      ModuleNotFoundError: it was named, and JaxMARL is not installed.
    """
    return JaxmarlGame(env, discount=discount, max_steps_in_episode=max_steps_in_episode)


def _make(name: str) -> Any:
    try:
        jaxmarl = importlib.import_module("jaxmarl")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{name} is a game of JaxMARL, which is not installed: pip install 'jaxparl[jaxmarl]'"
        ) from error
    return jaxmarl.make(name)


def _num_actions(name: str, agent: object, space: Any) -> int:
    # Its spaces are JaxMARL's own, which need not be installed.
    if type(space).__name__ != "Discrete":
        raise ValueError(
            f"{name}: the actions of {agent} must be Discrete, not {type(space).__name__}"
        )
    return int(space.n)


def _as_vector(seen: PyTree) -> jax.Array:
    leaves = jax.tree.leaves(seen)
    return jnp.concatenate([jnp.asarray(leaf, float).ravel() for leaf in leaves])


def _bounds(space: Any) -> tuple[float, float]:
    """The least and the largest number of a space; infinite if it is no box."""
    if type(space).__name__ != "Box":
        return -np.inf, np.inf
    return float(np.min(space.low)), float(np.max(space.high))
