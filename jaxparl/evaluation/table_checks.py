"""Whether a table is of the game that is played: it is compared with the rules, step by step.

Each function yields complaints, in NumPy. A sound game has none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator

import jax
import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.equilibrium import check_table
from jaxparl.evaluation.table_facts import NUM_STARTS, Facts, find, select, shapes
from jaxparl.types import PyTree, TabularGame

# Probabilities and rewards that rules and table both round to float32.
_TOLERANCE = 1e-5
# A frequency as unlikely as this is wrong; so is a mean this many standard errors off.
_LEAST_LIKELY, _MOST_ERRORS = 1e-9, 6.0


def complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    """What is wrong with the table of a game of one agent."""
    exact = env.exact_table
    for name, value in (("num_states", exact.num_states), ("horizon", exact.horizon)):
        if not isinstance(value, int) or value < 1:
            yield f"the {name} of its table must be a positive int, not {value!r}"
            return
    facts = find(env, env_params)
    wrong = next(shapes(env, facts), None)
    if wrong:
        yield wrong
        return
    try:
        check_table(facts.table)
    except ValueError as error:
        yield str(error)
        return
    gamma, own = (np.float32(np.asarray(one.discount)) for one in (env_params, facts.table))
    if gamma != own:
        yield f"its params have a discount of {gamma:.6g}, but its table has {own:.6g}"
    places = start_places(facts)
    yield from _starts(facts, places)
    start = np.flatnonzero(facts.start_probs) if facts.start_probs is not None else places
    is_reached, most = longest_episode(facts.table, start[start >= 0])
    yield from _lengths(most, exact.horizon, int(env_params.max_steps_in_episode))
    times = facts.times[0][is_reached]
    if not ((times >= 0) & (times < exact.horizon)).all():
        yield f"its table has states at times that are not within its horizon, {exact.horizon}"
    # Whatever a table says about states that are never reached makes no difference.
    facts = select(facts, np.flatnonzero(is_reached[facts.places]))
    yield from _outcomes(env, facts)
    yield from _rewards(facts)
    yield from _successors(facts)
    yield from _frequencies(facts)


# --- Where episodes start, and how long they are ----------------------------------------------


def start_places(facts: Facts) -> np.ndarray:
    """The places of the drawn starts in the table; -1 where it does not have them."""
    first = [leaf[:, None] for leaf in jax.tree.leaves(facts.starts)]
    same = _same(first, [leaf[None] for leaf in jax.tree.leaves(facts.states)], 2)  # [starts, S]
    return np.where(same.sum(axis=1) == 1, same.argmax(axis=1), -1)


def _starts(facts: Facts, places: np.ndarray) -> Iterator[str]:
    time = facts.times[1]
    if (time != 0).any():
        yield f"an episode starts at time {time[time != 0][0]}, not at time 0"
    if (places < 0).any():
        first = jax.tree.map(lambda leaf: leaf[places < 0][0].tolist(), facts.starts)
        yield f"an episode starts in {first}, a state that its table must have exactly once"
        return
    size, declared = len(facts.times[0]), facts.start_probs
    counts = np.bincount(places, minlength=size)
    if declared is None:
        if (counts > 0).sum() > 1:
            several = ", ".join(map(str, np.flatnonzero(counts)[:3]))
            yield (
                f"episodes start in more than one state ({several}, ...): its table must say how "
                "likely each is, by its method start_probs"
            )
        return
    if np.shape(declared) != (size,):
        yield f"the start_probs of its table have the shape {np.shape(declared)}, not {(size,)}"
        return
    if not (np.isfinite(declared) & (declared >= 0)).all() or abs(declared.sum() - 1) > 1e-4:
        yield "the start_probs of its table are no probabilities that sum to 1"
        return
    for state in np.flatnonzero(unlikely(counts, np.full(size, NUM_STARTS), declared))[:1]:
        yield (
            f"{counts[state]} of {NUM_STARTS} episodes start in state {state}, but the start_probs "
            f"of its table say {declared[state]:.4g}"
        )


def longest_episode(table: TabularGame, start: np.ndarray) -> tuple[np.ndarray, float]:
    """Which states `[S]` are reached, and how many decisions an episode has; may be infinite."""
    follows = (table.successor_probs > 0) & (table.outcome_probs.max(axis=1) > 0)[..., None]

    def heads(states: np.ndarray) -> np.ndarray:
        return np.asarray(table.successor)[states][follows[states]]

    is_reached = np.zeros(len(follows), bool)
    now = np.unique(start)
    while len(now):
        is_reached[now] = True
        now = np.unique(heads(now))
        now = now[~is_reached[now]]
    # States are left out once all that lead to them are: the longest way there is known by then.
    # Those that are never left out lie on or behind a circle.
    before = np.bincount(heads(np.flatnonzero(is_reached)), minlength=len(follows))
    now = np.flatnonzero(is_reached & (before == 0))
    left, length = is_reached.sum() - len(now), 0
    while len(now):
        length += 1
        ahead = heads(now)
        np.subtract.at(before, ahead, 1)
        now = np.unique(ahead)
        now = now[before[now] == 0]
        left -= len(now)
    return is_reached, np.inf if left else length


def _lengths(most: float, horizon: int, limit: int) -> Iterator[str]:
    """Compares `most` decisions by the rules with the table's horizon and the time limit."""
    if limit < horizon and most > limit:
        yield (
            f"its episodes are cut off after {limit} steps (max_steps_in_episode), but its table "
            f"has a horizon of {horizon}"
        )
    if limit > horizon and most > horizon:
        yield (
            f"its episodes may be longer than the horizon of its table, {horizon}: "
            f"max_steps_in_episode is {limit}"
        )


