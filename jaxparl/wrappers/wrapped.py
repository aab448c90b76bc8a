"""What the games of all libraries have in common: their states, and how two are told apart."""

from __future__ import annotations

import dataclasses
import hashlib
import pickle
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces

from jaxparl.environment import GameParams, PrincipalAgentEnvironment
from jaxparl.types import PyTree

#: The discount of games that have none of their own.
DISCOUNT = 0.99

TParams = TypeVar("TParams", bound=GameParams)


@struct.dataclass
class WrappedState:
    """A state of a wrapped game.

    Attributes:
      game: the game's own state.
      time: `[]` int, steps since the episode began.
    """

    game: PyTree
    time: jax.Array


@dataclasses.dataclass(frozen=True)
class WrappedSettings:
    """By what wrapped games are told apart: equal ones share compiled programs.

    Attributes:
      game: the class of the wrapped environment.
      digest: of all that it was made with. Where it cannot be pickled, it is the object itself.
    """

    game: str
    digest: str


class WrappedGame(PrincipalAgentEnvironment[WrappedState, TParams], Generic[TParams]):
    """An environment of another library.

    Attributes:
      game: the environment.
    """

    def __init__(self, game: Any, default_params: TParams, num_actions: int, *choices: Any):
        kind = type(game)
        super().__init__(
            WrappedSettings(
                game=f"{kind.__module__}.{kind.__qualname__}",
                digest=_digest(game, (default_params, choices)),
            )
        )
        self.game = game
        self._default_params = default_params
        self._num_actions = num_actions

    @property
    def num_actions(self) -> int:
        """A."""
        return self._num_actions

    @property
    def default_params(self) -> TParams:
        """Those that it was made with."""
        return self._default_params

    @property
    def name(self) -> str:
        """What the game calls itself."""
        return str(self.game.name)


def _digest(game: Any, others: Any) -> str:
    try:
        content = pickle.dumps((game, others))
    except Exception:  # functions within functions, and whatever else a library may keep
        # Nothing that is compared with it later has the same number, as it is still there then.
        return f"object {id(game)}, {others}"
    return hashlib.sha256(content).hexdigest()


def settled(name: str, first: Callable[[], PyTree], then: Callable[[PyTree], PyTree]) -> PyTree:
    """The form that the states of a game keep: that which a step gives them.

    A first state may hold Python's numbers, or types that the first step changes.

    Args:
      name: of the game.
      first: makes a first state.
      then: makes the next state.

    Raises:
      ValueError: steps change its shape.
    """
    form = jax.eval_shape(first)
    while True:
        after = jax.eval_shape(then, form)
        shapes = [jax.tree.map(lambda leaf: leaf.shape, each) for each in (form, after)]
        if shapes[0] != shapes[1]:
            raise ValueError(f"{name}: a step changes the shape of its state")
        wider = jax.tree.map(_wider, form, after)
        dtypes = [jax.tree.map(lambda leaf: leaf.dtype, each) for each in (form, wider)]
        if dtypes[0] == dtypes[1]:
            return form
        form = wider


def _wider(one: jax.ShapeDtypeStruct, other: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
    is_same = one.dtype == other.dtype  # keys cannot be promoted
    dtype = one.dtype if is_same else jnp.promote_types(one.dtype, other.dtype)
    return jax.ShapeDtypeStruct(one.shape, dtype)


def in_form(state: PyTree, form: PyTree) -> PyTree:
    """The same state, with the types of a form."""
    return jax.tree.map(_in_form, state, form)


def _in_form(leaf: Any, kept: jax.ShapeDtypeStruct) -> jax.Array:
    if jnp.issubdtype(kept.dtype, jax.dtypes.prng_key):
        return jnp.asarray(leaf)
    return jnp.asarray(leaf, kept.dtype)


def float_box(low: Any, high: Any, shape: tuple[int, ...]) -> spaces.Box:
    """The space of observations as networks see them, in floats."""
    return spaces.Box(low, high, shape, jnp.float32)


def check_time_limit(limit: int) -> None:
    """Checks a time limit.

    Raises:
      ValueError: it is not positive.
    """
    if limit < 1:
        raise ValueError(f"max_steps_in_episode must be at least 1, not {limit}")
