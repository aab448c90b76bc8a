"""All that is looked at in a game, in order: what later steps need comes first."""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np

from jaxparl.environment import Environment, ExactSolutions, ExactTable, GameParams, Tabulation
from jaxparl.evaluation.checks import (
    declarations,
    endings,
    forms,
    keys,
    observed,
    play_checks,
    solution_checks,
    table_checks,
    transition_checks,
    value_checks,
)
from jaxparl.evaluation.checks.failures import BrokenGameError, fails, guarded, is_written
from jaxparl.evaluation.checks.play import observe, play

# Without these, nothing can be played.
_RULES = {"initial_state", "outcome_probs", "resolve"}
# Without these, no table can be compared with play.
_TABLE = {"transitions", "tabular_states", "state_index", "start_probs", "get_obs"}


def complaints(env: Environment, env_params: GameParams, *, thorough: bool) -> Iterator[str]:
    """What is wrong with a game, each mistake in a sentence, the first to be mended first.

    Args:
      env: the game.
      env_params: its params, whose values are known.
      thorough: also what takes more than a moment: random play, keys, and a second instance.
    """
    found = list(guarded(env, _essentials(env, env_params)))
    yield from found
    if found:
        return
    impossible = list(declarations.params_values(env, env_params))
    yield from impossible
    for declared in (
        declarations.labels(env),
        declarations.settings(env),
        declarations.equality(env) if thorough else iter(()),
        observed.has_network(env, env_params),
    ):
        yield from guarded(env, declared)
    # What is compiled has the game as an argument.
    if not declarations.is_hashable(env):
        return
    exact, broken = None, set()
    try:
        exact = exact_side(env)
    except BrokenGameError as error:
        broken.add("exact")
        yield str(error)
    for complaint in forms.complaints(env, env_params, exact):
        broken.add(complaint.method)
        yield complaint.text
    if _RULES & broken:
        return
    if thorough:
        found = []
        yield from guarded(env, _played(env, env_params, broken, found))
        if found:
            return
    needed = {"exact", *(_TABLE if isinstance(exact, Tabulation) else ())}
    if not impossible and not needed & broken:
        yield from guarded(env, _exact(env, env_params, exact, thorough))


def _essentials(env: Environment, env_params: GameParams) -> Iterator[str]:
    yield from declarations.essentials(env)
    yield from declarations.params_kind(env_params)


def _played(
    env: Environment, env_params: GameParams, broken: set[str], found: list[str]
) -> Iterator[str]:
    """What is found out by random play; what is wrong with the rules is added to `found`, too."""
    state = jax.eval_shape(env.initial_state, jax.random.key(0), env_params)
    yield from keys.complaints(env, env_params, state)
    played = play(env, env_params)
    if "get_obs" not in broken:
        seen = observe(env, env_params, played)
        yield from play_checks.observations(env, env_params, seen)
        yield from play_checks.identity(env, played, seen)
    found += play_checks.rules(env, played)
    yield from found


def exact_side(env: Environment) -> object:
    """What `env.exact` is.

    Raises:
      BrokenGameError: it cannot be had.
    """
    try:
        return env.exact
    except TypeError as error:
        raise BrokenGameError(f"its exact side is incomplete: {error}") from error
    except Exception as error:
        raise BrokenGameError(fails(env, error)) from error


def _exact(
    env: Environment, env_params: GameParams, exact: object, thorough: bool
) -> Iterator[str]:
    """What is wrong with the exact side of a game, and with how its episodes end."""
    if isinstance(exact, Tabulation):
        yield from _tabulation(env, env_params, thorough)
    elif exact is None:
        yield from endings.complaints(env, env_params)
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
        yield from endings.complaints(env, env_params)
        yield from solution_checks.complaints(env, env_params)


def _kind(exact: object) -> str:
    return type(exact).__name__


def _tabulation(env: Environment, env_params: GameParams, thorough: bool) -> Iterator[str]:
    """What is wrong with a game that is written out from its states and transitions."""
    found = [*endings.complaints(env, env_params), *forms.table_size(env, env_params)]
    found = found or list(transition_checks.complaints(env, env_params))
    yield from found
    if found:
        return
    if env.num_agents == 1 and env.has_horizon:
        yield from _length(env, env_params)
    # Values of what is drawn from the transitions, and found by looking up, are those of the game.
    if thorough or is_written(env, "resolve") or is_written(env, "state_index"):
        yield from value_checks.complaints(env, env_params)


def _length(env: Environment, env_params: GameParams) -> Iterator[str]:
    """Compares the time limit of the params with the horizon, which is that of the defaults."""
    limit, horizon = int(env_params.max_steps_in_episode), env.horizon
    if limit == horizon or horizon is None:
        return
    table = jax.device_get(env.tabular(env_params))
    start = np.flatnonzero(np.asarray(env.start_probs(env_params)))
    _, most = table_checks.longest_episode(table, start)
    yield from table_checks.lengths(most, horizon, limit)
