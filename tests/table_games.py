"""Games of one agent whose rules and whose table are told apart: the table may be of another game.

Both are arrays in the params, so all of them share what is compiled.
"""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces
from oracles import random_table

from jaxparl.config import Config
from jaxparl.environment import ExactTable, GameParams, PrincipalAgentEnvironment, Resolution
from jaxparl.envs import Entry, Preset
from jaxparl.types import TabularGame

STATES, ACTIONS, OUTCOMES, HORIZON = 5, 2, 2, 6


@dataclasses.dataclass(frozen=True)
class Settings:
    """The fault of its games, if any, and whether the table says where episodes start."""

    fault: str = ""
    declares_start: bool = False


@struct.dataclass
class State:
    node: jax.Array
    time: jax.Array


@struct.dataclass(kw_only=True)
class Params(GameParams):
    """Rules and table, and where episodes start by either, `[S]`."""

    rules: TabularGame
    told: TabularGame
    start: jax.Array
    told_start: jax.Array


class TableGame(PrincipalAgentEnvironment[State, Params]):
    """Its successors are random, and any step may be the last one."""

    num_agents, num_actions, num_outcomes = 1, ACTIONS, OUTCOMES

    def __init__(self, settings: Settings = Settings()):
        self.settings = settings

    def __eq__(self, other):
        return isinstance(other, TableGame) and self.settings == other.settings

    def __hash__(self):
        return hash((TableGame, self.settings))

    @property
    def default_params(self):
        return sound()

    def sample_params(self, key):
        if not self.settings.fault:
            return sound()
        return FAULTS[self.settings.fault][0](sound())

    @property
    def exact(self):
        return Table(self.settings.declares_start)

    def initial_state(self, key, params):
        node = jax.random.categorical(key, jnp.log(params.start))
        return State(node.astype(jnp.int32), jnp.int32(0))

    def outcome_probs(self, state, params):
        return params.rules.outcome_probs[state.node][None]

    def resolve(self, key, state, action, outcome, params):
        rules = params.rules
        probs = rules.successor_probs[state.node, outcome[0]]
        drawn = jax.random.categorical(key, jnp.log(jnp.append(probs, 1 - probs.sum())))
        ends = drawn == len(probs)
        node = rules.successor[state.node, outcome[0], jnp.where(ends, 0, drawn)]
        return Resolution(
            state=State(jnp.where(ends, state.node, node), state.time + 1),
            agent_reward=rules.agent_reward[state.node, action],
            principal_reward=rules.principal_reward[state.node, outcome],
            terminated=ends,
        )

    def get_obs(self, state, params=None, key=None):
        return state.node[None]

    def observation_space(self, params=None):
        return spaces.Discrete(STATES)


@dataclasses.dataclass(frozen=True)
class Table(ExactTable[State, Params]):
    declares_start: bool

    num_states = STATES
    horizon = HORIZON

    def states(self):
        return State(jnp.arange(STATES), jnp.zeros(STATES, jnp.int32))

    def table(self, env_params):
        return env_params.told

    def start_probs(self, env_params):
        return env_params.told_start if self.declares_start else None


def sound(seed: int = 0, start: int = 4) -> Params:
    """A game whose table is its own; every episode starts in one state."""
    table = random_table(np.random.default_rng(seed), STATES, ACTIONS, OUTCOMES)
    first = np.float32(np.arange(STATES) == start)
    return Params(
        rules=table, told=table, start=first, told_start=first, max_steps_in_episode=HORIZON
    )


def told(params: Params, **changes) -> Params:
    """The same with another table."""
    return params.replace(told=params.told.replace(**changes))


def entry(number, value):
    """A function that replaces one entry of an array, or adds to it."""

    def change(array):
        wrong = np.array(array)
        wrong[number] = value(wrong[number]) if callable(value) else value
        return wrong

    return change


def with_entry(field, number, value):
    def fault(params):
        return told(params, **{field: entry(number, value)(getattr(params.told, field))})

    return fault


