"""What a principal-agent environment is: gymnax' `Environment` with outcomes and an agent axis.

An environment defines its rules (`initial_state`, `outcome_probs`, `resolve`, `get_obs`). The
order of events within a step is defined once, here (section 2.2 of the paper): the agents act, an
outcome is drawn for each of them, rewards follow from actions and outcomes, and the state moves
on. Episodes reset automatically, as in gymnax; the time limit is gymnax' too.

Where a game can be solved exactly, `exact` says how: an `ExactTable` for one agent,
`ExactSolutions` for several.
"""

from __future__ import annotations

import functools
from typing import Any, Generic, TypeVar

import jax
from flax import struct
from gymnax.environments import environment, spaces
from jax.typing import ArrayLike

from jaxparl.exact import EnumeratedStates as EnumeratedStates
from jaxparl.exact import ExactSolutions as ExactSolutions
from jaxparl.exact import ExactTable as ExactTable
from jaxparl.types import TabularGame

TState = TypeVar("TState", bound=Any)
TParams = TypeVar("TParams", bound="GameParams")

#: The largest int32: for games that end only by their own rules.
NO_TIME_LIMIT = 2**31 - 1


@struct.dataclass
class GameParams(environment.EnvParams):
    """What the params of every environment hold. All of it is traced: it may differ between runs.

    Attributes:
      max_steps_in_episode: `[]`, the time limit. It truncates an episode, and values are
        bootstrapped through it.
      discount: `[]`, gamma, shared by principal and agents.

    Examples:
      >>> GameParams(max_steps_in_episode=50).replace(discount=0.9)
      GameParams(max_steps_in_episode=50, discount=0.9)
    """

    max_steps_in_episode: int = NO_TIME_LIMIT
    discount: ArrayLike = 1.0


@struct.dataclass
class Resolution(Generic[TState]):
    """What follows from one joint action and its outcomes.

    Attributes:
      state: the next state, before any reset.
      agent_reward: `[N]`, r_i(s, a), payments not included.
      principal_reward: `[N]`, r_p(s, o), one term per agent. The principal gets the sum.
      terminated: `[]` bool, whether the game has ended. A time limit does not end it.

    Examples:
      >>> from jax.numpy import array
      >>> Resolution(None, array([-0.5]), array([2.0]), terminated=array(False)).agent_reward
      Array([-0.5], dtype=float32)
    """

    state: TState
    agent_reward: jax.Array
    principal_reward: jax.Array
    terminated: jax.Array


