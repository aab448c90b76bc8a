"""Whether a game keeps to its own rules in random play.

Each function yields complaints. A right game has none.
"""

from __future__ import annotations

from collections.abc import Iterator

import jax
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks import observed
from jaxparl.evaluation.checks.draws import MOST_ERRORS, TOLERANCE, Draws
from jaxparl.evaluation.checks.failures import row_of, shown
from jaxparl.evaluation.checks.play import Played, Seen
from jaxparl.evaluation.checks.probabilities import bad_rows


def rules(env: Environment, played: Played) -> Iterator[str]:
    """What is wrong with time, outcome probabilities and rewards."""
    yield from _time(played)
    probs = played.outcome_probs
    if probs is not None:
        for what, (step, number, agent, action) in bad_rows(probs):
            yield (
                f"its outcome_probs of action {action} of agent {agent} {what}, in "
                f"{_state(played, step, number)}"
            )
        if env.observed_actions and not (probs == np.eye(env.num_actions)).all():
            yield "its actions are observed, but its outcome_probs are not the identity"
    for name in ("agent_reward", "principal_reward"):
        rewards = getattr(played.done, name)
        for step, number, agent in np.argwhere(~np.isfinite(rewards))[:1]:
            yield (
                f"its resolve returns {rewards[step, number, agent]} as the {name} of agent "
                f"{agent}, after the actions {played.action[step, number].tolist()} in "
                f"{_state(played, step, number)}"
            )


def _state(played: Played, step: int, number: int) -> str:
    return f"the state {shown(row_of(played.state, step, number))}"


def _time(played: Played) -> Iterator[str]:
    start = played.time[played.is_first]
    for time in start[start != 0][:1]:
        yield f"its initial_state starts an episode at time {time}, not at time 0"
    is_wrong = ~played.done.terminated & (played.done.time != played.time + 1)
    for step, number in np.argwhere(is_wrong)[:1]:
        yield (
            f"its resolve leads from time {played.time[step, number]} to time "
            f"{played.done.time[step, number]}, but time must grow by 1, in "
            f"{_state(played, step, number)}"
        )


def observations(env: Environment, env_params: GameParams, seen: Seen) -> Iterator[str]:
    """What is wrong with what agents observe."""
    watched = seen.watched
    for row, agent in np.argwhere(watched.excess > TOLERANCE)[:1]:
        state = row_of(seen.state, row)
        look = jax.eval_shape(env.get_obs, state, env_params)
        at = observed.name_entry(look, int(watched.entry[row, agent]))
        yield (
            f"its get_obs shows agent {agent} {watched.value[row, agent]:.6g}{at}, which is "
            f"outside of its observation_space, {observed.space_of(env, env_params)!r}, in the "
            f"state {shown(state)}"
        )


def identity(env: Environment, played: Played, seen: Seen) -> Iterator[str]:
    """Whether agents that are not alike can tell who they are."""
    if env.num_agents == 1 or env.identifies_agents or not seen.watched.is_same.all():
        return
    how = next(_unlike(env, played), None)
    if how:
        yield (
            f"its agents see the same in every state, but {how}: they share a network, so let "
            "get_obs or identifies_agents tell them who they are"
        )


def _unlike(env: Environment, played: Played) -> Iterator[str]:
    probs = played.outcome_probs
    if probs is not None:
        gap = np.abs(probs - probs[:, :, :1]).max(axis=(0, 1, 3, 4))
        for agent in np.flatnonzero(gap > TOLERANCE)[:1]:
            yield f"the outcome_probs of agent {agent} are not those of agent 0"
    # Play by play: what is drawn once for an episode is one draw, however long the episode is.
    action, reward = played.action[:, ::2], played.done.agent_reward[:, ::2]
    for number in range(env.num_actions):
        counts = action[..., 0] == number
        some = counts.any(axis=0)
        if not some.any():
            continue
        more = np.where(counts[..., None], reward - reward[..., :1], 0).sum(axis=0)[some]
        gap = Draws.of((more / counts.sum(axis=0)[some][:, None]).T)
        error = TOLERANCE + MOST_ERRORS * np.sqrt(gap.variance / gap.size)
        for agent in np.flatnonzero(np.abs(gap.mean) > error)[:1]:
            yield (
                f"where all take action {number}, agent {agent} gets {gap.mean[agent]:.6g} more "
                "than agent 0, on average"
            )
