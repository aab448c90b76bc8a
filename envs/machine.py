"""A machine and its operator: one agent, hidden effort, no horizon.

An owner, the principal, earns by what a machine produces. An operator, the agent, services it. The
owner does not see that effort, only whether the machine runs and whether it has been serviced,
which may fail. A machine that is not serviced wears out and breaks down more and more often. So the
owner pays when it finds the machine serviced. How much effort is worth paying for depends on how
worn the machine is.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.config import Config, HyperParams, check_count
from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Transitions
from jaxparl.envs.registry import Preset

# Outcomes: the machine breaks down, runs, or runs and has been serviced.
BREAKS_DOWN, SERVICED = 0, 2


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes of the game.

    Attributes:
      num_conditions: how many conditions the machine may be in, from new to worn out.
      max_steps_in_episode: the time limit of episodes of training; the game has no end.

    Raises:
      ValueError: a size is out of range.

    Examples:
      >>> Settings(num_conditions=1)
      Traceback (most recent call last):
      ...
      ValueError: num_conditions must be between 2 and 100, not 1
    """

    num_conditions: int = 6
    max_steps_in_episode: int = 50

    def __post_init__(self) -> None:
        check_count(self, "num_conditions", 2, 100)
        check_count(self, "max_steps_in_episode")


@struct.dataclass
class MachineState:
    """How the machine is.

    Attributes:
      wear: `[]` int32, its condition, from 0 where it is new.
      time: `[]` int32, steps since the reset.
    """

    wear: jax.Array
    time: jax.Array


@struct.dataclass
class MachineParams(GameParams):
    """What output is worth, what effort costs and does, and how often the machine breaks down.

    Attributes:
      output_value: `[]`, what the owner gets in a step in which the machine runs.
      effort_cost: `[]`, what full effort costs the operator. Half of it costs a quarter.
      service: `[]`, the probability that full effort services a machine that runs. Half of it does
        so half as often.
      breakdown_new: `[]`, the probability that a new machine breaks down in a step.
      breakdown_worn: `[]`, the same of a machine that is worn out; linear in between.
      discount: `[]`, as in every environment.

    Examples:
      >>> MachineParams().replace(effort_cost=0.5).effort_cost
      0.5
    """

    output_value: ArrayLike = 1.0
    effort_cost: ArrayLike = 0.2
    service: ArrayLike = 0.8
    breakdown_new: ArrayLike = 0.05
    breakdown_worn: ArrayLike = 0.8
    discount: ArrayLike = 0.9


class Machine(PrincipalAgentEnvironment[MachineState, MachineParams]):
    """A machine that wears out unless it is serviced.

    Examples:
      >>> env = Machine(Settings(num_conditions=3))
      >>> table = env.tabular(env.default_params)
      >>> table.successor[:, :, 0].tolist()  # the next condition, by condition and outcome
      [[1, 1, 0], [2, 2, 0], [2, 2, 1]]
    """

    num_agents = 1
    num_outcomes = 3
    has_horizon: bool = False
    can_draw: bool = True

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)

    @property
    def num_actions(self) -> int:
        """Three efforts: 0 none, 1 half, 2 full."""
        return 3

    @property
    def default_params(self) -> MachineParams:
        """Numbers by which every effort is right in some condition."""
        return MachineParams(max_steps_in_episode=self.settings.max_steps_in_episode)

    def tabular_states(self) -> MachineState:
        """All conditions, from new to worn out."""
        wear = jnp.arange(self.settings.num_conditions)
        return MachineState(wear=wear, time=jnp.zeros_like(wear))

    def initial_state(self, key: jax.Array, params: MachineParams) -> MachineState:
        """The machine is new."""
        del key, params
        return MachineState(wear=jnp.int32(0), time=jnp.int32(0))

    def outcome_probs(self, state: MachineState, params: MachineParams) -> jax.Array:
        """`[1, A, O]`: wear makes breakdowns likely, and effort the service of what runs."""
        age = state.wear / (self.settings.num_conditions - 1)
        new, worn = jnp.asarray(params.breakdown_new), jnp.asarray(params.breakdown_worn)
        breaks = new + (worn - new) * age
        serviced = params.service * self._effort(jnp.arange(self.num_actions))
        by_action = [
            jnp.broadcast_to(breaks, serviced.shape),
            (1 - breaks) * (1 - serviced),
            (1 - breaks) * serviced,
        ]
        return jnp.stack(by_action, axis=-1)[None]

    def transitions(
        self, state: MachineState, action: jax.Array, outcome: jax.Array, params: MachineParams
    ) -> Transitions[MachineState]:
        """A serviced machine is in a better condition than before, any other in a worse one."""
        change = jnp.where(outcome[0] == SERVICED, -1, 1)
        wear = jnp.clip(state.wear + change, 0, self.settings.num_conditions - 1)
        return Transitions(
            agent_reward=-jnp.asarray(params.effort_cost) * self._effort(action) ** 2,
            principal_reward=jnp.where(outcome == BREAKS_DOWN, 0.0, params.output_value),
            state=MachineState(wear=wear[None], time=(state.time + 1)[None]),
            probs=jnp.ones(1),
            terminated=jnp.zeros(1, bool),
        )

    def _effort(self, action: jax.Array) -> jax.Array:
        """0, 1/2 or 1."""
        return action / (self.num_actions - 1)

    def get_obs(self, state: MachineState, params: Any = None, key: Any = None) -> jax.Array:
        """`[1]`, the condition."""
        del params, key
        return state.wear[None]

    def observation_space(self, params: MachineParams | None = None) -> spaces.Discrete:
        """The condition."""
        del params
        return spaces.Discrete(self.settings.num_conditions)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """The efforts."""
        return ("no effort", "half", "full")

    def draw(self, axes: Any, state: MachineState) -> None:
        """A gauge that shows how worn the machine is."""
        axes.set(xlim=(-1.3, 1.3), ylim=(-0.5, 1.4), aspect="equal", xticks=[], yticks=[])
        axes.set_frame_on(False)
        angles = np.linspace(np.pi, 0, 60)
        axes.plot(np.cos(angles), np.sin(angles), color="0.5", linewidth=2)
        for mark in np.linspace(np.pi, 0, self.settings.num_conditions):
            x, y = np.cos(mark), np.sin(mark)
            axes.plot([0.9 * x, x], [0.9 * y, y], color="0.5", linewidth=2)
        angle = np.pi * (1 - int(state.wear) / (self.settings.num_conditions - 1))
        axes.plot([0, 0.8 * np.cos(angle)], [0, 0.8 * np.sin(angle)], color="C0", linewidth=4)
        axes.plot([0], [0], "o", color="C0", markersize=10)
        axes.text(-1, -0.1, "new", ha="center", va="top")
        axes.text(1, -0.1, "worn out", ha="center", va="top")


#: By name.
PRESETS = {
    "quick": Preset(
        summary="5 seeds, half a minute on two cores",
        settings=Settings(),
        config=Config(
            iterations=8_000,
            replay_capacity=40_000,
            hidden_sizes=(32, 32),
            target_interval=50,
            hyper_params=HyperParams(nudge=0.003),
        ),
        games="0:1",
        seeds="0:5",
    ),
}