class PrincipalAgentEnvironment(environment.Environment[TState, TParams]):
    """The interface of every environment.

    A step takes actions `[N]` and returns gymnax' six values with rewards `[N]`; `info` adds
    `outcome` `[N]`, `principal_reward` `[N]` and `next_state`, the state before the automatic
    reset. Subclasses define equality and hash by their settings: equal ones share compiled
    functions.

    Attributes:
      num_agents: N.
      num_outcomes: O.
      observed_actions: True where the principal sees the action itself. Then the outcome is the
        action, and the least payment has a closed form.
      can_draw: True where `draw` shows a state.

    Examples:
      An agent works or does not, and the principal sees only whether the task succeeds.

      >>> import jax.numpy as jnp
      >>> from gymnax.environments.environment import EnvState
      >>> class Task(PrincipalAgentEnvironment[EnvState, GameParams]):
      ...     num_agents, num_actions, num_outcomes = 1, 2, 2
      ...     default_params = GameParams()
      ...
      ...     def initial_state(self, key, params):
      ...         return EnvState(time=jnp.int32(0))
      ...
      ...     def outcome_probs(self, state, params):
      ...         return jnp.array([[[0.9, 0.1], [0.1, 0.9]]])  # [N, A, O]
      ...
      ...     def resolve(self, key, state, action, outcome, params):
      ...         return Resolution(
      ...             state=EnvState(time=state.time + 1),
      ...             agent_reward=-0.5 * action,
      ...             principal_reward=2.0 * outcome,
      ...             terminated=jnp.bool_(True),
      ...         )
      ...
      ...     def get_obs(self, state, params=None, key=None):
      ...         return jnp.zeros((1, 1))
      >>> env = Task()
      >>> _, state = env.reset(jax.random.key(0))
      >>> _, _, reward, terminated, _, info = env.step(jax.random.key(1), state, jnp.array([1]))
      >>> reward.tolist(), info["principal_reward"].tolist(), bool(terminated)
      ([-0.5], [2.0], True)
    """

    num_agents: int
    num_outcomes: int
    observed_actions: bool = False
    can_draw: bool = False

    @property
    def default_params(self) -> TParams:
        """The params that `make` returns."""
        raise NotImplementedError

    def sample_params(self, key: jax.Array) -> TParams:
        """Draws random params. An environment without any returns its defaults."""
        del key
        return self.default_params

    def initial_state(self, key: jax.Array, params: TParams) -> TState:
        """Draws the first state of an episode."""
        raise NotImplementedError

    def outcome_probs(self, state: TState, params: TParams) -> jax.Array:
        """The outcome distributions O(s, a)(o), `[N, A, O]`; rows sum to 1."""
        raise NotImplementedError

    def resolve(
        self,
        key: jax.Array,
        state: TState,
        action: jax.Array,
        outcome: jax.Array,
        params: TParams,
    ) -> Resolution[TState]:
        """What actions `[N]` and their outcomes `[N]` lead to."""
        raise NotImplementedError

    def action_space(self, params: TParams | None = None) -> spaces.Discrete:
        """The actions of one agent."""
        del params
        return spaces.Discrete(self.num_actions)

    @property
    def exact(self) -> ExactTable[TState, TParams] | ExactSolutions[TState, TParams] | None:
        """How the environment is solved exactly; None where it cannot be."""
        return None

    def tabular(self, params: TParams) -> TabularGame:
        """The table of a game of one agent; NotImplementedError where there is none."""
        return self.exact_table.table(params)

    @property
    def horizon(self) -> int:
        """T, the decisions of an episode of this table; NotImplementedError where there is none."""
        return self.exact_table.horizon

    def start_probs(self, params: TParams) -> jax.Array:
        """`[S]`, how likely an episode starts in each state of the table.

        What the table says, or, where it says nothing, 1 where `initial_state` is.
        """
        declared = self.exact_table.start_probs(params)
        if declared is not None:
            return declared
        first = self.initial_state(jax.random.key(0), params)

        def is_first(leaf: jax.Array, one: jax.Array) -> jax.Array:
            same = leaf == jax.numpy.asarray(one, leaf.dtype)
            return same.reshape(len(leaf), -1).all(axis=1)

        same = jax.tree.map(is_first, self.exact_table.states(), first)
        return jax.numpy.stack(jax.tree.leaves(same)).all(axis=0).astype(float)

    @property
    def exact_table(self) -> ExactTable[TState, TParams]:
        """What `exact` is of one agent; NotImplementedError where it is not."""
        if not isinstance(self.exact, ExactTable):
            raise NotImplementedError(f"{self.name} has no exact table")
        return self.exact

    @property
    def exact_solutions(self) -> ExactSolutions[TState, TParams]:
        """What `exact` is of several agents; NotImplementedError where it is not."""
        if not isinstance(self.exact, ExactSolutions):
            raise NotImplementedError(f"{self.name} has no exact solutions")
        return self.exact

    @property
    def action_labels(self) -> tuple[str, ...]:
        """What the actions are called where an episode is shown."""
        return tuple(str(action) for action in range(self.num_actions))

    def draw(self, axes: Any, state: TState) -> None:
        """Draws a state on empty axes of matplotlib; agent i in the i-th colour of their cycle.

        Raises:
          NotImplementedError: the environment cannot be drawn; see `can_draw`.
        """
        raise NotImplementedError(f"{self.name} cannot be drawn")

    @functools.partial(jax.jit, static_argnames="self")
    def step(
        self, key: jax.Array, state: TState, action: Any, params: TParams | None = None
    ) -> tuple[Any, TState, jax.Array, jax.Array, jax.Array, dict[Any, Any]]:
        """One step, and a reset where the episode is over: gymnax' own, but observed once.

        gymnax observes the state after the step and the state after a reset, and that takes most
        of the time in small games. Here `final_observation` costs only those who use it.
        """
        params = self.default_params if params is None else params
        key_step, key_reset = jax.random.split(key)
        final_observation, last, reward, terminated, info = self.step_env(
            key_step, state, action, params
        )
        truncated = self.is_truncated(last, params)
        is_over = terminated | truncated
        first = self.initial_state(key_reset, params)
        now = jax.tree.map(lambda new, old: jax.lax.select(is_over, new, old), first, last)
        info |= {
            "terminated": terminated,
            "truncated": truncated,
            "final_observation": final_observation,
        }
        return self.get_obs(now, params), now, reward, terminated, truncated, info

    def step_env(
        self, key: jax.Array, state: TState, action: Any, params: TParams
    ) -> tuple[Any, TState, jax.Array, jax.Array, dict[Any, Any]]:
        """One step without a reset: outcomes are drawn, then `resolve` decides."""
        outcome, key_resolve = action, key
        if not self.observed_actions:
            key_outcome, key_resolve = jax.random.split(key)
            probs = self.outcome_probs(state, params)[jax.numpy.arange(self.num_agents), action]
            outcome = jax.random.categorical(key_outcome, jax.numpy.log(probs))
        result = self.resolve(key_resolve, state, action, outcome, params)
        info = {
            "outcome": outcome,
            "principal_reward": result.principal_reward,
            "next_state": result.state,
        }
        observation = self.get_obs(result.state, params)
        return observation, result.state, result.agent_reward, result.terminated, info

    def reset_env(self, key: jax.Array, params: TParams) -> tuple[Any, TState]:
        """The first observation `[N, ...]` and state of an episode."""
        state = self.initial_state(key, params)
        return self.get_obs(state, params), state


#: An environment with any kind of state and params: what type annotations name.
Environment = PrincipalAgentEnvironment[Any, Any]
