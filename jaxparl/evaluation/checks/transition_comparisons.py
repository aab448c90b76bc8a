"""Whether the transitions of a game say the same as its steps do, and as they say elsewhere.

Each function yields complaints, in NumPy. A right game has none.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks.draws import (
    MOST_ERRORS,
    TOLERANCE,
    Draws,
    off_alone,
    off_together,
    surely_off,
    unlikely,
)
from jaxparl.evaluation.checks.transition_facts import Facts, draw
from jaxparl.lookup import NOWHERE

# Steps that are drawn again, in the hope of as many draws of each as there were of all.
_AGAIN = 4


class Subject(NamedTuple):
    """A game, and the facts about it.

    Attributes:
      env: the game.
      env_params: its params.
      facts: what was computed.
      size: S.
    """

    env: Environment
    env_params: GameParams
    facts: Facts
    size: int

    def after(self, pair: Any) -> str:
        """`after action 1 and outcome 0 in state 3`."""
        pairs = self.facts.pairs
        done = [joint("action", pairs.action[pair])]
        if not self.env.observed_actions:
            done.append(joint("outcome", pairs.outcome[pair]))
        time = pairs.later[pair]
        when = f" (at time {time})" if time else ""
        return f"after {' and '.join(done)} in state {pairs.place[pair]}{when}"

    def happening(self, event: Any) -> str:
        """What follows: a state, by its number, or the end of the game."""
        number = event % (self.size + 2)
        if number == self.size:
            return "the end of the game"
        return f"state {number}" if number < self.size else "a state that is not in its table"

    def pair(self, event: Any) -> int:
        """After which pair something follows."""
        return int(event // (self.size + 2))


def joint(name: str, choice: np.ndarray) -> str:
    """`action 1`, or `actions [1, 0]` of several agents."""
    return f"{name} {choice[0]}" if len(choice) == 1 else f"{name}s {choice.tolist()}"


def times(subject: Subject) -> np.ndarray:
    """`[P]`, of the states of the pairs."""
    pairs = subject.facts.pairs
    states = subject.env.exact.states()  # type: ignore[union-attr]
    time = jax.vmap(lambda state: jnp.asarray(state.time))(states)  # over S
    return np.asarray(time)[pairs.place] + pairs.later


class Chances(NamedTuple):
    """How likely everything is that may follow.

    Attributes:
      event: `[.]`, sorted: a row of pairs, times S + 2, and what follows: one of S states, the end,
        or a state that is nowhere.
      prob: `[.]`, how likely it is.
    """

    event: np.ndarray
    prob: np.ndarray

    def beside(self, other: Chances) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The events of either, and how likely both say that they are."""
        event = np.union1d(self.event, other.event)
        return event, self._at(event), other._at(event)

    def _at(self, event: np.ndarray) -> np.ndarray:
        place = np.minimum(np.searchsorted(self.event, event), len(self.event) - 1)
        return np.where(self.event[place] == event, self.prob[place], 0.0)


def chances(size: int, places: np.ndarray, terminated: np.ndarray, probs: np.ndarray) -> Chances:
    """Of what may follow, `[P, K]`, each with its probability."""
    number = np.where(terminated, size, np.where(places == NOWHERE, size + 1, places))
    events = np.arange(len(number))[:, None] * (size + 2) + number.astype(np.int64)
    kept = probs > 0
    weights = probs[kept]
    event, place = np.unique(events[kept], return_inverse=True)
    return Chances(event, np.bincount(place.ravel(), weights.astype(float), len(event)))


def _listed(subject: Subject, which: int = 0, rows: slice = slice(None)) -> Chances:
    listed, place = subject.facts.listed, subject.facts.listed_place
    arrays = (each[which, rows] for each in (place, listed.terminated, listed.probs))
    return chances(subject.size, *arrays)


def hidden(subject: Subject) -> Iterator[str]:
    """What depends on actions, although these are hidden."""
    if subject.env.observed_actions:
        return
    none = joint("action", np.zeros(subject.env.num_agents, int))
    own, other = subject.facts.listed.principal_reward
    for pair in np.flatnonzero(_differ(own, other))[:1]:
        yield (
            f"its actions are hidden, but {subject.after(pair)} its transitions bring the "
            f"principal {own[pair]:.6g}, and after {none} with the same outcome {other[pair]:.6g}"
        )
    event, chance, without = _listed(subject).beside(_listed(subject, 1))
    for at in np.flatnonzero(np.abs(chance - without) > TOLERANCE)[:1]:
        yield (
            f"its actions are hidden, but {subject.after(subject.pair(event[at]))} its transitions "
            f"lead to {subject.happening(event[at])} with probability {chance[at]:.6g}, and after "
            f"{none} with the same outcome {without[at]:.6g}"
        )


