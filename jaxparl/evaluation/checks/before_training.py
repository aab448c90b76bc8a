"""Whether the exact side of a game is that of the game: found out before anything is trained.

What is compared with the exact values would otherwise look right, and be of another game.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.core import Tracer

from jaxparl.environment import Environment, ExactSolutions, ExactTable, GameParams, Tabulation
from jaxparl.evaluation.checks import solution_checks, table_checks
from jaxparl.evaluation.checks.small_programs import QUICK_TO_COMPILE, random_numbers
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.exact import untraced
from jaxparl.types import PyTree

# Steps of random play that should come to an end, and how many plays there are.
_RANDOM_STEPS, _RANDOM_PLAYS = 4_096, 4


def check_game(env: Environment, env_params: GameParams) -> None:
    """Checks that a game is solved as it is played, and that its episodes end.

    Params that are traced have no values, and pass.

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
    complaint = untraced(lambda: next(_complaints(env, env_params), None))
    if complaint:
        raise ValueError(f"{env.name}: {complaint}")


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


def exact_side(env: Environment) -> object:
    """What `env.exact` is.

    Raises:
      ValueError: it lacks a method.
    """
    try:
        return env.exact
    except TypeError as error:
        raise ValueError(f"{env.name}: its exact side is incomplete: {error}") from error


def _complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    exact = exact_side(env)
    if exact is None or isinstance(exact, Tabulation):
        yield from _endings(env, env_params)
    elif env.num_agents == 1:
        if isinstance(exact, ExactTable):
            yield from table_checks.complaints(env, env_params)
        else:
            yield f"it has one agent: its exact side must be an ExactTable, not {_kind(exact)}"
    elif not isinstance(exact, ExactSolutions):
        yield (
            f"it has {env.num_agents} agents: its exact side must be ExactSolutions, not "
            f"{_kind(exact)}"
        )
    elif not env.observed_actions:
        yield (
            "it has several agents and hides their actions, which cannot be solved exactly: its "
            "exact side must be None"
        )
    else:
        yield from _endings(env, env_params)
        yield from solution_checks.complaints(env, env_params)


def _kind(exact: object) -> str:
    return type(exact).__name__


# --- Episodes that end ------------------------------------------------------------------------


def _endings(env: Environment, env_params: GameParams) -> Iterator[str]:
    limit = int(env_params.max_steps_in_episode)
    if limit < 1:
        yield f"its time limit (max_steps_in_episode) must be at least 1, not {limit}"
    elif limit > LONGEST_EPISODE and not may_end(env, env_params):
        yield (
            f"it has no time limit, and nothing ended in {_RANDOM_STEPS:,} random steps: give its "
            f"params a max_steps_in_episode of at most {LONGEST_EPISODE:,}"
        )


def may_end(env: Environment, env_params: GameParams) -> bool:
    """Whether the game ends by its own rules in random play, before its time limit."""
    numbers = random_numbers(_RANDOM_PLAYS), random_numbers(_RANDOM_STEPS)
    return bool(_any_end(env, env_params, *numbers))


@functools.partial(jax.jit, static_argnums=0, compiler_options=QUICK_TO_COMPILE)
def _any_end(
    env: Environment, env_params: GameParams, starts: jax.Array, steps: jax.Array
) -> jax.Array:
    states = jax.vmap(lambda key: env.initial_state(key, env_params))(  # over plays
        jax.random.wrap_key_data(starts)
    )

    def step(key: jax.Array, state: PyTree):
        key_action, key_step = jax.random.split(key)
        action = jax.random.randint(key_action, (env.num_agents,), 0, env.num_actions)
        _, state, _, terminated, _, _ = env.step(key_step, state, action, env_params)
        return state, terminated

    def steps_of_all(states: PyTree, key: jax.Array):
        return jax.vmap(step)(jax.random.split(key, _RANDOM_PLAYS), states)  # over plays

    return jax.lax.scan(steps_of_all, states, jax.random.wrap_key_data(steps))[1].any()
