"""Whether a table is of the game that is played: it is compared with the rules, step by step.

Each function yields complaints, in NumPy. A sound game has none.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from jaxparl.environment import Environment, ExactTable, GameParams
from jaxparl.equilibrium import check_table
from jaxparl.evaluation.checks.draws import (
    MOST_ERRORS,
    TOLERANCE,
    Draws,
    off_alone,
    off_together,
    unlikely,
)
from jaxparl.evaluation.checks.small_programs import NUM_STARTS
from jaxparl.evaluation.checks.table_facts import Facts, find, select, shapes
from jaxparl.types import PyTree, TabularGame


def complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    """What is wrong with the table of a game of one agent."""
    exact = env.exact
    assert isinstance(exact, ExactTable)
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
    yield from lengths(most, exact.horizon, int(env_params.max_steps_in_episode))
    times = facts.times[0][is_reached]
    if not ((times >= 0) & (times < exact.horizon)).all():
        yield f"its table has states at times that are not within its horizon, {exact.horizon}"
    # A table whose states have no time of their own is of a game in which time does not matter.
    is_timeless = len(np.unique(facts.times[0])) == 1
    last = min(exact.horizon, int(env_params.max_steps_in_episode)) - 1
    for time in dict.fromkeys((0, 1, last) if is_timeless and last > 0 else (0,)):
        facts = find(env, env_params, time) if time else facts
        # Whatever a table says about states that are never reached makes no difference.
        reached = select(facts, np.flatnonzero(is_reached[facts.places]))
        found = [f"{each}{f' (at time {time})' if time else ''}" for each in _steps(env, reached)]
        yield from found
        if found:
            return


def _steps(env: Environment, facts: Facts) -> Iterator[str]:
    """Compares steps from the states of a table with what it says about them."""
    yield from _outcomes(env, facts)
    yield from _rewards(facts)
    elsewhere = list(_successors(facts))
    yield from elsewhere or _frequencies(facts)


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


def lengths(most: float, horizon: int, limit: int) -> Iterator[str]:
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
    for row, action, outcome in np.argwhere(~(np.abs(probs - own) <= TOLERANCE))[:1]:
        yield (
            f"action {action} in state {facts.places[row]} has outcome {outcome} with probability "
            f"{probs[row, action, outcome]:.6g}, but its table says "
            f"{own[row, action, outcome]:.6g}"
        )


def _is_possible(facts: Facts) -> np.ndarray:
    """`[n, A, O, D]` bool, whether an action has an outcome."""
    return np.broadcast_to(facts.outcome_probs[:, 0, :, :, None] > 0, facts.terminated.shape)


def _rewards(facts: Facts) -> Iterator[str]:
    """Compares means: where rewards depend on more than a table knows, it has these.

    The agent's are by action, over its outcomes; the principal's by outcome, whatever the action.
    """
    probs = facts.outcome_probs[:, 0].astype(float)  # [n, A, O]
    table, places = facts.table, facts.places
    by_outcome = Draws.of(facts.agent_reward[..., 0])
    by_action = Draws(
        mean=np.where(probs > 0, probs * by_outcome.mean, 0).sum(axis=-1),
        variance=np.where(probs > 0, probs**2 * by_outcome.variance, 0).sum(axis=-1),
        size=by_outcome.size,
    )
    happens = probs.any(axis=-1)
    own = np.asarray(table.agent_reward)[places]
    yield from _compare(facts, "agent", by_action, own, happens)
    own = np.asarray(table.principal_reward)[places]
    own = np.broadcast_to(own[:, None], probs.shape)
    yield from _compare(
        facts, "principal", Draws.of(facts.principal_reward[..., 0]), own, probs > 0
    )


def _compare(
    facts: Facts, who: str, drawn: Draws, own: np.ndarray, happens: np.ndarray
) -> Iterator[str]:
    """Rewards `[n, A]` or `[n, A, O]` that are not those of the table, in one state or in all."""
    alone = np.argwhere(off_alone(drawn, own, happens))
    for row, *which in alone[:1]:
        at = (row, *which)
        yield (
            f"a step in state {facts.places[row]} brings the {who} {drawn.mean[at]:.6g} for "
            f"{_named(which)}, but its table says {own[at]:.6g}"
        )
    for which in [] if len(alone) else np.argwhere(off_together(drawn, own, happens))[:1]:
        at = (slice(None), *which)
        off = np.where(happens, drawn.mean - own, 0)[at].sum() / max(1, happens[at].sum())
        yield (
            f"for {_named(which)}, steps bring the {who} {off:+.6g} compared with its table, on "
            "average over its states"
        )


def _named(which: Iterable[int]) -> str:
    """`action 1`, or `action 1 and outcome 0`."""
    pairs = zip(("action", "outcome"), which, strict=False)
    return " and ".join(f"{name} {number}" for name, number in pairs)


def _successors(facts: Facts) -> Iterator[str]:
    ends, probs = facts.terminated, facts.table.successor_probs[facts.places]
    goes_on = probs.sum(axis=-1)[:, None, :, None]  # [n, 1, O, 1]
    named = (_leads_to(facts) & (probs > 0)[:, None, :, None]).any(axis=-1)
    time = facts.next_time - facts.times[0][facts.places][:, None, None, None]
    for is_wrong, complaint in (
        (ends & (goes_on > 1 - TOLERANCE), "the game ends, but its table goes on"),
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
    # By action: a table cannot say that one outcome leads elsewhere after another action.
    counts = (_leads_to(facts) & is_possible[..., None]).sum(axis=3)  # [n, A, O, K]
    draws = np.broadcast_to(is_possible.sum(axis=3)[..., None], counts.shape)
    total = np.broadcast_to(total[:, None], counts.shape)
    for row, action, outcome, number in np.argwhere(unlikely(counts, draws, total))[:1]:
        at = (row, action, outcome, number)
        yield (
            f"{counts[at]} of {draws[at]} steps after action {action} and outcome {outcome} in "
            f"state {facts.places[row]} lead to state {listed[row, outcome, number]}, but its "
            f"table says {total[at]:.4g}"
        )
    # A small error that all states have shows in their sum: after one action, or after all.
    share, draws, found = (each[..., 0] for each in (total, draws, counts))
    for action in [*range(counts.shape[1]), slice(None)]:
        expected = draws[:, action] * share[:, action]
        error = np.sqrt((expected * (1 - share[:, action])).sum())
        off = abs(found[:, action].sum() - expected.sum())
        if error > MOST_ERRORS and off > MOST_ERRORS * error:
            after = "" if isinstance(action, slice) else f" after action {action}"
            yield (
                f"{found[:, action].sum()} of {draws[:, action].sum()} steps{after} lead to the "
                "first successor of their state and outcome, but by its table it should be "
                f"{expected.sum():.6g}"
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
