"""What a principal-agent environment is: gymnax' `Environment` with outcomes and an agent axis.

An environment defines its rules (`initial_state`, `outcome_probs`, `resolve`, `get_obs`). The
order of events within a step is defined once, here (section 2.2 of the paper): the agents act, an
outcome is drawn for each of them, rewards follow from actions and outcomes, and the state moves
on. Episodes reset automatically, as in gymnax; the time limit is gymnax' too.

A game whose states are few enough is solved exactly: from `tabular_states`, which lists them, and
`transitions`, which lists what may follow. Both are all that an author has to write for that, and
then `resolve` need not be written, as it can draw from `transitions`.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import flax.linen as nn
import jax
from gymnax.environments import environment, spaces

from jaxparl.exact import EnumeratedStates as EnumeratedStates
from jaxparl.exact import ExactSolutions as ExactSolutions
from jaxparl.exact import ExactTable as ExactTable
from jaxparl.exact import Tabulation as Tabulation
from jaxparl.exact import enumeration, table_of_one, untraced
from jaxparl.resolution import NO_TIME_LIMIT as NO_TIME_LIMIT
from jaxparl.resolution import ActionsAreOutcomes
from jaxparl.resolution import GameParams as GameParams
from jaxparl.resolution import Resolution as Resolution
from jaxparl.resolution import Transitions as Transitions
from jaxparl.types import TabularGame

TState = TypeVar("TState", bound=Any)
TParams = TypeVar("TParams", bound="GameParams")


class PrincipalAgentEnvironment(environment.Environment[TState, TParams]):
    """The interface of every environment.

    A step takes actions `[N]` and returns gymnax' six values with rewards `[N]`; `info` adds
    `outcome` `[N]`, `principal_reward` `[N]` and `next_state`, the state before the automatic
    reset. Environments of the same class with equal `settings` are equal, and share compiled
    functions.

    Attributes:
      num_agents: N.
      num_outcomes: O; where actions are observed, A, unless it says something else.
      observed_actions: True where the principal sees the action itself. Then the outcome is the
        action, and the least payment has a closed form.
      identifies_agents: True where the networks, which all agents share, are told each agent's
        number. It may be False where agents are alike, or see who they are.
      has_horizon: False where the yardstick is of a game without an end, discounted: then the time
        limit cuts off episodes of training, and nothing else. True where the game that is meant
        ends at the time limit; what it brings is then reported undiscounted.
      wraps_around: True where observed boards `[H, W, C]` have no edges, as on a torus; False where
        there are walls around them. The networks are made for it.
      can_draw: True where `draw` shows a state.
      settings_class: the class of its settings, a frozen dataclass with defaults; each is an option
        of the command line. None where the environment is made without any.
      presets: for the command line, by name; see `register`. None: there is one, made for it.

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
    num_outcomes: int = cast(int, ActionsAreOutcomes())
    observed_actions: bool = False
    identifies_agents: bool = True
    has_horizon: bool = True
    wraps_around: bool = False
    can_draw: bool = False
    settings: Any = None
    settings_class: type | None = None
    presets: Mapping[str, Any] | None = None

    def __init__(self, settings: Any = None):
        if settings is not None:
            self.settings = settings

    def __eq__(self, other: object) -> bool:
        if self.settings is None or not isinstance(other, PrincipalAgentEnvironment):
            return self is other
        return type(other) is type(self) and bool(self.settings == other.settings)

    def __hash__(self) -> int:
        return object.__hash__(self) if self.settings is None else hash((type(self), self.settings))

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
        """The outcome distributions O(s, a)(o), `[N, A, O]`; rows sum to 1.

        Where actions are observed they are the identity, and need not be written.
        """
        if not self.observed_actions:
            raise NotImplementedError(f"{self.name} hides its actions: it must say outcome_probs")
        identity = jax.numpy.eye(self.num_actions)
        return jax.numpy.broadcast_to(identity, (self.num_agents, *identity.shape))

    def available_actions(self, state: TState, params: TParams) -> jax.Array | None:
        """`[N, A]` bool, which actions each agent has in a state; None where all have all of them.

        Nobody plays or recommends the others. Steps must be defined for them, as `step` may be
        called with anything. An agent that has none at all counts as having all. Exact solutions
        know nothing of it, so a game that says it has none of these.
        """
        del state, params
        return None

    def tabular_states(self) -> TState | None:
        """All states that decisions are made in, with a leading axis `S`; None if they are many.

        They are listed once, at time 0, unless the time tells some of them apart.
        """
        return None

    def transitions(
        self, state: TState, action: jax.Array, outcome: jax.Array, params: TParams
    ) -> Transitions[TState]:
        """All that actions `[N]` and their outcomes `[N]` may lead to."""
        raise NotImplementedError(f"{self.name} has neither transitions nor resolve")

    def state_index(self, state: TState) -> jax.Array:
        """`[]` int32, where a state is in `tabular_states`, whatever its time; -1 if nowhere."""
        if self.exact is None:
            raise NotImplementedError(f"the states of {self.name} are not enumerated")
        return self.exact.state_index(state)

    def resolve(
        self,
        key: jax.Array,
        state: TState,
        action: jax.Array,
        outcome: jax.Array,
        params: TParams,
    ) -> Resolution[TState]:
        """What actions `[N]` and their outcomes `[N]` lead to: by default one of `transitions`."""
        may_follow = self.transitions(state, action, outcome, params)
        drawn = jax.random.categorical(key, jax.numpy.log(may_follow.probs))
        return Resolution(
            state=jax.tree.map(lambda leaf: leaf[drawn], may_follow.state),
            agent_reward=may_follow.agent_reward,
            principal_reward=may_follow.principal_reward,
            terminated=may_follow.terminated[drawn],
        )

    def action_space(self, params: TParams | None = None) -> spaces.Discrete:
        """The actions of one agent."""
        del params
        return spaces.Discrete(self.num_actions)

    @property
    def exact(self) -> EnumeratedStates[TState] | None:
        """How the environment is solved exactly; None where it cannot be.

        It is a `Tabulation`, an `ExactTable` of one agent, or `ExactSolutions` of several.

        By default it is from `tabular_states` and `transitions`, where there are any.
        """
        is_written = type(self).tabular_states is not PrincipalAgentEnvironment.tabular_states
        return Tabulation(self) if is_written and enumeration(self) is not None else None

    def tabular(self, params: TParams) -> TabularGame:
        """The table of a game of one agent; NotImplementedError where there is none."""
        exact = self.exact
        if isinstance(exact, ExactTable):
            return exact.table(params)
        if isinstance(exact, Tabulation) and self.num_agents == 1:
            return table_of_one(exact.joint_game(params))
        raise NotImplementedError(f"{self.name} has no exact table")

    @property
    def horizon(self) -> int | None:
        """T, the decisions of an episode of this table; None where it has no end.

        Raises:
          NotImplementedError: the game has no exact table.
        """
        exact = self.exact
        if isinstance(exact, ExactTable):
            return exact.horizon
        if not isinstance(exact, Tabulation):
            raise NotImplementedError(f"{self.name} has no exact table")
        if not self.has_horizon:
            return None
        return untraced(lambda: int(self.default_params.max_steps_in_episode))

    def start_probs(self, params: TParams) -> jax.Array:
        """`[S]`, how likely an episode starts in each state of the table.

        What the table says, or, where it says nothing, 1 where `initial_state` is.
        """
        exact = self.exact
        if isinstance(exact, ExactTable):
            declared = exact.start_probs(params)
            if declared is not None:
                return declared
        elif not isinstance(exact, Tabulation):
            raise NotImplementedError(f"{self.name} has no exact table")
        first = self.initial_state(jax.random.key(0), params)
        place = exact.state_index(first)
        return (jax.numpy.arange(exact.num_states) == place).astype(float)

    def make_network(self, hidden_sizes: tuple[int, ...], num_outputs: int) -> nn.Module | None:
        """The network `(observation, bits) -> [..., X]`; by default one for the observation space.

        An environment may bring its own, see `learning.components.Components`.
        """
        del hidden_sizes, num_outputs
        return None

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
