"""Random play of a game, in NumPy but for its own methods."""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks import methods
from jaxparl.evaluation.checks.failures import is_written
from jaxparl.evaluation.checks.methods import Steps, Watched, batch_size, in_batches
from jaxparl.evaluation.checks.small_programs import random_numbers
from jaxparl.types import PyTree

# The steps of each play. There are as many plays as rows of a batch.
_STEPS = 64
# The states that are observed, before steps and after them.
_OBSERVED = 4_096


class Played(NamedTuple):
    """Steps of random play, `[T, E]`. In every second play all agents always do the same.

    Attributes:
      state: before the step.
      time: of it.
      is_first: whether an episode starts with it.
      outcome_probs: in it, `[T, E, N, A, O]`; None where the game does not say them.
      action: `[T, E, N]`.
      done: what the step led to.
    """

    state: PyTree
    time: Any
    is_first: Any
    outcome_probs: Any
    action: Any
    done: Steps


def play(env: Environment, env_params: GameParams) -> Played:
    """Plays at random, and starts again after every end."""
    rng = np.random.default_rng(0)
    size = batch_size(env)
    shape = (_STEPS, size, env.num_agents)
    actions = rng.integers(env.num_actions, size=shape, dtype=np.int32)
    actions[:, ::2] = actions[:, ::2, :1]
    numbers = random_numbers(_STEPS * size)
    numbers = numbers.reshape(_STEPS, size, *numbers.shape[1:])
    # Starts are the same again and again, if they are random: these are enough of them.
    first = jax.device_get(methods.first_states(env, env_params, numbers[-1]))
    now, is_first = first, np.ones(size, bool)
    played = []
    for action, number in zip(actions, numbers, strict=True):
        state, time = now
        probs = said_probs(env, env_params, state)
        outcome = draw_outcomes(env, probs, action, rng)
        done = jax.device_get(methods.steps(env, env_params, number, state, action, outcome))
        played.append(Played(state, time, is_first, probs, action, done))
        is_first = np.asarray(done.is_over)
        now = jax.tree.map(
            lambda new, old, over=is_first: np.where(_beside(over, new), new, old),
            first,
            (done.state, done.time),
        )
    whole: Played = jax.tree.map(lambda *leaves: np.stack(leaves), *played)
    return whole


def _beside(flags: np.ndarray, leaf: np.ndarray) -> np.ndarray:
    """Flags `[E]` with as many axes as a leaf `[E, ...]`."""
    return flags.reshape(-1, *(1 for _ in leaf.shape[1:]))


def said_probs(env: Environment, env_params: GameParams, state: PyTree) -> np.ndarray | None:
    """The outcome probabilities in states `[P]`; None where the game does not say them."""
    if not is_written(env, "outcome_probs"):
        return None
    probs: np.ndarray = in_batches(methods.outcome_probs, env, env_params, state)
    return probs


def draw_outcomes(
    env: Environment, probs: np.ndarray | None, action: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """`[P, N]` int32, outcomes of actions `[P, N]` by probabilities `[P, N, A, O]`.

    Where actions are observed these are the outcomes.
    """
    if env.observed_actions or probs is None:
        return action
    rows = np.arange(len(action))[:, None], np.arange(env.num_agents), action
    sums = np.cumsum(probs[rows], axis=-1)
    below = sums <= rng.random((*action.shape, 1)) * sums[..., -1:]
    return np.minimum(below.sum(axis=-1), env.num_outcomes - 1).astype(np.int32)


class Seen(NamedTuple):
    """States of random play, `[P]`, and how they look.

    Attributes:
      state: some before steps, and some after them.
      watched: what is observed in them.
    """

    state: PyTree
    watched: Watched


def observe(env: Environment, env_params: GameParams, played: Played) -> Seen:
    """Observes some of the states."""
    rng = np.random.default_rng(0)
    some = rng.choice(played.time.size, min(_OBSERVED, played.time.size), replace=False)
    # Ends are few, and differ from all that came before.
    ends = np.flatnonzero(played.done.is_over)
    last = rng.permutation(np.concatenate([ends, some]))[:_OBSERVED]

    def join(before: np.ndarray, after: np.ndarray) -> np.ndarray:
        flat = (leaf.reshape(-1, *leaf.shape[2:]) for leaf in (before, after))
        return np.concatenate([leaf[rows] for leaf, rows in zip(flat, (some, last), strict=True)])

    state = jax.tree.map(join, played.state, played.done.state)
    return Seen(state, in_batches(methods.watch, env, env_params, state))
