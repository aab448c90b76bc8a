"""What validation needs of a game: found out before the principals are trained."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from jaxparl.environment import Environment, ExactSolutions
from jaxparl.equilibrium import solutions_of
from jaxparl.evaluation.checks import exact_side, may_end
from jaxparl.evaluation.rollouts import LONGEST_EPISODE
from jaxparl.exact import untraced


def check_can_validate(env: Environment) -> None:
    """Checks that an environment has all that validation needs, by its default params.

    Raises:
      ValueError: in one line, what is missing.

    Examples:
      >>> from jaxparl.envs import make
      >>> check_can_validate(make("coin_game", grid_size=3)[0])
      >>> check_can_validate(make("coin_game", num_agents=3)[0])  # doctest: +ELLIPSIS
      Traceback (most recent call last):
      ...
      ValueError: validation needs several agents, ... which CoinGame does not have
    """
    check_kind(env)
    complaint = _missing(env)
    if complaint:
        raise ValueError(f"validation of {env.name}: {complaint}")


def check_kind(env: Environment) -> None:
    """Checks that an environment has several agents, observed actions and exact solutions.

    Raises:
      ValueError: one of these is missing.
    """
    several = env.num_agents > 1 and env.observed_actions
    if not several or not isinstance(exact_side(env), ExactSolutions):
        raise ValueError(
            "validation needs several agents, observed actions and exact solutions, which "
            f"{env.name} does not have"
        )


@functools.cache
def _missing(env: Environment) -> str | None:
    """What the first of the things is that validation needs, and that does not work."""
    exact, count = solutions_of(env), env.num_agents
    env_params = untraced(lambda: env.default_params)
    limit = int(env_params.max_steps_in_episode)
    if limit > LONGEST_EPISODE:
        return f"its episodes need a time limit, but max_steps_in_episode is {limit}"
    # Nudges and recommendations are counted by the time limit.
    if untraced(lambda: may_end(env, env_params)):
        return "its episodes must last until the time limit, but the game ends by itself"
    state = jax.eval_shape(env.initial_state, jax.random.key(0), env_params)
    by_state = jax.ShapeDtypeStruct((exact.num_states, count), jnp.float32)
    by_action = jax.ShapeDtypeStruct((*by_state.shape, env.num_actions), jnp.float32)
    action = jax.ShapeDtypeStruct(by_state.shape, jnp.int8)
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
        if returned != shapes:
            return f"the {name} of its solutions returns the shapes {returned}, not {shapes}"
    return None
