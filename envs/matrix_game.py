"""Three textbook dilemmas of two agents, repeated without end: 2 x 2 matrix games.

Both agents see what both did last, and choose again: cooperate or defect. In a prisoner's dilemma
each is better off by defecting, whatever the other does. In a stag hunt both are best off by
hunting the stag together, but whoever hunts it alone gets nothing. In chicken each is better off by
going straight, but only if the other swerves. Actions are observed.
"""

from __future__ import annotations

import dataclasses
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

import jax
import jax.numpy as jnp
from flax import struct
from gymnax.environments import spaces
from jax.typing import ArrayLike

from jaxparl.config import check_count
from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Transitions
from jaxparl.envs.registry.presets import SEVERAL_AGENTS, Preset

Payoffs = Literal["prisoners_dilemma", "stag_hunt", "chicken"]


class Dilemma(NamedTuple):
    """What one agent gets, by what it and the other do, and what the two actions are called."""

    reward: float
    sucker: float
    temptation: float
    punishment: float
    actions: tuple[str, str]


#: The numbers of textbooks; those of the prisoner's dilemma are Axelrod's.
DILEMMAS = MappingProxyType(
    {
        "prisoners_dilemma": Dilemma(3.0, 0.0, 5.0, 1.0, ("cooperate", "defect")),
        "stag_hunt": Dilemma(4.0, 0.0, 3.0, 3.0, ("stag", "hare")),
        "chicken": Dilemma(3.0, 1.0, 4.0, 0.0, ("swerve", "straight")),
    }
)


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which game is repeated.

    Attributes:
      payoffs: prisoner's dilemma, stag hunt or chicken.
      max_steps_in_episode: the time limit of episodes of training; the game has no end.

    Raises:
      ValueError: the time limit is out of range, or the game is unknown.

    Examples:
      >>> Settings(payoffs="tag")
      Traceback (most recent call last):
      ...
      ValueError: payoffs must be one of prisoners_dilemma, stag_hunt, chicken, not 'tag'
    """

    payoffs: Payoffs = "prisoners_dilemma"
    max_steps_in_episode: int = 20

    def __post_init__(self) -> None:
        check_count(self, "max_steps_in_episode")
        known = get_args(Payoffs)
        if self.payoffs not in known:
            raise ValueError(f"payoffs must be one of {', '.join(known)}, not {self.payoffs!r}")


@struct.dataclass
class MatrixState:
    """What both did last.

    Attributes:
      last: `[]` int32, 0 where nothing has been done yet, else 1 + twice the first agent's action
        + the second agent's.
      time: `[]` int32, steps since the reset.
    """

    last: jax.Array
    time: jax.Array


@struct.dataclass
class MatrixParams(GameParams):
    """What an agent gets in a step, by what it and the other do. The names are the textbooks'.

    Attributes:
      reward: `[]`, R: both cooperate.
      sucker: `[]`, S: it cooperates, and the other defects.
      temptation: `[]`, T: it defects, and the other cooperates.
      punishment: `[]`, P: both defect.
      discount: `[]`, as in every environment.

    Examples:
      >>> MatrixParams().replace(temptation=3.5).temptation
      3.5
    """

    reward: ArrayLike = DILEMMAS["prisoners_dilemma"].reward
    sucker: ArrayLike = DILEMMAS["prisoners_dilemma"].sucker
    temptation: ArrayLike = DILEMMAS["prisoners_dilemma"].temptation
    punishment: ArrayLike = DILEMMAS["prisoners_dilemma"].punishment
    discount: ArrayLike = 0.9


class MatrixGame(PrincipalAgentEnvironment[MatrixState, MatrixParams]):
    """A matrix game of two agents, repeated.

    The principal's reward is the social welfare, one agent's reward per term.

    Examples:
      >>> env = MatrixGame(Settings(payoffs="chicken"))
      >>> _, state = env.reset(jax.random.key(0))
      >>> _, state, reward, *_ = env.step(jax.random.key(0), state, jnp.array([0, 1]))
      >>> reward.tolist(), int(state.last)  # one swerves, the other goes straight
      ([1.0, 4.0], 2)
    """

    num_agents = 2
    observed_actions: bool = True
    has_horizon: bool = False
    can_draw: bool = True

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)

    @property
    def num_actions(self) -> int:
        """Two: 0 cooperates, 1 defects."""
        return 2

    @property
    def default_params(self) -> MatrixParams:
        """The numbers of the game that the settings name."""
        reward, sucker, temptation, punishment, _ = DILEMMAS[self.settings.payoffs]
        return MatrixParams(
            max_steps_in_episode=self.settings.max_steps_in_episode,
            reward=reward,
            sucker=sucker,
            temptation=temptation,
            punishment=punishment,
        )

    def tabular_states(self) -> MatrixState:
        """Nothing yet, and the four joint actions."""
        last = jnp.arange(5)
        return MatrixState(last=last, time=jnp.zeros_like(last))

    def initial_state(self, key: jax.Array, params: MatrixParams) -> MatrixState:
        """Nothing has been done yet."""
        del key, params
        return MatrixState(last=jnp.int32(0), time=jnp.int32(0))

    def transitions(
        self, state: MatrixState, action: jax.Array, outcome: jax.Array, params: MatrixParams
    ) -> Transitions[MatrixState]:
        """Both get what the matrix says, and remember what both did."""
        del action
        own, other = outcome, outcome[::-1]
        cooperates = jnp.where(other == 0, params.reward, params.sucker)
        defects = jnp.where(other == 0, params.temptation, params.punishment)
        reward = jnp.where(own == 0, cooperates, defects).astype(float)
        last = (1 + 2 * outcome[0] + outcome[1]).astype(state.last.dtype)
        return Transitions(
            agent_reward=reward,
            principal_reward=reward,
            state=MatrixState(last=last[None], time=(state.time + 1)[None]),
            probs=jnp.ones(1),
            terminated=jnp.zeros(1, bool),
        )

    def get_obs(self, state: MatrixState, params: Any = None, key: Any = None) -> jax.Array:
        """`[N]`, what was done last."""
        del params, key
        return jnp.broadcast_to(state.last, (self.num_agents,))

    def observation_space(self, params: MatrixParams | None = None) -> spaces.Discrete:
        """What was done last."""
        del params
        return spaces.Discrete(5)

    @property
    def action_labels(self) -> tuple[str, ...]:
        """What the actions are called in this game."""
        return DILEMMAS[self.settings.payoffs].actions

    def draw(self, axes: Any, state: MatrixState) -> None:
        """The matrix, with what was done last in a frame; agent 0 chooses the row."""
        axes.set(xlim=(-0.8, 2.1), ylim=(2.1, -0.5), aspect="equal", xticks=[], yticks=[])
        axes.set_frame_on(False)
        payoffs = ("RR", "ST"), ("TS", "PP")
        for row in range(2):
            labels = self.action_labels
            axes.text(-0.1, row + 0.5, labels[row], color="C0", ha="right", va="center")
            axes.text(row + 0.5, -0.1, labels[row], color="C1", ha="center", va="bottom")
            for column in range(2):
                is_last = int(state.last) == 1 + 2 * row + column
                x, y = [0.04, 0.96, 0.96, 0.04, 0.04], [0.04, 0.04, 0.96, 0.96, 0.04]
                axes.plot(
                    [column + each for each in x],
                    [row + each for each in y],
                    color="black" if is_last else "0.8",
                    linewidth=4 if is_last else 1,
                )
                for agent, payoff in enumerate(payoffs[row][column]):
                    place = column + 0.35 + 0.3 * agent, row + 0.5
                    axes.text(*place, payoff, color=f"C{agent}", size=16, ha="center", va="center")


# At first everything is tried, as nobody learns what the stag is worth who hunts it alone. What an
# agent is worth to the principal is a mean over what the others do, so that losses are squared.
_CONFIG = dataclasses.replace(
    SEVERAL_AGENTS,
    loss="squared",
    max_gradient_norm=None,
    iterations=4_000,
    batch_size=64,
    replay_capacity=16_000,
    hidden_sizes=(32, 32),
    target_interval=50,
    evaluation_interval=400,
    hyper_params=dataclasses.replace(
        SEVERAL_AGENTS.hyper_params,
        learning_rate=1e-3,
        epsilon=1.0,
        epsilon_final=0.1,
        follow_share=0.9,
        nudge=0.1,
    ),
)


def _preset(summary: str, payoffs: Payoffs) -> Preset:
    """One game, five seeds."""
    return Preset(
        summary=summary,
        settings=Settings(payoffs=payoffs),
        config=_CONFIG,
        games="0:1",
        seeds="0:5",
    )


#: By name.
PRESETS = {
    "quick": _preset("the prisoner's dilemma, 5 seeds", "prisoners_dilemma"),
    "stag_hunt": _preset("the stag hunt, 5 seeds", "stag_hunt"),
    "chicken": _preset("chicken, 5 seeds", "chicken"),
}
