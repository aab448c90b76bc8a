"""How an environment that can be solved exactly says so.

Most say it by two methods of their own, `tabular_states` and `transitions`: a `Tabulation` writes
the game out from them, and `jaxparl.equilibrium` solves it, for any number of agents. There are two
ways beside this one. An `ExactTable` is the table of a game of one agent, by its author.
`ExactSolutions` are those of a game of several agents, by its author, where that is faster.
"""

from __future__ import annotations

import abc
import dataclasses
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, Generic, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxparl.lookup import NOWHERE, StateLookup, make_lookup
from jaxparl.types import JointGame, PlayValue, PyTree, TabularGame

TState = TypeVar("TState", bound=Any)
TParams = TypeVar("TParams", bound=Any)
Result = TypeVar("Result")

# The transitions of all states at once would not fit into a cache.
_ENTRIES_AT_ONCE = 2**18


def untraced(action: Callable[[], Result]) -> Result:
    """What an action returns that computes with values, even where its caller is traced.

    A trace is of one thread. `jax.ensure_compile_time_eval` is meant for this, but cannot run every
    compiled loop before jax 0.7.

    Examples:
      >>> jax.jit(lambda: jnp.float32(untraced(lambda: float(jnp.ones(())))))().item()
      1.0
    """
    with ThreadPoolExecutor(max_workers=1) as pool:
        return pool.submit(action).result()


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

    def state_index(self, env_state: TState) -> jax.Array:
        """`[]` int32, the position of a state in `states`, whatever its time; -1 if it has none."""
        return _lookup(self).place_of(env_state)


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
    """Exact solutions of an environment of several agents.

    Values are expectations over an episode: undiscounted where episodes have a horizon, discounted
    where they have none. Every method may be called inside `jit` and `vmap`.
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
        self,
        env_params: TParams,
        alpha: ArrayLike = 0.1,
        gamma: ArrayLike = 1.0,
        *,
        nudge: ArrayLike = 0.0,
        nudge_scale: ArrayLike = 0.0,
        unique: bool = False,
    ) -> PlayValue:
        """What an episode brings in the subgame-perfect equilibrium of the paper's objective.

        Training and validation pass no keywords. Whoever passes one to solutions that lack it gets
        a `TypeError` that names it.

        Args:
          env_params: of the game.
          alpha: `[]`, the principal's cost of a unit of payment, in units of welfare.
          gamma: `[]`, the discount of the sums by which all decide.
          nudge: `[]`, by how much following is to be better than anything else.
          nudge_scale: `[]`, what the principal has to lose by a deviation for the full nudge
            against it; with 0 it is the nudge throughout.
          unique: whether payments are to be enough that, with any more, nothing but following
            survives iterated elimination in each state, given what follows.
        """

    @abc.abstractmethod
    def play_values(
        self, env_params: TParams, actions: jax.Array, payments: jax.Array
    ) -> PlayValue:
        """What an episode brings if all play `actions` `[S, N]`, paid `payments` `[S, N]`.

        Payments are expectations over the outcomes of these actions.
        """

    @abc.abstractmethod
    def best_responses(
        self, env_params: TParams, actions: jax.Array, payments: jax.Array
    ) -> jax.Array:
        """`[N]`, the most each gets, paid `payments` `[S, N, A]`, if the others play `actions`.

        Payments are expectations over the outcomes of each action.
        """


@dataclasses.dataclass(frozen=True)
class Tabulation(EnumeratedStates[TState], Generic[TState, TParams]):
    """A game written out from its `tabular_states` and `transitions`.

    Attributes:
      env: the game, a `PrincipalAgentEnvironment`.
    """

    env: Any

    @property
    def num_states(self) -> int:
        """S."""
        return len(jax.tree.leaves(enumeration(self.env))[0])

    def states(self) -> TState:
        """All states, with a leading axis `S`."""
        states: TState = jax.tree.map(jnp.asarray, enumeration(self.env))
        return states

    def joint_game(self, env_params: TParams, action: jax.Array | None = None) -> JointGame:
        """The game, state by state in the order of `states`.

        What a state says is NaN where another one may follow that is not in the table.

        Args:
          env_params: of the game.
          action: `[S, J, N]`, the joint actions to write out; by default all of them.
        """
        env, states = self.env, self.states()
        if action is None:
            every = joint_choices(env.num_agents, env.num_actions)
            action = jnp.broadcast_to(every, (self.num_states, *every.shape))
        outcome = None
        if not env.observed_actions:
            outcome = joint_choices(env.num_agents, env.num_outcomes)

        def of_state(given: tuple[TState, jax.Array]):
            env_state, actions = given
            follows = jax.vmap(partial(self._follows, env_params, env_state))  # over Z
            probs = None if outcome is None else env.outcome_probs(env_state, env_params)
            reward = partial(self._agent_reward, env_params, env_state, outcome, probs)
            return (
                jax.vmap(reward)(actions),  # over J
                probs,
                *follows(actions if outcome is None else outcome),
            )

        each = action.shape[1] * (1 if outcome is None else len(outcome))
        at_once = max(1, min(self.num_states, _ENTRIES_AT_ONCE // each))
        found = jax.lax.map(of_state, (states, action), batch_size=at_once)
        reward, probs, principal_reward, successor, successor_probs = found
        return JointGame(
            action=action,
            agent_reward=reward.astype(float),
            outcome_probs=None if probs is None else probs.astype(float),
            outcome=outcome,
            principal_reward=principal_reward.astype(float),
            successor=successor,
            successor_probs=successor_probs.astype(float),
            start_probs=env.start_probs(env_params).astype(float),
            discount=jnp.asarray(env_params.discount, float),
        )

    def _follows(
        self, env_params: TParams, env_state: TState, outcome: jax.Array
    ) -> tuple[jax.Array, jax.Array, jax.Array]:
        """What follows one joint outcome `[N]`: the principal's reward, and what may come next."""
        # Whatever was done: the principal's reward and the next state depend on outcomes alone.
        action = outcome if self.env.observed_actions else jnp.zeros_like(outcome)
        found = self.env.transitions(env_state, action, outcome, env_params)
        index = jax.vmap(self.env.state_index)(found.state)  # over K
        probs = jnp.where(found.terminated, 0.0, found.probs)
        # Beyond the table JAX would read its last state.
        is_listed = (index > NOWHERE) & (index < self.num_states)
        probs = jnp.where(~is_listed & (probs > 0), jnp.nan, probs)
        return jnp.sum(found.principal_reward), jnp.where(is_listed, index, 0), probs

    def _agent_reward(
        self,
        env_params: TParams,
        env_state: TState,
        outcome: jax.Array | None,
        probs: jax.Array | None,
        action: jax.Array,
    ) -> jax.Array:
        """`[N]`, r_i(s, a) of one joint action `[N]`, in expectation over outcomes `[Z, N]`."""

        def reward(outcome: jax.Array) -> jax.Array:
            found = self.env.transitions(env_state, action, outcome, env_params)
            return jnp.asarray(found.agent_reward)

        if outcome is None or probs is None:
            return reward(action)
        chance = chances(probs, action[None], outcome)  # [1, Z]
        return jnp.sum(chance[0][:, None] * jax.vmap(reward)(outcome), axis=0)  # over Z


