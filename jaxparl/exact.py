"""How an environment that can be solved exactly says so.

An `ExactTable` writes a game of one agent out as a table, which `jaxparl.equilibrium` solves.
`ExactSolutions` are those of a game of several agents, by its author.
"""

from __future__ import annotations

import abc
from typing import Any, Generic, TypeVar

import jax
from jax.typing import ArrayLike

from jaxparl.types import PlayValue, TabularGame

TState = TypeVar("TState", bound=Any)
TParams = TypeVar("TParams", bound=Any)


class EnumeratedStates(abc.ABC, Generic[TState]):
    """The states of an environment that are few enough to be listed.

    Subclasses are frozen dataclasses: equal ones share compiled functions.
    """

    @property
    @abc.abstractmethod
    def num_states(self) -> int:
        """S."""

    @abc.abstractmethod
    def states(self) -> TState:
        """All states, with a leading axis `S`."""


class ExactTable(EnumeratedStates[TState], Generic[TState, TParams]):
    """An environment of one agent, written out as a table.

    The table has the states that decisions are made in. Where the same state may come at several
    steps, `states` has it once, at time 0.
    """

    @property
    @abc.abstractmethod
    def horizon(self) -> int:
        """T, the number of decisions after which every episode is over.

        Some end sooner, by their own rules or by the time limit of the params.
        """

    @abc.abstractmethod
    def table(self, env_params: TParams) -> TabularGame:
        """The game, state by state in the order of `states`."""

    def start_probs(self, env_params: TParams) -> jax.Array | None:
        """`[S]`, how likely an episode starts in each state; None where it is always the same one.

        That state is then asked of the environment's `initial_state`.
        """
        del env_params
        return None


class ExactSolutions(EnumeratedStates[TState], Generic[TState, TParams]):
    """Exact solutions of an environment of several agents with observed actions.

    Values are expectations over an episode, undiscounted. Every method may be called inside
    `jit` and `vmap`.
    """

    @abc.abstractmethod
    def state_index(self, env_state: TState) -> jax.Array:
        """`[]` int32, the position of a state in `states`."""

    @abc.abstractmethod
    def optimal_welfare(self, env_params: TParams) -> jax.Array:
        """`[]`, the largest social welfare that all agents together can expect."""

    @abc.abstractmethod
    def selfish_play(self, env_params: TParams) -> PlayValue:
        """What an episode brings without a principal: each agent maximises its own rewards."""

    @abc.abstractmethod
    def equilibrium(
        self, env_params: TParams, alpha: ArrayLike = 0.1, gamma: ArrayLike = 1.0
    ) -> PlayValue:
        """What an episode brings in the subgame-perfect equilibrium of the paper's objective.

        `alpha` `[]` is the principal's cost of a unit of payment, in units of welfare. All decide
        by sums discounted by `gamma` `[]`.
        """

    @abc.abstractmethod
    def play_values(
        self, env_params: TParams, actions: jax.Array, payments: jax.Array
    ) -> PlayValue:
        """What an episode brings if all play `actions` `[S, N]`, paid `payments` `[S, N]`."""

    @abc.abstractmethod
    def best_responses(
        self, env_params: TParams, actions: jax.Array, payments: jax.Array
    ) -> jax.Array:
        """`[N]`, the most each gets, paid `payments` `[S, N, A]`, if the others play `actions`."""
