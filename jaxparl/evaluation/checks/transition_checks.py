"""Whether the transitions of a game are complete: a table can be made of them.

Each function yields complaints, in NumPy. A right game has none.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from jaxparl.environment import Environment, GameParams
from jaxparl.evaluation.checks import forms
from jaxparl.evaluation.checks import transition_comparisons as comparisons
from jaxparl.evaluation.checks.draws import unlikely
from jaxparl.evaluation.checks.failures import attempt, is_written, row_of, shown
from jaxparl.evaluation.checks.pairs import (
    choose_pairs,
    later_times,
    places_of_pairs,
    tabulation,
)
from jaxparl.evaluation.checks.probabilities import bad_rows
from jaxparl.evaluation.checks.small_programs import NUM_STARTS
from jaxparl.evaluation.checks.transition_comparisons import Subject
from jaxparl.evaluation.checks.transition_facts import (
    find,
    most_pairs,
    probe,
)
from jaxparl.lookup import NOWHERE


def complaints(env: Environment, env_params: GameParams) -> Iterator[str]:
    """What is wrong with the transitions of a game."""
    most = most_pairs(env, env_params, forms.num_successors(env, env_params))
    places = places_of_pairs(env, most)
    probs = probe(env, env_params, places)
    if probs is not None:
        found = list(bad_rows(probs))
        for what, (row, agent, action) in found:
            yield (
                f"its outcome_probs of action {action} of agent {agent} {what}, in state "
                f"{places[row]}"
            )
        if found:
            return
    pairs = choose_pairs(env, probs, later_times(env, env_params), most)
    facts = find(env, env_params, pairs)
    subject = Subject(env, env_params, facts, tabulation(env).num_states)
    for stage in (_is_table, _is_closed, _is_consistent):
        found = list(stage(subject))
        yield from found
        if found:
            return


def _is_table(subject: Subject) -> Iterator[str]:
    facts = subject.facts
    for row in np.flatnonzero(facts.own != facts.own_place)[:1]:
        said = facts.own_place[row]
        what = "that it is nowhere" if said == NOWHERE else f"{said}"
        yield f"its state_index says {what} of state {facts.own[row]} of its tabular_states"
    for what, (_, pair) in bad_rows(facts.listed.probs):
        yield f"{subject.after(pair)} the probs of its transitions {what}"
    for name in ("agent_reward", "principal_reward"):
        # After another action than was taken, an outcome may mean nothing to agents.
        rewards = getattr(facts.listed, name)[: None if name == "principal_reward" else 1]
        for at in np.argwhere(~np.isfinite(rewards))[:1]:
            value = rewards[tuple(at)]
            yield f"{subject.after(at[1])} the {name} of its transitions is {value}"
        drawn = getattr(facts.drawn, name, np.zeros(1))
        for at in np.argwhere(~np.isfinite(drawn))[:1]:
            yield f"{subject.after(at[0])} the {name} of its resolve is {drawn[tuple(at)]}"


def _is_closed(subject: Subject) -> Iterator[str]:
    facts = subject.facts
    listed, times = facts.listed, comparisons.times(subject)
    goes_on = (listed.probs > 0) & ~listed.terminated
    for which, pair, number in np.argwhere(goes_on & (facts.listed_place == NOWHERE))[:1]:
        state = shown(row_of(facts.successor, which, pair, number))
        yield (
            f"{subject.after(pair)} its transitions lead to the state {state}, which is not in its "
            "tabular_states"
        )
    for which, pair, number in np.argwhere(goes_on & (listed.time != times[:, None] + 1))[:1]:
        yield (
            f"{subject.after(pair)} its transitions lead from time {times[pair]} to time "
            f"{listed.time[which, pair, number]}, but time must grow by 1"
        )
    if facts.drawn is not None:
        is_wrong = ~facts.drawn.terminated & (facts.drawn.time != times[:, None] + 1)
        for pair, number in np.argwhere(is_wrong)[:1]:
            yield (
                f"{subject.after(pair)} its resolve leads from time {times[pair]} to time "
                f"{facts.drawn.time[pair, number]}, but time must grow by 1"
            )
    yield from _starts(subject)


def _starts(subject: Subject) -> Iterator[str]:
    facts, env = subject.facts, subject.env
    for time in facts.start_time[facts.start_time != 0][:1]:
        yield f"its initial_state starts an episode at time {time}, not at time 0"
    for number in np.flatnonzero(facts.start_place == NOWHERE)[:1]:
        state = shown(row_of(facts.start, number))
        yield f"an episode starts in the state {state}, which is not in its tabular_states"
        return
    counts = np.bincount(facts.start_place, minlength=subject.size)
    if not is_written(env, "start_probs"):
        if (counts > 0).sum() > 1:
            several = ", ".join(map(str, np.flatnonzero(counts)[:3]))
            yield (
                f"episodes start in more than one state ({several}, ...): its start_probs must say "
                "how likely each is"
            )
        return
    said = np.asarray(attempt(env, "start_probs", env.start_probs, subject.env_params), float)
    for what, _ in bad_rows(said[None]):
        yield f"its start_probs {what}"
        return
    for state in np.flatnonzero(unlikely(counts, np.full(len(said), NUM_STARTS), said))[:1]:
        yield (
            f"{counts[state]} of {NUM_STARTS} episodes start in state {state}, but its start_probs "
            f"say {said[state]:.4g}"
        )


def _is_consistent(subject: Subject) -> Iterator[str]:
    """Compares what is said twice, in two ways."""
    found = [*comparisons.hidden(subject), *comparisons.timeless(subject)]
    yield from found
    if not found and subject.facts.drawn is not None:
        yield from comparisons.rewards(subject)
        yield from comparisons.successors(subject)
