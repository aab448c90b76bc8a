"""Whether the methods of a game return what they must: arrays of the right shapes and dtypes.

Every method is traced, alone and in a batch, and nothing is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams, Tabulation
from jaxparl.evaluation.checks import observed
from jaxparl.evaluation.checks.failures import (
    BrokenGameError,
    attempt,
    differences,
    is_written,
    row_of,
    shown,
)
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.exact import enumeration
from jaxparl.types import PyTree, fixed_key

# More entries than this do not fit into memory, and could not be solved in hours.
_MOST_ENTRIES = 2**27


class Complaint(NamedTuple):
    """What is wrong, and which method it is about: what calls that method cannot be tried."""

    method: str
    text: str


class Game(NamedTuple):
    """A game, and the forms of what its methods are given.

    Attributes:
      env: the game.
      env_params: its params.
      exact: its exact side.
      state: the form of a first state.
    """

    env: Environment
    env_params: GameParams
    exact: object
    state: PyTree

    @property
    def actions(self) -> jax.ShapeDtypeStruct:
        """`[N]`."""
        return jax.ShapeDtypeStruct((self.env.num_agents,), jnp.int32)

    @property
    def key(self) -> jax.ShapeDtypeStruct:
        """`[]`."""
        return jax.eval_shape(fixed_key, 0)


def complaints(env: Environment, env_params: GameParams, exact: object) -> Iterator[Complaint]:
    """What is wrong with the forms, method by method."""
    game = Game(env, env_params, exact, None)
    try:
        game = game._replace(state=_traced(game, "initial_state", game.key, env_params))
        wrong = next(_time(game), None)
    except BrokenGameError as error:
        wrong = str(error)
    if wrong:
        yield Complaint("initial_state", wrong)
        return
    broken = set()
    for name, check in _CHECKS.items():
        # What the library makes of another method is as wrong as that one.
        if _MADE_OF.get(name) in broken and not is_written(env, name):
            continue
        try:
            for text in check(game):
                broken.add(name)
                yield Complaint(name, text)
        except BrokenGameError as error:
            broken.add(name)
            yield Complaint(name, str(error))


def _traced(game: Game, name: str, *arguments: PyTree) -> Any:
    """The form of what a method returns, which can be computed for a batch, too.

    Raises:
      BrokenGameError: it cannot be traced.
    """
    method = getattr(game.env, name)
    found = attempt(game.env, name, jax.eval_shape, method, *arguments)
    forms = jax.eval_shape(lambda *tree: tree, *arguments)
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((2, *leaf.shape), leaf.dtype), forms)
    attempt(game.env, f"{name}, in a batch of jax.vmap,", jax.eval_shape, jax.vmap(method), *batch)
    return found


def _array(
    value: Any, name: str, shape: tuple[int, ...], kind: type, axes: str = ""
) -> Iterator[str]:
    """A complaint where something is no array of this shape and kind of numbers."""
    if not hasattr(value, "shape") or not hasattr(value, "dtype"):
        yield f"{name} is a {type(value).__name__}, not an array"
        return
    if value.shape != shape:
        yield f"{name} has the shape {value.shape}, not {shape}{axes}"
    wanted = {float: jnp.floating, int: jnp.integer, bool: jnp.bool_}[kind]
    if not jnp.issubdtype(value.dtype, wanted):
        yield f"{name} has the dtype {value.dtype}, but it must be {kind.__name__}"


# --- Each method ------------------------------------------------------------------------------


def _time(game: Game) -> Iterator[str]:
    try:
        time = jax.eval_shape(
            lambda key, params: jnp.asarray(game.env.initial_state(key, params).time),
            game.key,
            game.env_params,
        )
    except AttributeError:
        kind = type(game.state).__name__
        yield f"its initial_state returns a {kind} without a time, the number of steps so far"
        return
    yield from _array(time, "the time of its first state", (), int)


def _sample_params(game: Game) -> Iterator[str]:
    found = attempt(game.env, "sample_params", jax.eval_shape, game.env.sample_params, game.key)
    usual = jax.eval_shape(lambda params: params, game.env.default_params)
    yield from differences(found, usual, ("what sample_params returns", "default_params"))


def _outcome_probs(game: Game) -> Iterator[str]:
    env = game.env
    if not is_written(env, "outcome_probs"):
        return
    found = _traced(game, "outcome_probs", game.state, game.env_params)
    shape = (env.num_agents, env.num_actions, env.num_outcomes)
    yield from _array(
        found, "what its outcome_probs returns", shape, float, " (agents, actions, outcomes)"
    )


def _available_actions(game: Game) -> Iterator[str]:
    env, name = game.env, "what its available_actions returns"
    if not is_written(env, "available_actions"):
        return
    found = _traced(game, "available_actions", game.state, game.env_params)
    if found is None:
        return
    shape = (env.num_agents, env.num_actions)
    wrong = list(_array(found, name, shape, bool, " (agents, actions)"))
    yield from wrong
    if not wrong and game.exact is not None:
        yield (
            "it has available_actions, of which its exact side knows nothing: one of the two must "
            "be None"
        )


def _get_obs(game: Game) -> Iterator[str]:
    seen = _traced(game, "get_obs", game.state, game.env_params)
    yield from observed.has_form(game.env, game.env_params, seen)


def _transitions(game: Game) -> Iterator[str]:
    env = game.env
    if not isinstance(game.exact, Tabulation) and is_written(env, "resolve"):
        return
    found = _traced(game, "transitions", game.state, game.actions, game.actions, game.env_params)
    missing = _lacking(found, "agent_reward", "principal_reward", "state", "probs", "terminated")
    if missing:
        yield f"its transitions return a {type(found).__name__} without {missing}: see Transitions"
        return
    yield from _rewards(env, "transitions", found)
    shape = getattr(found.probs, "shape", ())[:1]
    if len(shape) != 1:
        yield "the probs of its transitions must have one axis, of the states that may follow"
        return
    yield from _array(found.probs, "the probs of its transitions", shape, float)
    yield from _array(found.terminated, "the terminated of its transitions", shape, bool)
    names = ("the state of its transitions", "the state of its initial_state")
    yield from differences(found.state, game.state, names, shape)


def _resolve(game: Game) -> Iterator[str]:
    found = _traced(
        game, "resolve", game.key, game.state, game.actions, game.actions, game.env_params
    )
    missing = _lacking(found, "state", "agent_reward", "principal_reward", "terminated")
    if missing:
        yield f"its resolve returns a {type(found).__name__} without {missing}: see Resolution"
        return
    yield from _rewards(game.env, "resolve", found)
    yield from _array(found.terminated, "the terminated of its resolve", (), bool)
    names = ("the state of its resolve", "the state of its initial_state")
    yield from differences(found.state, game.state, names)


def _rewards(env: Environment, name: str, found: Any) -> Iterator[str]:
    for field in ("agent_reward", "principal_reward"):
        what = f"the {field} of its {name}"
        yield from _array(getattr(found, field), what, (env.num_agents,), float, ", one an agent")


def _lacking(value: object, *fields: str) -> str:
    return ", ".join(field for field in fields if not hasattr(value, field))


def _tabular_states(game: Game) -> Iterator[str]:
    if not isinstance(game.exact, Tabulation):
        return
    states = enumeration(game.env)
    sizes = {leaf.shape[:1] for leaf in jax.tree.leaves(states)}
    if len(sizes) != 1 or () in sizes or (0,) in sizes:
        yield "the leaves of its tabular_states must all have one axis in front, of the states"
        return
    names = ("what its tabular_states returns", "the state of its initial_state")
    found = list(differences(states, game.state, names, sizes.pop()))
    yield from found or _twice(states)


def _twice(states: PyTree) -> Iterator[str]:
    rows = [np.asarray(leaf).reshape(len(leaf), -1) for leaf in jax.tree.leaves(states)]
    _, first, which = np.unique(
        np.concatenate(rows, axis=1), axis=0, return_index=True, return_inverse=True
    )
    again = np.flatnonzero(first[which.ravel()] != np.arange(len(which)))
    for row in again[:1]:
        yield (
            f"states {first[which.ravel()[row]]} and {row} of its tabular_states are the same, "
            f"{shown(row_of(states, row))}"
        )


def _index(game: Game) -> Iterator[str]:
    if not isinstance(game.exact, Tabulation):
        return
    found = _traced(game, "state_index", game.state)
    yield from _array(found, "what its state_index returns", (), int)


def _start_probs(game: Game) -> Iterator[str]:
    if not isinstance(game.exact, Tabulation) or not is_written(game.env, "start_probs"):
        return
    found = _traced(game, "start_probs", game.env_params)
    shape = (game.exact.num_states,)
    yield from _array(found, "what its start_probs returns", shape, float, ", one a state")


_MADE_OF = {"resolve": "transitions", "state_index": "tabular_states"}
_CHECKS: dict[str, Callable[[Game], Iterator[str]]] = {
    "sample_params": _sample_params,
    "outcome_probs": _outcome_probs,
    "available_actions": _available_actions,
    "get_obs": _get_obs,
    "transitions": _transitions,
    "resolve": _resolve,
    "tabular_states": _tabular_states,
    "state_index": _index,
    "start_probs": _start_probs,
}


def table_size(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Whether the table of a game is small enough to be solved."""
    size, joint = enumeration_size(env), env.num_actions**env.num_agents
    what, entries = f"{size:,} states x {joint:,} joint actions", size * joint
    successors = num_successors(env, env_params)
    if env.observed_actions:
        what, entries = f"{what} x {successors:,} successors", entries * successors
    else:
        outcomes = env.num_outcomes**env.num_agents
        what = f"{what} x {outcomes:,} joint outcomes of {successors:,} successors"
        entries = size * outcomes * max(joint, successors)
    if entries > _MOST_ENTRIES:
        yield (
            f"its table would be too large to be solved: {what}; its tabular_states must return "
            f"None where these are more than {_MOST_ENTRIES:,}"
        )
    elif env.has_horizon:
        steps = int(env_params.max_steps_in_episode)
        if steps > LONGEST_EPISODE:
            yield (
                "it has a table but no time limit: give its params a max_steps_in_episode, or say "
                "has_horizon = False"
            )
        elif env.num_agents == 1 and size * steps * env.num_actions > _MOST_ENTRIES:
            yield (
                f"its table would be too large to be solved: {size:,} states at {steps:,} times; "
                "its tabular_states must return None there"
            )


def enumeration_size(env: Environment) -> int:
    """S."""
    return len(jax.tree.leaves(enumeration(env))[0])


def num_successors(env: Environment, env_params: GameParams) -> int:
    """K."""
    actions = jax.ShapeDtypeStruct((env.num_agents,), jnp.int32)
    state = jax.eval_shape(env.initial_state, jax.eval_shape(fixed_key, 0), env_params)
    found = jax.eval_shape(env.transitions, state, actions, actions, env_params)
    return int(found.probs.shape[0])