# --- What a step does -------------------------------------------------------------------------


def _outcomes(env: Environment, facts: Facts) -> Iterator[str]:
    probs, own = facts.outcome_probs[:, 0], facts.table.outcome_probs[facts.places]
    if env.observed_actions and not (probs == np.eye(env.num_actions)).all():
        yield "its actions are observed, but its outcome_probs are not the identity"
    for row, action, outcome in np.argwhere(~(np.abs(probs - own) <= _TOLERANCE))[:1]:
        yield (
            f"action {action} in state {facts.places[row]} has outcome {outcome} with probability "
            f"{probs[row, action, outcome]:.6g}, but its table says "
            f"{own[row, action, outcome]:.6g}"
        )


def _is_possible(facts: Facts) -> np.ndarray:
    """`[n, A, O, D]` bool, whether an action has an outcome."""
    return np.broadcast_to(facts.outcome_probs[:, 0, :, :, None] > 0, facts.terminated.shape)


def _rewards(facts: Facts) -> Iterator[str]:
    is_possible = _is_possible(facts)
    for who, name, over in (("agent", "action", (2, 3)), ("principal", "outcome", (1, 3))):
        drawn = getattr(facts, f"{who}_reward")[..., 0]
        own = getattr(facts.table, f"{who}_reward")[facts.places]
        least = np.where(is_possible, drawn, np.inf).min(axis=over)
        most = np.where(is_possible, drawn, -np.inf).max(axis=over)
        slack = _TOLERANCE * np.maximum(1, np.abs(own))
        # Where rewards depend on more than a table knows, it has their mean.
        agrees = (least - slack <= own) & (own <= most + slack)
        happens = is_possible.any(axis=over)
        for row, number in np.argwhere(happens & ~agrees)[:1]:
            yield (
                f"a step in state {facts.places[row]} brings the {who} {most[row, number]:.6g} for "
                f"{name} {number}, but its table says {own[row, number]:.6g}"
            )


def _successors(facts: Facts) -> Iterator[str]:
    ends, probs = facts.terminated, facts.table.successor_probs[facts.places]
    goes_on = probs.sum(axis=-1)[:, None, :, None]  # [n, 1, O, 1]
    named = (_leads_to(facts) & (probs > 0)[:, None, :, None]).any(axis=-1)
    time = facts.next_time - facts.times[0][facts.places][:, None, None, None]
    for is_wrong, complaint in (
        (ends & (goes_on > 1 - _TOLERANCE), "the game ends, but its table goes on"),
        (~ends & (goes_on <= 0), "the game goes on, but its table ends"),
        (~ends & ~named, "a state follows that is no successor in its table"),
        (~ends & (time != 1), "the time does not grow by 1"),
    ):
        for row, action, outcome, _ in np.argwhere(is_wrong & _is_possible(facts))[:1]:
            yield (
                f"after action {action} and outcome {outcome} in state {facts.places[row]} "
                f"{complaint}"
            )


