"""What a principal-agent game is: gymnax' `Environment` with outcomes and an agent axis.

A game writes down its rules (`initial_state`, `outcome_probs`, `resolve`, `get_obs`); the
turn order of the paper (section 2.2) is written once, here: the agents act, an outcome is
drawn for each of them, rewards follow from actions and outcomes, and the state moves on.
Episodes begin anew by themselves, as in gymnax, whose time limit this is.
"""

from __future__ import annotations

import functools
from typing import Any, Generic, TypeVar

import jax
from flax import struct
from gymnax.environments import environment, spaces
from jax.typing import ArrayLike

from jaxparl.types import PlayValue, TabularGame

TState = TypeVar("TState", bound=Any)
TParams = TypeVar("TParams", bound="GameParams")


#: The largest int32: a game that only ever ends by its own rules.
NO_TIME_LIMIT = 2**31 - 1


@struct.dataclass
class GameParams(environment.EnvParams):
    """What every game's params hold; all of it is traced, so it may differ between runs.

    Attributes:
      max_steps_in_episode: `[]`, the time limit; it truncates and is bootstrapped through.
      discount: `[]`, gamma, shared by principal and agents.
    """

    max_steps_in_episode: int = NO_TIME_LIMIT
    discount: ArrayLike = 1.0


@struct.dataclass
class Resolution(Generic[TState]):
    """What follows from one joint action and its outcomes.

    Attributes:
      state: the next state, before any reset.
      agent_reward: `[N]`, r_i(s, a), payments not included.
      principal_reward: `[N]`, r_p(s, o), one term per agent; the principal gets the sum.
      terminated: `[]` bool, whether the game has ended (a time limit does not end it).
    """

    state: TState
    agent_reward: jax.Array
    principal_reward: jax.Array
    terminated: jax.Array


class PrincipalAgentEnvironment(environment.Environment[TState, TParams]):
    """The interface that every game implements.

    A step takes actions `[N]` and returns gymnax' six values with rewards `[N]`; `info` adds
    `outcome` `[N]`, `principal_reward` `[N]` and `next_state`, the state before auto-reset.
    """

    num_agents: int
    num_outcomes: int
    #: True where the principal sees the action itself, so that the outcome is the action
    #: and the least payment has a closed form.
    observed_actions: bool = False
    #: True where the game can be solved exactly: `tabular`, `tabular_states` and `horizon` for one
    #: agent; `tabular_states`, `state_index` and the four solutions below for several.
    is_solvable: bool = False
    #: True where `draw` shows a state.
    can_draw: bool = False

    @property
    def default_params(self) -> TParams:
        """The params that `make` returns."""
        raise NotImplementedError

    def sample_params(self, key: jax.Array) -> TParams:
        """Draws the game's random params; games without any return their defaults."""
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
        """The rules: what actions `[N]` and their outcomes `[N]` lead to."""
        raise NotImplementedError

    def tabular(self, params: TParams) -> TabularGame:
        """The game written out, where it has one agent and few enough states."""
        raise NotImplementedError(f"{self.name} has no exact table")

    def tabular_states(self) -> TState:
        """The states of the exact table, with a leading axis S."""
        raise NotImplementedError(f"{self.name} has no exact table")

    def state_index(self, state: TState) -> jax.Array:
        """`[]` int32, the place of a state in `tabular_states`."""
        raise NotImplementedError(f"{self.name} has no exact table")

    @property
    def horizon(self) -> int:
        """The number of decisions T after which the exact table's game is over."""
        raise NotImplementedError(f"{self.name} has no exact table")

    def optimal_welfare(self, params: TParams) -> jax.Array:
        """`[]`, the most that several agents together can expect in an episode."""
        raise NotImplementedError(f"{self.name} has no exact solutions")

    def equilibrium(
        self, params: TParams, alpha: ArrayLike = 0.1, discount: ArrayLike = 1.0
    ) -> PlayValue:
        """What an episode brings several agents in the equilibrium of the paper's objective."""
        raise NotImplementedError(f"{self.name} has no exact solutions")

    def play_values(self, params: TParams, actions: jax.Array, payments: jax.Array) -> PlayValue:
        """What an episode brings if all play `actions` `[S, N]`, paid `payments` `[S, N]`."""
        raise NotImplementedError(f"{self.name} has no exact solutions")

    def best_responses(self, params: TParams, actions: jax.Array, payments: jax.Array) -> jax.Array:
        """`[N]`, the most each can get, paid `payments` `[S, N, A]`, if the others follow."""
        raise NotImplementedError(f"{self.name} has no exact solutions")

    @property
    def action_labels(self) -> tuple[str, ...]:
        """What the actions are called where an episode is shown."""
        return tuple(str(action) for action in range(self.num_actions))

    def draw(self, axes: Any, state: TState) -> None:
        """Draws one state on empty axes of matplotlib; agent i in the i-th colour of its cycle."""
        raise NotImplementedError(f"{self.name} cannot be drawn")

    @functools.partial(jax.jit, static_argnames="self")
    def step(
        self, key: jax.Array, state: TState, action: Any, params: TParams | None = None
    ) -> tuple[Any, TState, jax.Array, jax.Array, jax.Array, dict[Any, Any]]:
        """A turn, and a new episode where one is over: gymnax' own, but observed only once.

        gymnax observes the state after the turn and the one after a reset, and throws one away.
        What costs most of a step, where games are small, is to observe.
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
        """One turn: outcomes are drawn, then the rules decide (section 2.2 of the paper)."""
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

    def action_space(self, params: TParams | None = None) -> spaces.Discrete:
        """The actions of one agent."""
        del params
        return spaces.Discrete(self.num_actions)


#: A game of any kind of state and params, as the learner sees it.
Game = PrincipalAgentEnvironment[Any, Any]
