"""Exact solutions of the Coin Game of two agents, by backward induction over all its states.

Each solution is a rule for one state (`decisions`), applied backwards in time (`induction`).
All are compiled, once for all equal settings, and may be called inside `jit` and `vmap`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

import chex
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.environment import ExactSolutions
from jaxparl.envs.coin_game import decisions
from jaxparl.envs.coin_game.decisions import NUM_AGENTS
from jaxparl.envs.coin_game.induction import play
from jaxparl.envs.coin_game.settings import Settings
from jaxparl.envs.coin_game.state import CoinParams, CoinState
from jaxparl.envs.coin_game.torus import Torus
from jaxparl.types import PlayValue

Args = ParamSpec("Args")
Result = TypeVar("Result")


def _compiled(method: Callable[Args, Result]) -> Callable[Args, Result]:
    """`jax.jit` of a method whose `self` is static, with the type of the method."""
    return jax.jit(method, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class CoinSolutions(ExactSolutions[CoinState, CoinParams]):
    """The states of the Coin Game of two agents, and what is best in them.

    Attributes:
      settings: the sizes and rules of the game.

    Raises:
      ValueError: the game is not of two agents.

    Examples:
      >>> exact = CoinSolutions(Settings(grid_size=3))
      >>> params = CoinParams(max_steps_in_episode=20)
      >>> f"{exact.selfish_play(params).welfare:.2f} of {exact.optimal_welfare(params):.2f}"
      '10.90 of 13.90'
    """

    settings: Settings

    def __post_init__(self) -> None:
        if self.settings.num_agents != NUM_AGENTS:
            raise ValueError(
                f"the exact solutions are of two agents, not of {self.settings.num_agents}"
            )

    @property
    def _axes(self) -> tuple[int, ...]:
        cells = Torus(self.settings.grid_size).num_cells
        return (cells, cells, cells, NUM_AGENTS)

    @property
    def num_states(self) -> int:
        """S = 2 C^3. It includes states with the coin under an agent, which are never reached."""
        cells = Torus(self.settings.grid_size).num_cells
        return cells ** (NUM_AGENTS + 1) * NUM_AGENTS

    def states(self) -> CoinState:
        """All states at time 0, with a leading axis `S`.

        They are ordered by the first agent's cell, then the second's, the coin's, the colour:
        `((cell_0 C + cell_1) C + coin) 2 + colour`.
        """
        index = jnp.arange(self.num_states)
        *agents, coin, colour = jnp.unravel_index(index, self._axes)
        return CoinState(
            agents=jnp.stack(agents, axis=-1).astype(jnp.int16),
            coin=coin.astype(jnp.int16),
            colour=colour.astype(jnp.int16),
            time=jnp.zeros(self.num_states, jnp.int32),
        )

    def state_index(self, env_state: CoinState) -> jax.Array:
        """`[]` int32, the position of a state in `states`; its time does not matter."""
        digits = (*env_state.agents, env_state.coin, env_state.colour)
        return jnp.ravel_multi_index(
            tuple(digit.astype(jnp.int32) for digit in digits), self._axes, mode="clip"
        )

    @_compiled
    def optimal_welfare(self, env_params: CoinParams) -> jax.Array:
        """`[]`, the most that both agents together can expect in an episode, payments aside."""
        return play(self.settings, env_params, decisions.most_welfare).welfare

    @_compiled
    def selfish_play(self, env_params: CoinParams) -> PlayValue:
        """What an episode brings where nobody is paid and each maximises its own rewards.

        In each state and at each step the agents play a pure Nash equilibrium of the A x A game
        whose payoffs are this step's rewards and what follows: the first in the order of the joint
        actions. Where there is none they play the joint action with the least sum of what either
        would gain by deviating.
        """
        return play(self.settings, env_params, decisions.selfish)

    def equilibrium(
        self,
        env_params: CoinParams,
        alpha: ArrayLike = 0.1,
        gamma: ArrayLike = 1.0,
        *,
        nudge: ArrayLike = 0.0,
        nudge_scale: ArrayLike = 0.0,
        unique: bool = False,
    ) -> PlayValue:
        """What an episode brings in the subgame-perfect equilibrium of the paper's objective.

        In each state and at each step the principal asks for the joint action with the best
        sum_i (r_i - alpha b_i) + what follows, the first on ties. The least payment b_i is what
        agent i would gain by its best deviation while the other does as asked; paid that, following
        is a best response (Ivanov et al. 2024, section 5.2, with observed actions).

        Args:
          env_params: the rewards and the number of steps.
          alpha: `[]`, what a unit of payment costs the principal, in units of welfare.
          gamma: `[]`, the discount by which principal and agents decide. What is returned is
            undiscounted.
          nudge: `[]`, by how much following is to be better than anything else.
          nudge_scale: `[]`, what the principal has to lose by a deviation for the full nudge
            against it; with 0 it is the nudge throughout.
          unique: whether payments are to be enough that, with any more, following is the only
            equilibrium in each state, given what follows; see `decisions.unique_payments`.
        """
        # With the defaults as arguments: one program for all alpha, gamma and nudges.
        return self._equilibrium(unique, env_params, alpha, gamma, (nudge, nudge_scale))

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def _equilibrium(
        self,
        unique: bool,
        env_params: CoinParams,
        alpha: ArrayLike,
        gamma: ArrayLike,
        nudge: tuple[ArrayLike, ArrayLike],
    ) -> PlayValue:
        size, scale = nudge
        rule = functools.partial(
            decisions.least_payment,
            alpha=jnp.asarray(alpha),
            nudge=size,
            nudge_scale=scale,
            unique=unique,
        )
        discounts = jnp.stack([jnp.asarray(gamma, float), 1.0])
        return play(self.settings, env_params, rule, discounts=discounts)

    @_compiled
    def play_values(
        self, env_params: CoinParams, actions: jax.Array, payments: jax.Array
    ) -> PlayValue:
        """What an episode brings where both agents play given policies.

        Args:
          env_params: the rewards and the number of steps.
          actions: `[S, N]` int, what each does in each of the `states`.
          payments: `[S, N]`, what each is paid there for doing it, in units of reward.

        Raises:
          AssertionError: a shape is wrong.
        """
        chex.assert_shape([actions, payments], (self.num_states, NUM_AGENTS))
        paid = jnp.asarray(payments, float)
        return play(self.settings, env_params, decisions.given, actions, paid)

    @_compiled
    def best_responses(
        self, env_params: CoinParams, actions: jax.Array, payments: jax.Array
    ) -> jax.Array:
        """The most that each agent can get in an episode while the other plays a given policy.

        A best response may depend on the time that is left.

        Args:
          env_params: the rewards and the number of steps.
          actions: `[S, N]` int, what each does in each state while the other deviates.
          payments: `[S, N, A]`, what each is paid there for each of its actions.

        Returns:
          `[N]`, rewards and payments.

        Raises:
          AssertionError: a shape is wrong.
        """
        chex.assert_shape(actions, (self.num_states, NUM_AGENTS))
        chex.assert_shape(payments, (*actions.shape, self.settings.num_actions))

        paid = jnp.asarray(payments, float)

        def most(agent: jax.Array) -> jax.Array:
            rule = functools.partial(decisions.respond, agent)
            return play(self.settings, env_params, rule, actions, paid).utilities[agent]

        # One after the other: the tables are large.
        return jax.lax.map(most, jnp.arange(NUM_AGENTS))
