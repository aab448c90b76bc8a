"""Fixtures that several test files share."""

from __future__ import annotations

import functools
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import pytest
from oracles import random_tree

from jaxparl import startup
from jaxparl.contracts import minimal_contract
from jaxparl.equilibrium import Equilibrium, backward_induction
from jaxparl.types import Contract, TabularGame

# Compiled programs are kept between runs of the suite, and shared with the processes that tests
# start. Devices are those of the command line; this comes before what imports gymnax.
os.environ["XDG_CACHE_HOME"] = str(Path(__file__).parents[1] / ".pytest_cache" / "compiled")
startup.start([])

# Most programs of tests run but briefly, and are compiled without most optimisations, in processes
# that tests start, too. In these files rounding, speed or the program itself is what is tested.
OPTIMISED = (
    *("test_compiled.py", "test_contracts.py", "test_float64.py"),
    *("test_plan.py", "test_single_run.py", "test_sweep.py", "test_workarounds.py"),
)
os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] = "1"

# Files that take long come first, so that no process is left alone with one of them in the end.
LONGEST = (
    *("test_components.py", "test_resume.py", "test_growth.py", "test_strangers_game.py"),
    *("test_extending.py", "test_every_kind_validated.py", "test_startup.py"),
    *("test_jaxmarl_games.py", "test_float64.py", "test_trained.py"),
)

_TOLD = pytest.StashKey[list[str]]()


def told(config: pytest.Config) -> list[str]:
    """Lines for the end of the report: what was measured, and is not asserted."""
    return config.stash.setdefault(_TOLD, [])


def pytest_sessionfinish(session: pytest.Session) -> None:
    # Only a process that runs tests for another one has this attribute.
    output = getattr(session.config, "workeroutput", None)
    if output is not None:
        output["told"] = told(session.config)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Takes over what a process that ran tests beside others has told."""
    told(node.config).extend(getattr(node, "workeroutput", {}).get("told", []))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    if told(config):
        terminalreporter.section("measured")
        terminalreporter.write_line("\n".join(told(config)))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: item.path.name not in LONGEST)


def pytest_collection_finish() -> None:
    # What has been imported stays, as in `jaxparl.__main__`.
    gc.freeze()


@pytest.fixture(scope="module", autouse=True)
def most_programs_are_quick_to_compile(request: pytest.FixtureRequest) -> None:
    # Full-size checks, which are marked as slow, run for long.
    is_quick = request.config.getoption("markexpr") != "slow"
    is_optimised = request.path.name in OPTIMISED
    jax.config.update("jax_disable_most_optimizations", is_quick and not is_optimised)


@pytest.fixture(scope="module", autouse=True)
def programs_of_a_module_are_let_go() -> Iterator[None]:
    """Keeps a process below the number of memory maps that Linux allows it, 65,530.

    Every compiled program takes several. Beyond the limit XLA ends the process.
    """
    yield
    jax.clear_caches()


@functools.cache
def _listeners() -> list[list[str]]:
    """Lists that get an item for every program. Not every version of JAX can stop listening."""
    found: list[list[str]] = []

    def listen(event: str, seconds: float, **_: object) -> None:
        del seconds
        if event == "/jax/core/compile/backend_compile_duration":
            for each in found:
                each.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    return found


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """Has an item for every program that was compiled, or read from the cache, in this test."""
    _listeners().append([])
    yield _listeners()[-1]
    _listeners().pop()


class SolvedTree(NamedTuple):
    """A small tree and what everything in it is truly worth.

    A tree is seen at one step per state, its depth, so the solution has no T here.
    `next_agent_value` and `next_principal_value` `[S, O]` are of the child that an outcome leads
    to, 0 at the end. `contracts` has the least payments of every action, `[S, A, ...]`.
    """

    game: TabularGame
    solution: Equilibrium
    next_agent_value: np.ndarray
    next_principal_value: np.ndarray
    contracts: Contract


@pytest.fixture(scope="session")
def solved_tree() -> SolvedTree:
    depth = 4
    # A discount other than 1, so that an equation that forgets it is found out.
    game = random_tree(np.random.default_rng(0), depth).replace(discount=np.float32(0.9))
    states = np.arange(2**depth - 1)
    level = np.array([int(state + 1).bit_length() - 1 for state in states])
    every_step = backward_induction(game, depth)
    solution = jax.tree.map(lambda leaf: np.asarray(leaf)[level, states], every_step)

    successor, ongoing = game.successor[..., 0], game.successor_probs[..., 0]
    next_agent_value = ongoing * solution.agent_value[successor]
    q_truncated = game.agent_reward + game.discount * np.einsum(
        "sao,so->sa", game.outcome_probs, next_agent_value
    )
    over_actions = jax.vmap(minimal_contract, (None, None, 0))
    price = jax.vmap(over_actions, (0, 0, None))  # over S
    return SolvedTree(
        game=game,
        solution=solution,
        next_agent_value=next_agent_value,
        next_principal_value=ongoing * solution.principal_value[successor],
        contracts=price(q_truncated, game.outcome_probs, np.arange(2)),
    )
