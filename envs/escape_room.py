"""The escape room: some agents must hold a lever so that another may leave by the door.

N agents are in a room with a lever and a door. In every step each goes to the lever, to the door or
back to where all started, or stays where it is. A move costs something. While at least M agents are
at the lever the door is open, and whoever goes to it leaves, for a large reward that it shares with
nobody: that ends the game. So nobody pulls the lever, unless it is paid for it. The test is that of
Yang et al. 2020, Learning to Incentivize Other Learning Agents (arXiv 2006.06051). Actions are
observed.
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

from jaxparl.config import check_count
from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Transitions
from jaxparl.envs.registry.presets import SEVERAL_AGENTS, Preset

# The places, which are the actions that lead there.
LEVER, START, DOOR = range(3)
MAX_AGENTS = 6


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes of the game.

    Attributes:
      num_agents: N.
      num_pullers: M, how many agents at the lever keep the door open; fewer than N.
      max_steps_in_episode: the steps after which the game is over if nobody has left.

    Raises:
      ValueError: a size is out of range.

    Examples:
      >>> Settings(num_agents=3, num_pullers=3)
      Traceback (most recent call last):
      ...
      ValueError: num_pullers must be between 1 and 2 (another one leaves), not 3
    """

    num_agents: int = 2
    num_pullers: int = 1
    max_steps_in_episode: int = 5

    def __post_init__(self) -> None:
        check_count(self, "num_agents", 2, MAX_AGENTS)
        check_count(self, "num_pullers", 1, self.num_agents - 1, why=" (another one leaves)")
        check_count(self, "max_steps_in_episode")


@struct.dataclass
class RoomState:
    """Where everybody is.

    Attributes:
      place: `[N]` int8, 0 at the lever, 1 at the start, 2 at the door.
      time: `[]` int32, steps since the reset.
    """

    place: jax.Array
    time: jax.Array


@struct.dataclass
class RoomParams(GameParams):
    """What the door is worth, and what a move costs.

    Attributes:
      exit_reward: `[]`, of an agent that leaves by the door. Its last move is free.
      move_cost: `[]`, of every other move to another place.
      discount: `[]`, as in every environment.

    Examples:
      >>> RoomParams().replace(exit_reward=5.0).exit_reward
      5.0
    """

    exit_reward: ArrayLike = 10.0
    move_cost: ArrayLike = 1.0
    discount: ArrayLike = 0.9


