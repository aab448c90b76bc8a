"""Random binary trees: the paper's first experiment (section 5.1, Figure 3).

The decision states are a complete binary tree in heap order: state 0 is the root and the
outcome of state s picks its child, 2s + 1 or 2s + 2. Below the last level the game ends.
Action 0 is free for the agent and worth nothing to the principal; action 1 costs the agent
and makes outcome 1, which the principal values, the likely one.
"""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import struct
from gymnax.environments import spaces

from jaxparl.config import Config, HyperParams, check_count
from jaxparl.environment import ExactTable, GameParams, PrincipalAgentEnvironment, Resolution
from jaxparl.envs.registry import Preset
from jaxparl.summaries import by_shape
from jaxparl.types import TabularGame, fixed_key

MAX_DEPTH = 16


@dataclasses.dataclass(frozen=True)
class Settings:
    """The sizes and rules of a tree.

    Attributes:
      depth: decisions from the root to the end of the game; 2^depth - 1 decision states.
      outcome_probs: O(a)(o), the same in every state; one row per action, summing to 1.

    Raises:
      ValueError: the depth is out of range, or the outcome probabilities are no distributions.

    Examples:
      >>> Settings(depth=5).outcome_probs
      ((0.9, 0.1), (0.1, 0.9))
      >>> Settings(depth=0)
      Traceback (most recent call last):
      ...
      ValueError: depth must be between 1 and 16, not 0
    """

    depth: int = 10
    outcome_probs: tuple[tuple[float, float], tuple[float, float]] = ((0.9, 0.1), (0.1, 0.9))

    def __post_init__(self) -> None:
        check_count(self, "depth", 1, MAX_DEPTH)
        rows = np.asarray(self.outcome_probs, dtype=float)
        if rows.shape != (2, 2):
            raise ValueError(f"outcome_probs must be 2 rows of 2, not of shape {rows.shape}")
        if not np.isfinite(rows).all() or (rows < 0).any():
            raise ValueError(f"outcome_probs must be finite and not negative, not {rows.tolist()}")
        if np.abs(rows.sum(axis=1) - 1).max() > 1e-6:
            raise ValueError(
                f"every row of outcome_probs must sum to 1, not to {rows.sum(axis=1).tolist()}"
            )
        # Lists become tuples: settings are hashed, and equal ones share compiled functions.
        object.__setattr__(self, "outcome_probs", tuple(map(tuple, rows.tolist())))


@struct.dataclass
class TreeState:
    """Where the game stands. Replay stores many states, so it is one integer.

    Attributes:
      node: `[]` int, the decision state in heap order.
    """

    node: jax.Array

    @property
    def time(self) -> jax.Array:
        """`[]` int, the depth of the node, which is the number of decisions before it."""
        # floor(log2(node + 1)), exactly: a logarithm in float32 would miss some deep nodes.
        return 31 - jax.lax.clz(jnp.asarray(self.node, jnp.int32) + 1)


@struct.dataclass(kw_only=True)
class TreeParams(GameParams):
    """One tree: its rewards, drawn by `sample_params`, and its outcome matrix.

    Attributes:
      agent_reward: `[S, A]`, r(s, a).
      principal_reward: `[S, O]`, r_p(s, o).
      outcome_probs: `[A, O]`, O(a)(o), the same in every state.
      discount: `[]`, gamma, shared by principal and agent; the paper's is 1.
    """

    agent_reward: jax.Array
    principal_reward: jax.Array
    outcome_probs: jax.Array

    __repr__ = by_shape


