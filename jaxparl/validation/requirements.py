"""What validation needs of a game: found out before the principals are trained."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp

from jaxparl.environment import Environment, ExactTable
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks import exact_side
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.exact import untraced
from jaxparl.validation.schemes import MECHANISMS, scheme_names


def check_can_validate(env: Environment) -> None:
    """Checks that an environment has all that validation needs, by its default params.

    Every game can be validated, exactly or by episodes. What may be missing is a method of the
    exact solutions of its author, a time limit, or a discount where there is no horizon.

    Raises:
      ValueError: in one line, what is missing.

    Examples:
      >>> from jaxparl.envs import make
      >>> check_can_validate(make("coin_game", grid_size=3)[0])
      >>> check_can_validate(make("coin_game", grid_size=5, num_agents=3)[0])
    """
    exact_side(env)
    complaint = _missing(env)
    if complaint:
        raise ValueError(f"validation of {env.name}: {complaint}")


def check_schemes(env: Environment, chosen: Sequence[str], discounts: Iterable[float]) -> None:
    """Checks that a game has the schemes that were chosen for it.

    Args:
      env: the game.
      chosen: their names.
      discounts: of all runs.

    Raises:
      ValueError: a scheme is unknown, or not of this game; or its number is of play without an end,
        and a run does not discount that.

    Examples:
      >>> from jaxparl.envs import make
      >>> check_schemes(make("matrix_game")[0], ["fine"], [1.0])
      Traceback (most recent call last):
      ValueError: the scheme fine needs a discount below 1, as its number is of play without an end
    """
    needing = [name for name in scheme_names(env, chosen) if name in MECHANISMS]
    if needing and max(discounts) >= 1:
        raise ValueError(
            f"the scheme {needing[0]} needs a discount below 1, as its number is of play without "
            "an end"
        )


@functools.cache
def _missing(env: Environment) -> str | None:
    """What the first of the things is that validation needs, and that does not work."""
    env_params = untraced(lambda: env.default_params)
    limit, discount = (
        float(value) for value in (env_params.max_steps_in_episode, env_params.discount)
    )
    if not env.has_horizon and discount >= 1:
        return f"it has no horizon, so its discount must be below 1, not {discount:g}"
    if env.exact is None:
        return None
    if env.has_horizon and limit > LONGEST_EPISODE and not isinstance(env.exact, ExactTable):
        return f"its episodes need a time limit, but max_steps_in_episode is {limit:.0f}"
    exact, count = solutions_of(env), env.num_agents
    state = jax.eval_shape(env.initial_state, jax.random.key(0), env_params)
    by_state = jax.ShapeDtypeStruct((exact.num_states, count), jnp.float32)
    by_action = jax.ShapeDtypeStruct((*by_state.shape, env.num_actions), jnp.float32)
    action = jax.ShapeDtypeStruct(by_state.shape, jnp.int32)
    number, value = [()], [(), (), (count,)]
    for name, arguments, shapes in (
        ("state_index", (state,), number),
        ("optimal_welfare", (env_params,), number),
        ("equilibrium", (env_params,), value),
        ("play_values", (env_params, action, by_state), value),
        ("best_responses", (env_params, action, by_action), [(count,)]),
    ):
        try:
            found = jax.eval_shape(getattr(exact, name), *arguments)
        except Exception as error:  # whatever its author's code raises
            return f"the {name} of its solutions fails: {type(error).__name__}: {error}"
        returned = [leaf.shape for leaf in jax.tree.leaves(found)]
        # A value may say what the principal gets, too.
        if returned != shapes and not (shapes is value and returned == [*value, ()]):
            return f"the {name} of its solutions returns the shapes {returned}, not {shapes}"
    return None