def chances(probs: jax.Array, action: jax.Array, outcome: jax.Array) -> jax.Array:
    """`[J, Z]`, how likely joint outcomes `[Z, N]` are after joint actions `[J, N]`.

    They are drawn independently for each agent, by `probs` `[N, A, O]`.

    Examples:
      >>> probs = jnp.array([[[0.5, 0.5], [0.0, 1.0]], [[0.25, 0.75], [1.0, 0.0]]])
      >>> chances(probs, jnp.array([[0, 0]]), joint_choices(2, 2)).tolist()
      [[0.125, 0.375, 0.125, 0.375]]
    """
    agents = jnp.arange(len(probs))[None, None]
    return jnp.prod(probs[agents, action[:, None], outcome[None]], axis=-1)


def joint_choices(num_agents: int, num_choices: int) -> jax.Array:
    """All joint choices of agents, `[J, N]`, in the order of the axis J.

    Examples:
      >>> joint_choices(2, 2).tolist()
      [[0, 0], [0, 1], [1, 0], [1, 1]]
    """
    every = np.indices((num_choices,) * num_agents).reshape(num_agents, -1).T
    return jnp.asarray(every, jnp.int32)


def table_of_one(game: JointGame) -> TabularGame:
    """The table of a game of one agent, with all of its actions."""
    size, num_actions, _ = game.action.shape
    probs = game.outcome_probs
    return TabularGame(
        agent_reward=game.agent_reward[..., 0],
        principal_reward=game.principal_reward,
        outcome_probs=probs[:, 0]
        if probs is not None
        else jnp.broadcast_to(jnp.eye(num_actions), (size, num_actions, num_actions)),
        successor=game.successor,
        successor_probs=game.successor_probs,
        discount=game.discount,
    )


@functools.cache
def enumeration(env: Any) -> PyTree | None:
    """The states of a game, `[S, ...]`, in NumPy; None where they are not listed."""
    return untraced(lambda: jax.device_get(env.tabular_states()))


@functools.cache
def _lookup(listed: EnumeratedStates[Any]) -> StateLookup:
    """Where each state stands."""
    return make_lookup(untraced(lambda: jax.device_get(listed.states())))
