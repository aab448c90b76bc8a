"""What a step of a game is made of: its params, what it leads to, and all that it may lead to."""

from __future__ import annotations

from typing import Any, Generic, TypeVar

import jax
from flax import struct
from gymnax.environments import environment
from jax.typing import ArrayLike

TState = TypeVar("TState", bound=Any)

#: The largest int32: for games that end only by their own rules.
NO_TIME_LIMIT = 2**31 - 1


class ActionsAreOutcomes:
    """The `num_outcomes` of a class of environments that does not say it."""

    def __get__(self, env: Any, _: type) -> Any:
        """A, if actions are observed."""
        if env is None:
            return self
        if not env.observed_actions:
            raise NotImplementedError(f"{env.name} hides its actions: it must say num_outcomes")
        return env.num_actions


@struct.dataclass
class GameParams(environment.EnvParams):
    """What the params of every environment hold. All of it is traced: it may differ between runs.

    Attributes:
      max_steps_in_episode: `[]`, the time limit. It truncates an episode, and values are
        bootstrapped through it.
      discount: `[]`, gamma, shared by principal and agents.

    Examples:
      >>> GameParams(max_steps_in_episode=50).replace(discount=0.9)
      GameParams(max_steps_in_episode=50, discount=0.9)
    """

    max_steps_in_episode: int = NO_TIME_LIMIT
    discount: ArrayLike = 1.0


@struct.dataclass
class Resolution(Generic[TState]):
    """What follows from one joint action and its outcomes.

    Attributes:
      state: the next state, before any reset.
      agent_reward: `[N]`, r_i(s, a), payments not included.
      principal_reward: `[N]`, r_p(s, o), one term per agent. The principal gets the sum.
      terminated: `[]` bool, whether the game has ended. A time limit does not end it.

    Examples:
      >>> from jax.numpy import array
      >>> Resolution(None, array([-0.5]), array([2.0]), terminated=array(False)).agent_reward
      Array([-0.5], dtype=float32)
    """

    state: TState
    agent_reward: jax.Array
    principal_reward: jax.Array
    terminated: jax.Array


@struct.dataclass
class Transitions(Generic[TState]):
    """All that may follow from one joint action and its outcomes.

    Attributes:
      agent_reward: `[N]`, as in `Resolution`; where rewards are random, their means.
      principal_reward: `[N]`, likewise.
      state: the K states that may follow, with a leading axis `K`.
      probs: `[K]`, how likely each is. They sum to 1, and depend on the outcome alone.
      terminated: `[K]` bool, whether the game has ended with each of them.

    Examples:
      A walk to the left or to the right, after which the game goes on:

      >>> from jax.numpy import array
      >>> place = array(3)
      >>> found = Transitions(
      ...     agent_reward=array([-0.5]),
      ...     principal_reward=array([0.0]),
      ...     state=place + array([-1, 1]),
      ...     probs=array([0.25, 0.75]),
      ...     terminated=array([False, False]),
      ... )
      >>> found.state.tolist()
      [2, 4]
    """

    agent_reward: jax.Array
    principal_reward: jax.Array
    state: TState
    probs: jax.Array
    terminated: jax.Array
