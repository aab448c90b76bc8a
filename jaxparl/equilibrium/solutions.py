"""Exact solutions of an environment, from its table or by its author."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import chex
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.environment import Environment, ExactSolutions, ExactTable, Tabulation
from jaxparl.equilibrium import joint_rules
from jaxparl.equilibrium.joint import play, robust_value
from jaxparl.equilibrium.joint_rules import Rule
from jaxparl.types import JointGame, PlayValue, PyTree

Args = ParamSpec("Args")
Result = TypeVar("Result")


def solutions_of(env: Environment) -> ExactSolutions[Any, Any]:
    """The exact solutions of an environment.

    Raises:
      NotImplementedError: it has none.

    Examples:
      >>> from jaxparl.envs import make
      >>> env, env_params = make("coin_game", grid_size=2, max_steps_in_episode=4)
      >>> print(f"{solutions_of(env).optimal_welfare(env_params):.3f}")
      3.083
    """
    exact = env.exact
    if isinstance(exact, Tabulation):
        return JointSolutions(exact)
    if isinstance(exact, ExactTable):
        return JointSolutions(TableOfOne(env))
    if isinstance(exact, ExactSolutions):
        return exact
    raise NotImplementedError(f"{env.name} has no exact solutions")


def _compiled(method: Callable[Args, Result]) -> Callable[Args, Result]:
    """`jax.jit` of a method whose `self` is static, with the type of the method."""
    return jax.jit(method, static_argnums=0)


@dataclasses.dataclass(frozen=True)
class TableOfOne:
    """The `ExactTable` of a game of one agent, in the form of a `Tabulation`.

    Attributes:
      env: the game.
    """

    env: Environment

    @property
    def table(self) -> ExactTable[Any, Any]:
        """What its author has written."""
        exact = self.env.exact
        assert isinstance(exact, ExactTable)
        return exact

    @property
    def num_states(self) -> int:
        """S."""
        return self.table.num_states

    def states(self) -> PyTree:
        """All states, with a leading axis `S`."""
        return self.table.states()

    def joint_game(self, env_params: Any, action: jax.Array | None = None) -> JointGame:
        """The game, state by state, with all actions or with those in `action` `[S, J, 1]`."""
        table = self.env.tabular(env_params)
        size, num_actions = table.agent_reward.shape
        if action is None:
            action = jnp.broadcast_to(jnp.arange(num_actions)[:, None], (size, num_actions, 1))
        return JointGame(
            action=action,
            agent_reward=jnp.take_along_axis(table.agent_reward[..., None], action, axis=1),
            outcome_probs=table.outcome_probs[:, None],
            outcome=jnp.arange(self.env.num_outcomes)[:, None],
            principal_reward=table.principal_reward,
            successor=table.successor,
            successor_probs=table.successor_probs,
            start_probs=self.env.start_probs(env_params),
            discount=jnp.asarray(table.discount),
        )


@dataclasses.dataclass(frozen=True)
class JointSolutions(ExactSolutions[Any, Any]):
    """Exact solutions of a game of N agents that is written out as a table.

    Attributes:
      tabulation: the game.
    """

    tabulation: Tabulation[Any, Any] | TableOfOne

    @property
    def num_states(self) -> int:
        """S."""
        return self.tabulation.num_states

    def states(self) -> PyTree:
        """All states, with a leading axis `S`."""
        return self.tabulation.states()

    def state_index(self, env_state: PyTree) -> jax.Array:
        """`[]` int32, the position of a state in `states`, whatever its time."""
        index: jax.Array = self.tabulation.env.state_index(env_state)
        return index

    @_compiled
    def optimal_welfare(self, env_params: Any) -> jax.Array:
        """`[]`, the most that all agents together can expect in an episode, payments aside."""
        return self._play(env_params, joint_rules.most_welfare).welfare

    @_compiled
    def selfish_play(self, env_params: Any) -> PlayValue:
        """What an episode brings where nobody is paid; see `joint_rules.selfish`."""
        return self._play(env_params, joint_rules.selfish)

    def equilibrium(
        self,
        env_params: Any,
        alpha: ArrayLike = 0.1,
        gamma: ArrayLike = 1.0,
        *,
        nudge: ArrayLike = 0.0,
        nudge_scale: ArrayLike = 0.0,
        unique: bool = False,
    ) -> PlayValue:
        """What an episode brings in the equilibrium of the paper's objective.

        In each state the principal asks for the joint action with the best principal's reward less
        `alpha` times the payments + what follows, the first on ties, at the least payments that
        make it a best response of each agent while the others do as asked (Ivanov et al. 2024,
        section 5.2), better than anything else by `nudge`; or in proportion, if the principal would
        lose less than `nudge_scale` by that. All decide by sums discounted by `gamma`.

        With `unique` payments are enough to be sure: with any more than these, in each state
        nothing but following survives iterated elimination, given what follows. See
        `contracts.joint_payments.unique_payments`, which is the least with two actions, and an
        upper bound with more.
        """
        # With the defaults as arguments: one program for all alpha, gamma and nudges.
        return self._equilibrium(unique, env_params, alpha, gamma, (nudge, nudge_scale))

    @functools.partial(jax.jit, static_argnums=(0, 1))
    def _equilibrium(
        self,
        unique: bool,
        env_params: Any,
        alpha: ArrayLike,
        gamma: ArrayLike,
        nudge: tuple[ArrayLike, ArrayLike],
    ) -> PlayValue:
        size, scale = nudge
        rule = functools.partial(
            joint_rules.least_payment,
            alpha=jnp.asarray(alpha),
            nudge=size,
            nudge_scale=scale,
            unique=unique,
        )
        return self._play(env_params, rule, gamma=gamma)

    @_compiled
    def play_values(self, env_params: Any, actions: jax.Array, payments: jax.Array) -> PlayValue:
        """What an episode brings where all play `actions` `[S, N]`, paid `payments` `[S, N]`."""
        chex.assert_shape([actions, payments], (self.num_states, self.tabulation.env.num_agents))
        paid = jnp.asarray(payments, float)
        return self._play(env_params, joint_rules.given, paid, action=actions[:, None])

    @_compiled
    def best_responses(self, env_params: Any, actions: jax.Array, payments: jax.Array) -> jax.Array:
        """`[N]`, the most each gets, paid `payments` `[S, N, A]`, while the others play `actions`.

        A best response may depend on the time that is left.
        """
        env = self.tabulation.env
        chex.assert_shape(actions, (self.num_states, env.num_agents))
        chex.assert_shape(payments, (*actions.shape, env.num_actions))
        paid = jnp.asarray(payments, float)

        every = jnp.arange(env.num_actions, dtype=actions.dtype)

        def most(agent: jax.Array) -> jax.Array:
            is_agent = jnp.arange(env.num_agents) == agent
            deviations = jnp.where(is_agent, every[None, :, None], actions[:, None])  # [S, A, N]
            rule = functools.partial(joint_rules.respond, agent)
            return self._play(env_params, rule, paid, action=deviations).utilities[agent]

        # One after the other: the tables are large.
        return jax.lax.map(most, jnp.arange(env.num_agents))

    @_compiled
    def logit_play(
        self, env_params: Any, actions: jax.Array, payments: jax.Array, temperature: ArrayLike
    ) -> PlayValue:
        """What an episode brings where agents err, and believe that the others do as asked.

        Asked for `actions` `[S, N]`, they are paid `payments` `[S, N, A]`, and err the more the
        higher the `temperature` `[]`, in units of reward; see `joint_rules.logit`.
        """
        rule = functools.partial(joint_rules.logit, temperature=temperature)
        return self._play(env_params, rule, actions, jnp.asarray(payments, float))

    @_compiled
    def worst_play(
        self,
        env_params: Any,
        actions: jax.Array,
        payments: jax.Array,
        slack: ArrayLike,
        alpha: ArrayLike = 0.1,
    ) -> PlayValue:
        """What an episode brings where agents err by up to `slack` `[]`, in the worst way.

        By backward induction: in each step each agent takes an action that is within `slack` of its
        best one, while the others do as asked, knowing that all err in the worst way later. All of
        these that is worst for the principal is done; see `joint_rules.worst`. The arguments are
        those of `logit_play`.

        It is not the least that any agents bring who lose that little, and a larger slack may bring
        more: what goes wrong later is a loss for agents too, and may be a reason for them not to go
        there. For the least of one agent, by its loss in a whole episode, see `robust_value`.
        """
        rule = functools.partial(joint_rules.worst, slack=slack, alpha=alpha)
        return self._play(env_params, rule, actions, jnp.asarray(payments, float))

    @_compiled
    def robust_value(
        self, env_params: Any, payments: jax.Array, slack: ArrayLike, alpha: ArrayLike = 1.0
    ) -> jax.Array:
        """`[]`, the least that offers may bring, if an agent loses up to `slack` in an episode.

        See `joint.robust_value`; for games of one agent.
        """
        paid = jnp.asarray(payments, float)
        chex.assert_shape(paid, (self.num_states, 1, self.tabulation.env.num_actions))
        return robust_value(
            self.tabulation.joint_game(env_params),
            paid,
            slack=slack,
            alpha=alpha,
            horizon=self._horizon(env_params),
            num_actions=self.tabulation.env.num_actions,
        )

    def _play(
        self,
        env_params: Any,
        rule: Rule,
        *tables: jax.Array,
        action: jax.Array | None = None,
        gamma: ArrayLike | None = None,
    ) -> PlayValue:
        env = self.tabulation.env
        return play(
            self.tabulation.joint_game(env_params, action),
            rule,
            *tables,
            horizon=self._horizon(env_params),
            num_actions=env.num_actions,
            # Without an end all decide by what is reported: both are discounted as the game is.
            gamma=gamma if env.has_horizon else None,
        )

    def _horizon(self, env_params: Any) -> ArrayLike | None:
        """`[]`, T; None where there is no end."""
        env, limit = self.tabulation.env, env_params.max_steps_in_episode
        if isinstance(self.tabulation, TableOfOne):
            return jnp.minimum(self.tabulation.table.horizon, limit)
        return limit if env.has_horizon else None
