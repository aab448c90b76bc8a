"""Exact solutions of the Coin Game of two agents, by backward induction over all its states.

A step has two halves. The agents move: that decides who reaches the coin. Then, where one did, a
new coin appears; it enters as one mean over the free cells per pair of agents' cells, not as a
list of successors. So the value after the move is computed once for each pair of cells, coin and
colour, and the 16 joint actions only look it up.

On a torus nothing depends on where the agents are, only on where they are from each other. So a
solution that is the same everywhere is computed with the first agent on cell 0; only policies that
were given, state by state, take all F = C places of the first agent.

Every solution is a rule, a function of one state, that says what the agents do and are paid given
what follows each joint action. `_play` applies it backwards in time and returns what an episode of
`params.max_steps_in_episode` steps brings. All are compiled, and may be called inside `jit`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import chex
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike

from jaxparl.types import PlayValue

if TYPE_CHECKING:
    from jaxparl.envs.coin_game import CoinGame, CoinParams

NUM_AGENTS = 2

# Symmetric moves are worth the same, and float32 does not see exactly. Values this close,
# relative to their size where that exceeds 1, are a tie.
_TIE_TOLERANCE = 1e-5


class _Sums(NamedTuple):
    """What is still to come after each joint action in a state, this step's payment excluded.

    Attributes:
      reward: `[N, A, A]`, in units of reward.
      payment: `[N, A, A]`.
    """

    reward: jax.Array
    payment: jax.Array

    @property
    def utility(self) -> jax.Array:
        """Rewards and payments."""
        return self.reward + self.payment


class _Choice(NamedTuple):
    """What a rule says in one state: the actions `[N]`, and what they are paid `[N]`."""

    action: jax.Array
    payment: jax.Array


#: (what follows each joint action; further tables of the state) -> what happens.
_Rule = Callable[..., _Choice]


# --- Rules: what happens in one state ---------------------------------------------------------


def _first_best(value: jax.Array) -> jax.Array:
    """The joint action `[N]` of the largest `value` `[A, A]`, the first on ties."""
    best = jnp.max(value)
    is_best = value >= best - _TIE_TOLERANCE * jnp.maximum(1.0, jnp.abs(best))
    return jnp.stack(jnp.divmod(jnp.argmax(is_best.ravel()), value.shape[1]))


def _gaps(utility: jax.Array) -> jax.Array:
    """`[N, A, A]`: how much more than in each joint action each agent gets by deviating alone."""
    by_agent = enumerate(utility)
    return jnp.stack([jnp.max(own, axis=i, keepdims=True) - own for i, own in by_agent])


def _pick(table: jax.Array, action: jax.Array) -> jax.Array:
    """The entry `[...]` of `table` `[..., A, A]` at a joint action `[N]`."""
    return table[..., action[0], action[1]]


def _most_welfare(follows: _Sums) -> _Choice:
    action = _first_best(follows.reward.sum(axis=0))
    return _Choice(action, jnp.zeros(NUM_AGENTS))


def _selfish(follows: _Sums) -> _Choice:
    # At a pure Nash equilibrium nobody gains by deviating, and the sum of the gaps is 0.
    gap = _gaps(follows.utility).sum(axis=0)
    action = _first_best(-gap)
    return _Choice(action, jnp.zeros(NUM_AGENTS))


def _least_payment(follows: _Sums, alpha: jax.Array) -> _Choice:
    # The payment for an action is its gap, so it leaves the agent as well off as its best
    # deviation, and what the principal gains is the welfare less alpha times all payments.
    gaps = _gaps(follows.utility)
    objective = follows.reward - alpha * (follows.payment + gaps)
    action = _first_best(objective.sum(axis=0))
    return _Choice(action, _pick(gaps, action))


def _given(follows: _Sums, action: jax.Array, payment: jax.Array) -> _Choice:
    del follows
    return _Choice(action, payment)


def _respond(agent: jax.Array, follows: _Sums, action: jax.Array, payments: jax.Array) -> _Choice:
    by_first, by_second = follows.utility[0][:, action[1]], follows.utility[1][action[0]]
    best = jnp.argmax(jnp.where(agent == 0, by_first, by_second) + payments[agent])
    is_agent = jnp.arange(NUM_AGENTS) == agent
    # What the other is paid does not matter to the agent.
    return _Choice(jnp.where(is_agent, best, action), is_agent * payments[agent, best])


# --- One step back, for all states ------------------------------------------------------------
#
# Tables have the axes F, C, C, 2 of `CoinGame.tabular_states`: the agents' cells, the coin's, its
# colour. A leading K tells apart sums under several discounts.


class _Board(NamedTuple):
    """What a step needs to know of the game, computed once.

    Attributes:
      moved: where each joint action leads to: what the axes F, C and C are indexed by, together
        `[A, A, F, C, C]`.
      reward: `[N, F, C, C, 2]`, the expected rewards of moving to these cells.
      is_free: `[F, C, C, 1]` bool, whether the third cell is neither of the first two: there a
        new coin may appear, and a coin that lies there is not collected.
      is_start: `[F, C, C, 1]` bool, whether an episode may start there.
    """

    moved: tuple[jax.Array | slice, ...]
    reward: jax.Array
    is_free: jax.Array
    is_start: jax.Array


def _board(env: CoinGame, params: CoinParams, is_same_everywhere: bool) -> _Board:
    """The tables of a game of two agents, from its rules and what its coins are worth."""
    cells = jnp.arange(env.num_cells)
    first, second, coin = jnp.ix_(cells[:1] if is_same_everywhere else cells, cells, cells)
    reach = jnp.stack(jnp.broadcast_arrays(first == coin, second == coin))
    actions = jnp.arange(env.num_actions)
    to_first = env.moved(first, actions[:, None, None, None, None])
    to_second = env.moved(second, actions[:, None, None, None])
    moved: tuple[jax.Array | slice, ...]
    if is_same_everywhere:
        moved = (first, env.seen(to_second, to_first), env.seen(coin, to_first))
    else:
        moved = (to_first[..., 0], to_second[..., 0], slice(None))  # the coin stays where it is
    chance = reach.astype(jnp.float32)
    if env.settings.shared_coin == "one":
        chance = chance / jnp.maximum(chance.sum(axis=0), 1.0)
    is_own = jnp.eye(NUM_AGENTS, dtype=bool)[:, None, None, None]
    worth = jnp.where(is_own, params.own_reward, params.other_reward)
    is_free = ~reach.any(axis=0)
    return _Board(
        moved=moved,
        reward=chance[..., None] * worth,
        is_free=is_free[..., None],
        is_start=(is_free & (first != second))[..., None],
    )


def _after_move(env: CoinGame, board: _Board, value: jax.Array) -> jax.Array:
    """What follows a move to these cells `[..., F, C, C, 2]`, this step's rewards excluded.

    `value` is of the next step. Where the coin was taken it is a mean over the cells and the
    colours of the next one.
    """
    fresh = jnp.mean(value, axis=-2, keepdims=True, where=board.is_free)
    if env.settings.new_coin == "random":
        fresh = fresh.mean(axis=-1, keepdims=True)
    else:
        fresh = fresh[..., ::-1]
    return jnp.where(board.is_free, value, fresh)


def _after_actions(board: _Board, after_move: jax.Array) -> jax.Array:
    """`[..., F, C, C, 2]` of the cells moved to as `[..., A, A, S]` of the joint actions."""
    looked_up = after_move[..., *board.moved, :]  # [..., A, A, F, C, C, 2]
    return looked_up.reshape(*looked_up.shape[:-4], -1)


def _play(
    env: CoinGame,
    params: CoinParams,
    rule: _Rule,
    *tables: jax.Array,
    discounts: jax.Array | None = None,
) -> PlayValue:
    """What an episode brings where `rule` says what happens in every state at every step.

    Args:
      env: the game.
      params: its rewards and its number of steps, T.
      rule: it decides by the sums under the first discount.
      tables: further arguments of the rule, with a leading `S`.
      discounts: `[K]`, 1 alone if not given; the sums under the last one are returned.

    Raises:
      ValueError: the game is not of two agents.
    """
    if env.num_agents != NUM_AGENTS:
        raise ValueError(f"the exact solutions are of two agents, not of {env.num_agents}")
    board = _board(env, params, is_same_everywhere=not tables)
    discounts = jnp.ones(1) if discounts is None else discounts
    by_discount = jnp.expand_dims(discounts, range(1, 7))
    # Over K, then rewards and payments, as `_Sums` has them.
    shape = (len(discounts), len(_Sums._fields), *board.reward.shape)
    over_states = jax.vmap(rule, in_axes=(-1, *(0 for _ in tables)))
    pick_in_states = jax.vmap(_pick, in_axes=(-1, 0), out_axes=-1)

    def step_back(_: jax.Array, later: jax.Array) -> jax.Array:
        moved = by_discount * _after_move(env, board, later)
        follows = _after_actions(board, moved.at[:, 0].add(board.reward))
        choice = over_states(_Sums(*follows[0]), *tables)
        now = pick_in_states(follows, choice.action)
        return now.at[:, 1].add(choice.payment.T).reshape(shape)

    sums = jax.lax.fori_loop(0, params.max_steps_in_episode, step_back, jnp.zeros(shape))
    # Not as a product with weights: on the CPU that keeps only four digits of so long a sum.
    total = _Sums(*jnp.mean(sums[-1], axis=(-4, -3, -2, -1), where=board.is_start))
    return PlayValue(total.reward.sum(), total.payment.sum(), total.utility)


# --- The solutions ----------------------------------------------------------------------------


@functools.partial(jax.jit, static_argnums=0)
def optimal_welfare(env: CoinGame, params: CoinParams) -> jax.Array:
    """The most that both agents together can expect in an episode, payments aside.

    Returns:
      `[]`, in units of reward.

    Raises:
      ValueError: the game is not of two agents.
    """
    return _play(env, params, _most_welfare).welfare


@functools.partial(jax.jit, static_argnums=0)
def selfish_play(env: CoinGame, params: CoinParams) -> PlayValue:
    """What an episode brings where nobody is paid and each maximises its own rewards.

    In each state and at each step the agents play a pure Nash equilibrium of the 4 x 4 game whose
    payoffs are this step's rewards and what follows: the first in the order of the joint actions.
    Where there is none they play the joint action with the least sum of what either would gain by
    deviating.

    Raises:
      ValueError: the game is not of two agents.
    """
    return _play(env, params, _selfish)


@functools.partial(jax.jit, static_argnums=0)
def equilibrium(
    env: CoinGame, params: CoinParams, alpha: ArrayLike = 0.1, discount: ArrayLike = 1.0
) -> PlayValue:
    """What an episode brings in the subgame-perfect equilibrium of the paper's objective.

    In each state and at each step the principal asks for the joint action with the best
    sum_i (r_i - alpha b_i) + what follows, the first on ties. The least payment b_i is what agent
    i would gain by its best deviation while the other does as asked; paid that, following is a
    best response (Ivanov et al. 2024, section 5.2, with observed actions).

    Args:
      env: the game.
      params: its rewards and its number of steps.
      alpha: `[]`, what a unit of payment costs the principal, in units of welfare.
      discount: `[]`, by which principal and agents decide. What is returned is undiscounted.

    Raises:
      ValueError: the game is not of two agents.
    """
    rule = functools.partial(_least_payment, alpha=jnp.asarray(alpha))
    return _play(env, params, rule, discounts=jnp.stack([jnp.asarray(discount, float), 1.0]))


@functools.partial(jax.jit, static_argnums=0)
def play_values(
    env: CoinGame, params: CoinParams, actions: jax.Array, payments: jax.Array
) -> PlayValue:
    """What an episode brings where both agents play given policies.

    Args:
      env: the game.
      params: its rewards and its number of steps.
      actions: `[S, N]` int, what each does in each state of `CoinGame.tabular_states`.
      payments: `[S, N]`, what each is paid there for doing it, in units of reward.

    Raises:
      ValueError: the game is not of two agents.
      AssertionError: a shape is wrong.
    """
    chex.assert_shape([actions, payments], (env.num_states, env.num_agents))
    return _play(env, params, _given, actions, payments)


@functools.partial(jax.jit, static_argnums=0)
def best_responses(
    env: CoinGame, params: CoinParams, actions: jax.Array, payments: jax.Array
) -> jax.Array:
    """The most that each agent can get in an episode while the other plays a given policy.

    A best response may depend on the time that is left.

    Args:
      env: the game.
      params: its rewards and its number of steps.
      actions: `[S, N]` int, what each does in each state while the other deviates.
      payments: `[S, N, A]`, what each is paid there for each of its actions.

    Returns:
      `[N]`, rewards and payments.

    Raises:
      ValueError: the game is not of two agents.
      AssertionError: a shape is wrong.
    """
    chex.assert_shape(actions, (env.num_states, env.num_agents))
    chex.assert_shape(payments, (*actions.shape, env.num_actions))

    def most(agent: jax.Array) -> jax.Array:
        responds = functools.partial(_respond, agent)
        return _play(env, params, responds, actions, payments).utilities[agent]

    # One after the other: the tables are large.
    return jax.lax.map(most, jnp.arange(NUM_AGENTS))