def timeless(subject: Subject) -> Iterator[str]:
    """What depends on the time, although the table has its states at one time alone."""
    facts = subject.facts
    listed, several = facts.listed, np.unique(facts.pairs.later)
    if not ((listed.probs > 0) & ~listed.terminated).any():
        return
    size = len(facts.pairs.place) // len(several)
    before = slice(size)
    for number in range(1, len(several)):
        rows = slice(number * size, (number + 1) * size)
        for name in ("agent_reward", "principal_reward"):
            found, own = (getattr(listed, name)[0, each] for each in (rows, before))
            for at in np.argwhere(_differ(found, own))[:1]:
                yield (
                    f"its tabular_states are listed at one time alone, but "
                    f"{subject.after(rows.start + at[0])} the {name} of its transitions is "
                    f"{found[tuple(at)]:.6g}, and at time 0 it is {own[tuple(at)]:.6g}"
                )
                return
        event, found, own = _listed(subject, 0, rows).beside(_listed(subject, 0, before))
        for at in np.flatnonzero(np.abs(found - own) > TOLERANCE)[:1]:
            yield (
                "its tabular_states are listed at one time alone, but "
                f"{subject.after(rows.start + subject.pair(event[at]))} its transitions lead to "
                f"{subject.happening(event[at])} with probability {found[at]:.6g}, and at time 0 "
                f"with {own[at]:.6g}"
            )
            return


def _differ(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    is_off: np.ndarray = np.abs(one - other) > TOLERANCE * np.maximum(1, np.abs(other))
    return is_off


# --- Steps ------------------------------------------------------------------------------------


def rewards(subject: Subject) -> Iterator[str]:
    """Where the mean rewards of steps are not those of the transitions."""
    agents = [f"agent {agent}" for agent in range(subject.env.num_agents)]
    yield from _rewards(subject, "agent_reward", agents)
    yield from _rewards(subject, "principal_reward", ["the principal"])


def _rewards(subject: Subject, name: str, who: list[str]) -> Iterator[str]:
    drawn, size = subject.facts.drawn, len(subject.facts.pairs.place)
    own = getattr(subject.facts.listed, name)[0].reshape(size, -1)
    values = _by_reward(getattr(drawn, name), who)
    found, always = Draws.of(values), np.ones(own.shape, bool)
    off = np.where(off_alone(found, own, always), np.abs(found.mean - own), 0).max(axis=1)
    # Few draws deceive where rewards are rare: the worst steps are drawn again, many times.
    worst = np.argsort(-off, kind="stable")[:_AGAIN]
    if off[worst[0]] > 0:
        repeats = values.shape[-1] * size // len(worst)
        pairs = subject.facts.pairs.take(worst)
        again, _ = draw(subject.env, subject.env_params, pairs, repeats)
        more = _by_reward(getattr(again, name), who)
        span = max(values.max(), more.max()) - min(values.min(), more.min())
        for row, number in np.argwhere(surely_off(Draws.of(more), own[worst], span))[:1]:
            yield (
                f"{subject.after(worst[row])} a step brings {who[number]} "
                f"{more[row, number].mean():.6g}, but by its transitions it should be "
                f"{own[worst[row], number]:.6g}"
            )
            return
    for number in np.flatnonzero(off_together(found, own, always))[:1]:
        more = (found.mean - own)[:, number].mean()
        yield (
            f"steps bring {who[number]} {more:+.6g} compared with its transitions, on average over "
            "its states"
        )


def _by_reward(values: np.ndarray, who: list[str]) -> np.ndarray:
    """Draws `[P, D, N]`, or `[P, D]` of the principal, with their axis D at the end."""
    return np.moveaxis(values.reshape(*values.shape[:2], len(who)), 1, -1)


def successors(subject: Subject) -> Iterator[str]:
    """Where steps lead elsewhere than the transitions, or more often, or less."""
    drawn, places = subject.facts.drawn, subject.facts.drawn_place
    assert drawn is not None and places is not None
    repeats = places.shape[1]
    counted = chances(subject.size, places, drawn.terminated, np.ones(places.shape))
    event, counts, probs = counted.beside(_listed(subject))
    probs = np.minimum(probs, 1)
    for at in np.flatnonzero(unlikely(counts, np.full(len(event), repeats), probs))[:1]:
        yield (
            f"{counts[at]:.0f} of {repeats} steps {subject.after(subject.pair(event[at]))} lead to "
            f"{subject.happening(event[at])}, but by its transitions the probability is "
            f"{probs[at]:.4g}"
        )
        return
    # A small error that all states have shows in their sum: of the first that may follow.
    rows, first = np.unique(event // (subject.size + 2), return_index=True)
    share, found = probs[first], counts[first]
    off = abs(found.sum() - repeats * share.sum())
    error = np.sqrt(repeats * (share * (1 - share)).sum())
    if error > MOST_ERRORS and off > MOST_ERRORS * error:
        yield (
            f"{found.sum():.0f} of {repeats * len(rows)} steps lead to the first state that may "
            f"follow, but by its transitions it should be {repeats * share.sum():.6g}"
        )
