"""What is found out before anything is trained, in a moment.

What is compared with the exact values would otherwise look right, and be of another game.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks import inspection
from jaxparl.evaluation.checks.failures import BrokenGameError
from jaxparl.exact import untraced


def check_game(env: Environment, env_params: GameParams) -> None:
    """Checks that a game is solved as it is played, and that its episodes end.

    This is the fast part of `jaxparl.check_env`. Params that are traced have no values, and pass.

    Raises:
      ValueError: in one line, the first thing that is wrong.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("game_tree", depth=3)
      >>> check_game(env, env_params)
      >>> check_game(env, env_params.replace(max_steps_in_episode=2))  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ...
      ValueError: GameTree: its episodes are cut off after 2 steps (max_steps_in_episode), but ...
    """
    if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(env_params)):
        return
    found = inspection.complaints(env, env_params, thorough=False)
    complaint = untraced(lambda: next(found, None))
    if complaint:
        raise ValueError(f"{env.name}: {complaint}")


def exact_side(env: Environment) -> object:
    """What `env.exact` is.

    Raises:
      ValueError: it lacks a method, or fails.
    """
    try:
        return inspection.exact_side(env)
    except BrokenGameError as error:
        raise ValueError(f"{env.name}: {error}") from error


def check_finite(values: Mapping[str, Any], title: str) -> None:
    """Checks that exact values, by name, are numbers; a share of nothing may be undefined (NaN).

    Raises:
      FloatingPointError: one of them is not; `title` says of what they are.

    Examples:
      >>> check_finite({"optimal_welfare": 4.0}, "game 3")
      >>> check_finite({"optimal_welfare": np.inf}, "game 3")
      Traceback (most recent call last):
      ...
      FloatingPointError: the exact optimal_welfare of game 3 is inf
    """
    for name, value in values.items():
        numbers = np.asarray(value)
        if name.endswith("_share"):
            numbers = numbers[~np.isnan(numbers)]
        if not np.isfinite(numbers).all():
            wrong = numbers[~np.isfinite(numbers)].ravel()[0]
            raise FloatingPointError(f"the exact {name} of {title} is {wrong}")