class GameTree(PrincipalAgentEnvironment[TreeState, TreeParams]):
    """A complete binary tree whose outcomes choose the branch.

    Examples:
      >>> env = GameTree(Settings(depth=3))
      >>> env.num_states, env.horizon
      (7, 3)
      >>> env.tabular(env.default_params).successor[0].tolist()  # of the root, by outcome
      [[1], [2]]
    """

    num_agents = 1
    num_outcomes = 2

    def __init__(self, settings: Settings = Settings()):
        super().__init__(settings)

    @property
    def num_actions(self) -> int:
        """Two: 0 is free, 1 is costly."""
        return 2

    @property
    def num_states(self) -> int:
        """The decision states S = 2^depth - 1."""
        return 2**self.settings.depth - 1

    @property
    def exact(self) -> TreeTable:
        """The tree written out as a table."""
        return TreeTable(self)

    @property
    def default_params(self) -> TreeParams:
        """One fixed tree, drawn from key 0; draw others with `sample_params`."""
        # Whatever JAX is set to, it is the same one.
        with jax.threefry_partitionable(True):
            return self.sample_params(fixed_key(0))

    def sample_params(self, key: jax.Array) -> TreeParams:
        """Draws the rewards of every state (section 5.1 of the paper).

        The costly action costs u ~ U[0, 1 - v] with v ~ U[0, 1]; outcome 1 is worth
        u ~ U[0, 2 - v] with v ~ U[0, 2]. Everything else is 0. All are drawn in float32, so that a
        key means the same tree in float64.
        """
        key_cost, key_cost_range, key_value, key_value_range = jax.random.split(key, 4)
        draw = functools.partial(jax.random.uniform, shape=(self.num_states,), dtype=jnp.float32)
        cost_range = 1.0 - draw(key_cost_range)
        value_range = 2.0 - draw(key_value_range, maxval=2.0)
        cost = cost_range * draw(key_cost)
        value = value_range * draw(key_value)
        free = jnp.zeros_like(cost)
        return TreeParams(
            agent_reward=jnp.stack([free, -cost], axis=-1).astype(float),
            principal_reward=jnp.stack([free, value], axis=-1).astype(float),
            outcome_probs=jnp.asarray(self.settings.outcome_probs, float),
        )

    def initial_state(self, key: jax.Array, params: TreeParams) -> TreeState:
        """Every episode starts at the root."""
        del key, params
        return TreeState(node=jnp.int32(0))

    def outcome_probs(self, state: TreeState, params: TreeParams) -> jax.Array:
        """`[1, A, O]`, the same in every state."""
        del state
        return params.outcome_probs[None]

    def resolve(
        self,
        key: jax.Array,
        state: TreeState,
        action: jax.Array,
        outcome: jax.Array,
        params: TreeParams,
    ) -> Resolution[TreeState]:
        """The outcome picks the child; after the last level the game stays where it ended."""
        del key
        child = 2 * state.node + 1 + outcome[0]
        terminated = child >= self.num_states
        return Resolution(
            state=TreeState(node=jnp.where(terminated, state.node, child).astype(state.node.dtype)),
            agent_reward=params.agent_reward[state.node, action],
            principal_reward=params.principal_reward[state.node, outcome],
            terminated=terminated,
        )

    def get_obs(self, state: TreeState, params: Any = None, key: Any = None) -> jax.Array:
        """`[1]`, the index of the node."""
        del params, key
        return state.node[None]

    def observation_space(self, params: TreeParams | None = None) -> spaces.Discrete:
        """The index of a decision state."""
        del params
        return spaces.Discrete(self.num_states)


@dataclasses.dataclass(frozen=True)
class TreeTable(ExactTable[TreeState, TreeParams]):
    """A tree written out, state by state.

    Attributes:
      env: the tree.
    """

    env: GameTree

    @property
    def num_states(self) -> int:
        """The decision states S."""
        return self.env.num_states

    @property
    def horizon(self) -> int:
        """T, the depth of the tree."""
        return self.env.settings.depth

    def states(self) -> TreeState:
        """All decision states, `[S]`, in heap order."""
        return TreeState(node=jnp.arange(self.num_states))

    def table(self, env_params: TreeParams) -> TabularGame:
        """The tree as a table; an outcome that ends the game has no successor."""
        child = 2 * jnp.arange(self.num_states)[:, None] + 1 + jnp.arange(2)[None]  # [S, O]
        inside = child < self.num_states
        return TabularGame(
            agent_reward=env_params.agent_reward,
            principal_reward=env_params.principal_reward,
            outcome_probs=jnp.broadcast_to(env_params.outcome_probs, (self.num_states, 2, 2)),
            successor=jnp.where(inside, child, 0)[..., None],
            successor_probs=inside[..., None].astype(env_params.agent_reward.dtype),
            discount=jnp.asarray(env_params.discount, env_params.agent_reward.dtype),
        )


_FIGURE3 = Preset(
    summary="Figure 3 of the paper: 3 trees x 5 seeds",
    settings=Settings(),
    config=Config(),
    games="0:3",
    seeds="0:5",
)

#: By name; those called figure3 have the paper's sizes.
PRESETS = {
    "quick": Preset(
        summary="2 trees x 2 seeds, two minutes on two cores",
        settings=Settings(),
        config=Config(),
    ),
    "figure3": _FIGURE3,
    "figure3_per_action": dataclasses.replace(
        _FIGURE3,
        summary="the same with the paper's critics, per action",
        config=Config(
            critic="per_action",
            # Outcomes are random, and so are these targets: larger batches, and both average.
            batch_size=256,
            target_window=0.03,
            principal_target_window=0.2,
            hyper_params=HyperParams(
                nudge=0.015, learning_rate_final=3e-5, principal_learning_rate_final=1e-5
            ),
        ),
    ),
    "figure3_learned_outcomes": dataclasses.replace(
        _FIGURE3,
        summary="the same with learned outcome probabilities",
        config=Config(outcome_model="learned", hyper_params=HyperParams(nudge=0.013)),
    ),
}