class EscapeRoom(PrincipalAgentEnvironment[RoomState, RoomParams]):
    """A room with a lever and a door.

    The principal's reward is the social welfare, one agent's reward per term.

    Examples:
      >>> env = EscapeRoom(Settings())
      >>> _, state = env.reset(jax.random.key(0))
      >>> action = jnp.array([LEVER, DOOR])
      >>> _, _, reward, terminated, *_ = env.step(jax.random.key(0), state, action)
      >>> reward.tolist(), bool(terminated)
      ([-1.0, 10.0], True)
    """

    observed_actions: bool = True
    can_draw: bool = True

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)
        self.num_agents: int = settings.num_agents

    @property
    def num_actions(self) -> int:
        """Three places to go to: 0 the lever, 1 the start, 2 the door."""
        return 3

    @property
    def default_params(self) -> RoomParams:
        """The numbers of Yang et al."""
        return RoomParams(max_steps_in_episode=self.settings.max_steps_in_episode)

    @property
    def num_states(self) -> int:
        """All places of all agents."""
        return self.num_actions**self.num_agents

    def tabular_states(self) -> RoomState:
        """All places of all agents."""
        every = np.indices((self.num_actions,) * self.num_agents).reshape(self.num_agents, -1).T
        return RoomState(
            place=jnp.asarray(every, jnp.int8), time=jnp.zeros(self.num_states, jnp.int32)
        )

    def initial_state(self, key: jax.Array, params: RoomParams) -> RoomState:
        """All are at the start."""
        del key, params
        return RoomState(place=jnp.full(self.num_agents, START, jnp.int8), time=jnp.int32(0))

    def transitions(
        self, state: RoomState, action: jax.Array, outcome: jax.Array, params: RoomParams
    ) -> Transitions[RoomState]:
        """All move at once; whoever is at the door while it is open has left."""
        del action
        is_open = jnp.sum(outcome == LEVER) >= self.settings.num_pullers
        leaves = is_open & (outcome == DOOR)
        moves = outcome != state.place
        stays = jnp.where(moves, -jnp.asarray(params.move_cost), 0.0)
        reward = jnp.where(leaves, params.exit_reward, stays).astype(float)
        return Transitions(
            agent_reward=reward,
            principal_reward=reward,
            state=RoomState(
                place=outcome.astype(state.place.dtype)[None], time=(state.time + 1)[None]
            ),
            probs=jnp.ones(1),
            terminated=leaves.any()[None],
        )

    def get_obs(self, state: RoomState, params: Any = None, key: Any = None) -> jax.Array:
        """`[N]`, where everybody is, as one number."""
        del params, key
        digits = self.num_actions ** jnp.arange(self.num_agents)[::-1]
        where = jnp.sum(state.place * digits, dtype=jnp.int32)
        return jnp.broadcast_to(where, (self.num_agents,))

    def observation_space(self, params: RoomParams | None = None) -> spaces.Discrete:
        """Where everybody is."""
        del params
        return spaces.Discrete(self.num_states)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """The places."""
        return ("lever", "start", "door")

    def draw(self, axes: Any, state: RoomState) -> None:
        """The room: the lever on the left, the door, which may be open, on the right."""
        top = float(self.num_agents)
        axes.set(xlim=(-0.7, 4.0), ylim=(-0.3, top + 0.3), aspect="equal", xticks=[], yticks=[])
        axes.set_frame_on(False)
        places = np.asarray(state.place)
        is_open = (places == LEVER).sum() >= self.settings.num_pullers
        above, below = top / 2 + 0.5, top / 2 - 0.5
        axes.plot([3, 3, 0, 0, 3, 3], [above, top, top, 0, 0, below], color="0.3", linewidth=3)
        door = ([3, 3.7], [below, below + 0.5]) if is_open else ([3, 3], [below, above])
        axes.plot(*door, color="C5", linewidth=4)
        end = top / 2 + (-0.4 if is_open else 0.4)
        axes.plot([0, -0.4], [top / 2, end], color="C5", linewidth=4)
        axes.plot([-0.4], [end], "o", color="C5", markersize=10)
        around = np.linspace(0, 2 * np.pi, 60)
        for agent, place in enumerate(places):
            x, y = place + 0.5, top - agent - 0.5
            axes.fill(x + 0.34 * np.cos(around), y + 0.34 * np.sin(around), color=f"C{agent}")
            axes.text(x, y, str(agent), color="white", ha="center", va="center", weight="bold")


# Who explores does so throughout an episode, as the others follow: so agents learn what it is worth
# to go on as they please. What an agent is worth to the principal is a mean over what the others
# do: losses are squared, most episodes are of agents that all follow, and replay keeps recent ones,
# so that it is of one of the ways to share the work and not of all of them.
_CONFIG = dataclasses.replace(
    SEVERAL_AGENTS,
    iterations=6_000,
    num_envs=32,
    batch_size=64,
    replay_capacity=16_000,
    hidden_sizes=(32, 32),
    loss="squared",
    max_gradient_norm=None,
    exploration="per_episode",
    target_interval=50,
    evaluation_interval=600,
    hyper_params=dataclasses.replace(
        SEVERAL_AGENTS.hyper_params,
        learning_rate=2e-3,
        epsilon=0.5,
        validation_epsilon=0.05,
        follow_share=0.95,
        alpha=0.3,
        nudge=0.4,
    ),
)


def _preset(summary: str, num_agents: int, num_pullers: int) -> Preset:
    """So many agents, ten seeds."""
    return Preset(
        summary=summary,
        settings=Settings(num_agents=num_agents, num_pullers=num_pullers),
        config=_CONFIG,
        games="0:1",
        seeds="0:10",
        validate=True,
    )


#: By name.
PRESETS = {
    "quick": _preset("2 agents, one holds the lever, 10 seeds", 2, 1),
    "three": _preset("3 agents, two hold the lever, 10 seeds", 3, 2),
}
