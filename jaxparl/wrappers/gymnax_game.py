"""Games of gymnax: somebody has them played, and pays whoever plays."""

from __future__ import annotations

import dataclasses
import math
from typing import Any, cast

import gymnax
import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from gymnax.environments.environment import Environment as GymnaxEnvironment
from gymnax.environments.environment import EnvParams
from jax.typing import ArrayLike

from jaxparl.environment import GameParams, Resolution
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


@struct.dataclass
class GymnaxParams(GameParams):
    """The params of a game of gymnax.

    Attributes:
      cost: `[]`, what an action costs the agent, in units of reward.
      slip: `[]`, the probability that any action at all happens in place of the one that was taken;
        None where there is no such thing.
      game: the params of the game itself. Their time limit is not used; the one here counts.
    """

    discount: ArrayLike = DISCOUNT
    cost: ArrayLike = 0.0
    slip: ArrayLike | None = None
    game: Any = None


class GymnaxGame(WrappedGame[GymnaxParams]):
    """A game of gymnax; see `from_gymnax`, which takes the same arguments."""

    num_agents = 1
    num_outcomes: int
    observed_actions: bool
    idle: int

    def __init__(
        self,
        env: GymnaxEnvironment[Any, Any] | str,
        env_params: EnvParams | None = None,
        *,
        cost: float = 0.1,
        idle: int = 0,
        slip: float = 0.0,
        discount: float = DISCOUNT,
        max_steps_in_episode: int | None = None,
    ):
        if isinstance(env, str):
            env = cast(Any, gymnax.make(env)[0])
        assert not isinstance(env, str)
        inner: Any = env.default_params if env_params is None else env_params
        limit = inner.max_steps_in_episode if max_steps_in_episode is None else max_steps_in_episode
        num_actions = _num_actions(env, inner)
        _check(env.name, num_actions, cost=cost, idle=idle, slip=slip)
        check_time_limit(limit)
        self.num_outcomes = num_actions
        self.observed_actions = slip == 0
        self.idle = idle
        params = GymnaxParams(
            max_steps_in_episode=limit,
            discount=discount,
            cost=cost,
            slip=None if slip == 0 else slip,
            game=inner,
        )
        super().__init__(env, params, num_actions, idle)
        self._form = settled(self.name, self._first_form, self._next_form)
        self._check_observation(params)

    # --- The rules --------------------------------------------------------------------------------

    def initial_state(self, key: jax.Array, params: GymnaxParams) -> WrappedState:
        """A first state of the game."""
        _, first = self.game.reset_env(key, _inner(params))
        return WrappedState(in_form(first, self._form), jnp.int32(0))

    def outcome_probs(self, state: WrappedState, params: GymnaxParams) -> jax.Array:
        """What was done, given what was meant: `[1, A, A]`."""
        if params.slip is None:
            return super().outcome_probs(state, params)
        count, slip = self.num_actions, jnp.asarray(params.slip)
        return ((1 - slip) * jnp.eye(count) + slip / count)[None]

    def resolve(
        self,
        key: jax.Array,
        state: WrappedState,
        action: jax.Array,
        outcome: jax.Array,
        params: GymnaxParams,
    ) -> Resolution[WrappedState]:
        """A step of the game, in which the outcome is what is done."""
        _, after, reward, terminated, _ = self.game.step_env(
            key, state.game, outcome[0], _inner(params)
        )
        return Resolution(
            state=WrappedState(in_form(after, self._form), state.time + 1),
            agent_reward=-jnp.asarray(params.cost) * (action != self.idle).astype(float),
            principal_reward=jnp.asarray(reward, float)[None],
            terminated=jnp.asarray(terminated, bool),
        )

    def get_obs(
        self, state: WrappedState, params: GymnaxParams | None = None, key: jax.Array | None = None
    ) -> PyTree:
        """What the game shows, `[1, ...]`."""
        del key
        inner = _inner(self.default_params if params is None else params)
        space, seen = self._space(inner), self.game.observe(None, state.game, None, inner)
        if isinstance(space, spaces.Box | spaces.Discrete):
            seen = jnp.asarray(seen).astype(float if isinstance(space, spaces.Box) else jnp.int32)
        return jax.tree.map(lambda leaf: jnp.asarray(leaf)[None], seen)

    def observation_space(self, params: GymnaxParams | None = None) -> spaces.Space:
        """The game's own; numbers are floats."""
        space = self._space(_inner(self.default_params if params is None else params))
        if isinstance(space, spaces.Box):
            return float_box(space.low, space.high, space.shape)
        return space

    # --- What the game is -------------------------------------------------------------------------

    def _space(self, inner: EnvParams) -> spaces.Space:
        space: spaces.Space = self.game.observation_space(inner)
        return space

    def _first_form(self) -> PyTree:
        return self.game.reset_env(fixed_key(0), self.default_params.game)[1]

    def _next_form(self, state: PyTree) -> PyTree:
        return self.game.step_env(fixed_key(0), state, jnp.int32(0), self.default_params.game)[1]

    def _check_observation(self, params: GymnaxParams) -> None:
        """Checks that what is observed is a function of the state.

        Raises:
          ValueError: it is not.
        """
        try:
            jax.eval_shape(self.get_obs, WrappedState(self._form, jnp.int32(0)), params)
        except Exception as error:  # of the game's own code, which has neither key nor action
            raise ValueError(
                f"{self.name}: what it shows must be a function of its state and params alone, "
                f"without random numbers or the last action ({type(error).__name__})"
            ) from error


