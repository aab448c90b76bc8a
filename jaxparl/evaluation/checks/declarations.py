"""Whether a game declares what every game must: names, counts, settings, spaces, params.

Nothing is traced or computed here. Each function yields complaints; a right game has none.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Iterator
from typing import Any

import jax
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks.failures import attempt, is_written

_ALWAYS = ("default_params", "initial_state", "get_obs")
_COUNTS = ("num_agents", "num_actions", "num_outcomes")


def essentials(env: Environment) -> Iterator[str]:
    """What is missing or impossible, so that nothing else can be looked at."""
    missing = [name for name in _ALWAYS if not is_written(env, name)]
    if not is_written(env, "observation_space") and not is_written(env, "make_network"):
        missing.append("observation_space")
    if not env.observed_actions and not is_written(env, "outcome_probs"):
        missing.append("outcome_probs, as its actions are hidden")
    if not is_written(env, "resolve") and not is_written(env, "transitions"):
        missing.append("resolve, or transitions")
    has_table = is_written(env, "tabular_states") and not is_written(env, "exact")
    if has_table and not is_written(env, "transitions"):
        missing.append("transitions, as it has tabular_states")
    for name in missing:
        yield f"its class must define {name}"
    for name in _COUNTS:
        yield from _count(env, name)


def _count(env: Environment, name: str) -> Iterator[str]:
    try:
        value = getattr(env, name)
    except (AttributeError, NotImplementedError):
        yield f"its class must define {name}"
        return
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        yield f"its {name} must be a positive int, not {value!r}"


def labels(env: Environment) -> Iterator[str]:
    """What it says of its actions, and of being drawn."""
    if env.observed_actions and env.num_outcomes != env.num_actions:
        yield (
            f"its actions are observed, so its num_outcomes must be {env.num_actions}, as many as "
            f"its actions, not {env.num_outcomes}"
        )
    said = attempt(env, "action_labels", lambda: tuple(env.action_labels))
    if len(said) != env.num_actions:
        yield f"its action_labels must be {env.num_actions}, one an action, not {len(said)}: {said}"
    if env.can_draw and not is_written(env, "draw"):
        yield "it says can_draw, but its class does not define draw"


# --- Settings ---------------------------------------------------------------------------------


def settings(env: Environment) -> Iterator[str]:
    """Whether settings can be compared and hashed, so that equal games share what is compiled."""
    arrays = [path for path, value in _values(env.settings) if isinstance(value, jax.Array)]
    for path in arrays:
        yield f"its settings hold an array of JAX, {path}: make it a tuple of numbers"
    if arrays:
        return
    for thing, name in ((env.settings, "settings"), (env, "class")):
        try:
            hash(thing)
        except Exception as error:
            advice = {
                "settings": "make them a frozen dataclass of numbers, strings and tuples",
                "class": "a class that defines __eq__ must define __hash__",
            }
            yield f"its {name} cannot be hashed ({error}): {advice[name]}"
            return


def is_hashable(env: Environment) -> bool:
    """Whether the game can be an argument of compiled programs."""
    try:
        hash(env)
    except Exception:
        return False
    return True


def _values(setting: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value within settings, by its path."""
    if dataclasses.is_dataclass(setting) and not isinstance(setting, type):
        for field in dataclasses.fields(setting):
            yield from _values(getattr(setting, field.name), f"{path}.{field.name}")
    elif isinstance(setting, tuple | list):
        for number, each in enumerate(setting):
            yield from _values(each, f"{path}[{number}]")
    elif isinstance(setting, dict):
        for key, each in setting.items():
            yield from _values(each, f"{path}[{key!r}]")
    else:
        yield path, setting


def equality(env: Environment) -> Iterator[str]:
    """Whether a second instance, built from the same settings, is equal to this one."""
    if env.settings is None or not is_hashable(env) or not _is_built_from_settings(env):
        return
    twin = attempt(env, "__init__", type(env), env.settings)
    if not (twin == env and env == twin):
        yield (
            "two instances built from the same settings are not equal, and would share nothing "
            "that is compiled"
        )
    elif hash(twin) != hash(env):
        yield "two instances built from the same settings are equal, but their hashes are not"


def _is_built_from_settings(env: Environment) -> bool:
    """Whether the constructor asks for settings, and for nothing else."""
    try:
        parameters = list(inspect.signature(type(env)).parameters.values())
    except ValueError:
        return False
    is_settings = bool(parameters) and parameters[0].name == "settings"
    return is_settings and all(other.default is not other.empty for other in parameters[1:])


# --- Params -----------------------------------------------------------------------------------


def params_kind(env_params: object) -> Iterator[str]:
    """Whether params are such that they can be traced."""
    kind = type(env_params).__name__
    if not isinstance(env_params, GameParams):
        yield (
            f"its params are a {kind}, not GameParams: derive a class from GameParams and decorate "
            "it with flax.struct.dataclass"
        )
        return
    leaves = jax.tree_util.tree_flatten_with_path(env_params)[0]
    if any(leaf is env_params for _, leaf in leaves):
        yield f"its params are a {kind}, which lacks the decorator flax.struct.dataclass"
        return
    for path, leaf in leaves:
        if not _is_traceable(leaf):
            yield (
                f"{jax.tree_util.keystr(path)} of its params is a {type(leaf).__name__}, which "
                "cannot be traced: what is no number belongs in its settings"
            )


def _is_traceable(leaf: Any) -> bool:
    try:
        jax.eval_shape(lambda: leaf)
    except TypeError:
        return False
    return True


def params_values(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Whether discount and time limit make sense."""
    discount, limit = np.asarray(env_params.discount), np.asarray(env_params.max_steps_in_episode)
    for name, value in (("discount", discount), ("max_steps_in_episode", limit)):
        if value.shape != ():
            yield f"its {name} must be one number, not of the shape {value.shape}"
            return
    if not 0 <= discount <= 1:
        yield f"its discount must be between 0 and 1, not {discount:.6g}"
    elif discount == 1 and not env.has_horizon:
        yield "it has no horizon (has_horizon is False), so its discount must be below 1"
    if not limit >= 1:
        yield f"its time limit (max_steps_in_episode) must be at least 1, not {limit}"