def biased(params: Params) -> Params:
    """A table of fair coins that says they are not quite: no state alone shows it."""
    shape = params.rules.successor_probs.shape
    fair, unfair = (
        np.broadcast_to(np.float32(probs), shape) for probs in ([0.5, 0.5, 0], [0.57, 0.43, 0])
    )
    successor = np.broadcast_to([0, 1, 2], shape)
    rules = params.rules.replace(successor=successor, successor_probs=fair)
    start = np.float32([1, 0, 0, 0, 0])
    return params.replace(
        rules=rules, told=rules.replace(successor_probs=unfair), start=start, told_start=start
    )


def huge(params: Params) -> Params:
    """Rewards that are finite, but not their sums."""
    table = params.told.replace(principal_reward=np.full((STATES, OUTCOMES), 3e38, np.float32))
    return params.replace(told=table, rules=table)


#: What is wrong with the params, and what is said of it.
FAULTS = {
    "rows": (
        lambda params: told(params, outcome_probs=params.told.outcome_probs * np.float32(1.3)),
        "the table has a row of outcome_probs that does not sum to 1",
    ),
    "negative": (
        with_entry("successor_probs", (2, 1, 0), -0.1),
        "the table has a negative successor probability",
    ),
    "nan": (with_entry("agent_reward", (0, 0), np.nan), "the table has NaN or infinity"),
    "outside": (
        with_entry("successor", (0, 0, 0), STATES),
        "the table has a successor outside of its 5 states",
    ),
    "discount": (
        lambda params: told(params, discount=np.float32(0.9)),
        "its params have a discount of 1, but its table has 0.9$",
    ),
    "agent_reward": (
        with_entry("agent_reward", (3, 1), lambda reward: reward + 0.5),
        "a step in state 3 brings the agent .* for action 1, but its table says",
    ),
    "principal_reward": (
        with_entry("principal_reward", (1, 0), lambda reward: reward + 0.01),
        "a step in state 1 brings the principal .* for action 0 and outcome 0, but its table says",
    ),
    "nan_step": (
        lambda params: params.replace(
            rules=params.rules.replace(
                principal_reward=entry((2, 1), np.nan)(params.rules.principal_reward)
            )
        ),
        "a step in state 2 brings the principal nan for action 0 and outcome 1, but its table",
    ),
    "outcome_probs": (
        lambda params: told(params, outcome_probs=params.told.outcome_probs[:, :, ::-1]),
        "action 0 in state 0 has outcome 0 with probability .*, but its table says",
    ),
    "successor": (
        lambda params: told(params, successor=(params.told.successor + 1) % STATES),
        "after action . and outcome . in state . a state follows that is no successor",
    ),
    "ends": (
        lambda params: told(params, successor_probs=np.zeros_like(params.told.successor_probs)),
        "after action . and outcome . in state 4 the game goes on, but its table ends",
    ),
    "frequency": (
        lambda params: told(
            params,
            successor_probs=np.roll(params.told.successor_probs, 1, axis=2),
            successor=params.told.successor,
        ),
        r"\d+ of \d+ steps after action . and outcome . in state . lead to state ., but its table",
    ),
    "bias": (
        biased,
        r"\d+ of 2048 steps lead to the first successor of .*, but by its table it should be",
    ),
    "start": (
        lambda params: params.replace(start=np.float32([0.5, 0.5, 0, 0, 0])),
        r"episodes start in more than one state \(0, 1, ...\): its table must say how likely",
    ),
    "shorter": (
        lambda params: params.replace(max_steps_in_episode=5),
        "its episodes are cut off after 5 steps .*, but its table has a horizon of 6",
    ),
    "longer": (
        lambda params: params.replace(max_steps_in_episode=50),
        "its episodes may be longer than the horizon of its table, 6: .* is 50",
    ),
    "huge": (huge, "the exact principal_utility of game 0 is inf"),
}

CONFIG = Config(
    iterations=4, evaluation_interval=4, target_interval=2, replay_capacity=64, hidden_sizes=(8,)
)


def registered() -> Entry:
    """What the registry knows of these games."""
    quick = Preset(summary="a small table", settings=Settings(), config=CONFIG)
    return Entry(
        environment=TableGame,
        settings=Settings,
        presets={"quick": quick},
        label="table",
        summary="a game whose table may be of another one",
    )