def from_gymnax(
    env: GymnaxEnvironment[Any, Any] | str,
    env_params: EnvParams | None = None,
    *,
    cost: float = 0.1,
    idle: int = 0,
    slip: float = 0.0,
    discount: float = DISCOUNT,
    max_steps_in_episode: int | None = None,
) -> GymnaxGame:
    """Makes a principal-agent environment of a game of gymnax.

    The principal owns the game: its rewards are the principal's. The agent plays it, and does not
    care about it: every action but `idle` costs it `cost`, and that is all that it gets unless it
    is paid. Without `slip` the principal sees what it does. With `slip` its hand slips now and
    then, and the principal sees what happened, not what was meant: outcomes are the actions that
    happened.

    States and rewards are those of the game, under the same keys and actions: `env.step(key, ...)`
    does what the game's own `step` does, episodes ending by the rules or at the time limit.

    Args:
      env: an environment of gymnax, or a name that `gymnax.make` knows. Its actions must be
        `Discrete`, and its observations functions of its state.
      env_params: the params of the game, by default its own. They become `params.game`, traced.
      cost: what every action but `idle` costs the agent, in units of the game's reward; a param,
        which can be swept.
      idle: the action that costs nothing. In many games it is 0; in Catch it is 1.
      slip: the probability that some action, any, happens in place of the one that was taken; a
        param, too, unless it is 0, where actions are observed.
      discount: gamma, a param.
      max_steps_in_episode: the time limit; by default that of `env_params`.

    Raises:
      ValueError: the game has other actions or observations than that, or a number is out of range.

    Examples:
      >>> import jax
      >>> env = from_gymnax("Catch-bsuite", idle=1, cost=0.25)
      >>> _, state = env.reset(jax.random.key(0))
      >>> for _ in range(9):
      ...     move = jax.numpy.array([2])
      ...     _, state, reward, terminated, _, info = env.step(jax.random.key(1), state, move)
      >>> reward.tolist(), info["principal_reward"].tolist(), bool(terminated)
      ([-0.25], [1.0], True)
    """
    return GymnaxGame(
        env,
        env_params,
        cost=cost,
        idle=idle,
        slip=slip,
        discount=discount,
        max_steps_in_episode=max_steps_in_episode,
    )


def _inner(params: GymnaxParams) -> Any:
    """The params of the game itself, with the time limit that counts."""
    return dataclasses.replace(params.game, max_steps_in_episode=params.max_steps_in_episode)


def _num_actions(env: GymnaxEnvironment[Any, Any], env_params: EnvParams) -> int:
    space = env.action_space(env_params)
    if not isinstance(space, spaces.Discrete):
        raise ValueError(f"{env.name}: its actions must be Discrete, not {space!r}")
    return space.n


def _check(name: str, num_actions: int, *, cost: float, idle: int, slip: float) -> None:
    if not math.isfinite(cost):
        raise ValueError(f"{name}: cost must be a number, not {cost}")
    if not 0 <= idle < num_actions:
        raise ValueError(f"{name}: idle must be one of its actions, 0 to {num_actions - 1}")
    if not 0 <= slip < 1:
        raise ValueError(f"{name}: slip must be at least 0 and below 1, not {slip}")