def _frequencies(facts: Facts) -> Iterator[str]:
    listed = facts.table.successor[facts.places]  # [n, O, K]
    probs = facts.table.successor_probs[facts.places]
    # The same successor may be listed twice.
    group = np.arange(listed[..., 0].size).reshape(*listed.shape[:2], 1)
    _, place = np.unique(group * len(facts.times[0]) + listed, return_inverse=True)
    total = np.minimum(np.bincount(place.ravel(), probs.ravel())[place.ravel()], 1)
    total = total.reshape(listed.shape)
    is_possible = _is_possible(facts)
    counts = (_leads_to(facts) & is_possible[..., None]).sum(axis=(1, 3))
    draws = np.broadcast_to(is_possible.sum(axis=(1, 3))[..., None], counts.shape)
    for row, outcome, number in np.argwhere(unlikely(counts, draws, total))[:1]:
        yield (
            f"{counts[row, outcome, number]} of {draws[row, outcome, number]} steps after outcome "
            f"{outcome} in state {facts.places[row]} lead to state "
            f"{listed[row, outcome, number]}, but its table says {total[row, outcome, number]:.4g}"
        )
    # A small error that all states have shows in their sum.
    expected, found = (draws * total)[..., 0], counts[..., 0]
    error = np.sqrt((expected * (1 - total[..., 0])).sum())
    if error > _MOST_ERRORS and abs(found.sum() - expected.sum()) > _MOST_ERRORS * error:
        yield (
            f"{found.sum()} of {draws[..., 0].sum()} steps lead to the first successor of their "
            f"state and outcome, but by its table it should be {expected.sum():.6g}"
        )


def _leads_to(facts: Facts) -> np.ndarray:
    """`[n, A, O, D, K]` bool, whether a step leads to a successor that is listed."""
    listed = facts.table.successor[facts.places]
    reached = [leaf[:, :, :, :, None] for leaf in _telling(facts, facts.next_states)]
    states = [leaf[listed][:, None, :, None] for leaf in _telling(facts, facts.states)]
    return _same(reached, states, 5) & ~facts.terminated[..., None]


def _telling(facts: Facts, states: PyTree) -> list[np.ndarray]:
    """The leaves of states, without the time where the others tell all states apart."""
    paths = jax.tree_util.tree_flatten_with_path(facts.states)[0]
    others = [jax.tree_util.keystr(path) != ".time" for path, _ in paths]
    rows = [
        leaf.reshape(len(leaf), -1) for (_, leaf), keep in zip(paths, others, strict=True) if keep
    ]
    if not rows or len(np.unique(np.concatenate(rows, axis=1), axis=0)) < len(rows[0]):
        others = [True] * len(others)
    return [leaf for leaf, keep in zip(jax.tree.leaves(states), others, strict=True) if keep]


def _same(states: list[np.ndarray], others: list[np.ndarray], axes: int) -> np.ndarray:
    """Whether states are the same, leaf by leaf; leaves broadcast, behind so many `axes`."""
    equal = [one == other for one, other in zip(states, others, strict=True)]
    return functools.reduce(
        np.logical_and, [leaf.reshape(*leaf.shape[:axes], -1).all(axis=-1) for leaf in equal]
    )


def unlikely(counts: np.ndarray, draws: np.ndarray, probs: np.ndarray) -> np.ndarray:
    """Whether so many of so many draws contradict a probability, by Chernoff's bound.

    Examples:
      >>> unlikely(np.array([40, 64]), np.array([64, 64]), np.array([0.5, 0.5])).tolist()
      [False, True]
    """
    share, probs = counts / np.maximum(draws, 1), probs.astype(np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        hits = np.where(share > 0, share * np.log(share / probs), 0)
        misses = np.where(share < 1, (1 - share) * np.log((1 - share) / (1 - probs)), 0)
    is_unlikely: np.ndarray = draws * (hits + misses) > np.log(counts.size / _LEAST_LIKELY)
    return is_unlikely
