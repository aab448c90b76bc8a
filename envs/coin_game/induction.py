"""Backward induction over all states of the Coin Game of two agents.

A step has two halves. The agents move, which decides who reaches the coin. Then, where one did, a
new coin appears: as one mean over the free cells for each pair of agents' cells, not as a list of
successors. So the value after the move is computed once for each pair of cells, coin and colour,
and the joint actions only look it up.

Nothing on a torus depends on absolute positions. A solution that is the same everywhere is
computed with the first agent on cell 0 only; policies that are given state by state take all
positions of the first agent.

Tables have the axes of `CoinSolutions.states`, not joined to S, and before them up to three more.
All sums are stacked in one array, so that one lookup per step serves all of them:

    K  discounts: DECISIVE, what the players decide by; UNDISCOUNTED, what is reported
    2  REWARD, PAYMENT
    N  agents
    F  cells of the first agent: all C of them, or cell 0 alone
    C  cells of the second agent
    C  cells of the coin
    2  colours of the coin
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp

from jaxparl.envs.coin_game.decisions import NUM_AGENTS, Rule, Sums, at_action
from jaxparl.envs.coin_game.settings import Settings
from jaxparl.envs.coin_game.state import CoinParams
from jaxparl.envs.coin_game.torus import Torus
from jaxparl.types import PlayValue

# Positions on the axis K, which has length 1 where nothing is discounted.
DECISIVE, UNDISCOUNTED = 0, -1
# Positions on the axis of `Sums`.
REWARD, PAYMENT = range(len(Sums._fields))


class Destination(NamedTuple):
    """Where each joint action leads to, as indices of a table's axes F, C and C.

    Together they broadcast to `[A, A, F, C, C]`. A slice stands for a coin that stays in its place.
    """

    first: jax.Array
    second: jax.Array
    coin: jax.Array | slice


class Board(NamedTuple):
    """What a step back needs to know of the game.

    Attributes:
      destination: where each joint action leads to.
      reward: `[N, F, C, C, 2]`, the expected rewards of moving to these cells.
      is_free: `[F, C, C, 1]` bool, whether the coin's cell is neither agent's. A new coin may
        appear there, and a coin that lies there is not collected.
      is_start: `[F, C, C, 1]` bool, whether an episode may start there.
    """

    destination: Destination
    reward: jax.Array
    is_free: jax.Array
    is_start: jax.Array


def make_board(settings: Settings, params: CoinParams, is_same_everywhere: bool) -> Board:
    """The tables of a game, from its rules and what its coins are worth."""
    torus = Torus(settings.grid_size)
    cells = jnp.arange(torus.num_cells)
    first, second, coin = jnp.ix_(cells[:1] if is_same_everywhere else cells, cells, cells)
    reach = jnp.stack(jnp.broadcast_arrays(first == coin, second == coin))
    actions = jnp.arange(settings.num_actions)
    by_action = jnp.expand_dims(actions, range(1, 5))
    to_first = torus.move(first[None, None], by_action)  # [A, 1, F, 1, 1]
    to_second = torus.move(second[None, None], by_action[None, :, 0])  # [1, A, 1, C, 1]
    if is_same_everywhere:
        # Seen from where the first agent moves to, which is cell 0 again.
        to_second = torus.relative_to(to_second, to_first)
        to_coin = torus.relative_to(coin[None, None], to_first)
        destination = Destination(first[None, None], to_second, to_coin)
    else:
        destination = Destination(to_first[..., 0], to_second[..., 0], slice(None))

    chance = reach.astype(float)
    if settings.shared_coin == "one":
        chance = chance / jnp.maximum(chance.sum(axis=0, keepdims=True), 1.0)
    is_own = jnp.eye(NUM_AGENTS, dtype=bool)[:, None, None, None]
    worth = jnp.where(is_own, params.own_reward, params.other_reward)
    thieves = (chance.sum(axis=0, keepdims=True) - chance)[..., None]
    is_free = ~reach.any(axis=0)
    return Board(
        destination=destination,
        reward=chance[..., None] * worth + jnp.where(is_own, thieves * params.stolen_reward, 0.0),
        is_free=is_free[..., None],
        is_start=(is_free & (first != second))[..., None],
    )


def after_move(settings: Settings, board: Board, value: jax.Array) -> jax.Array:
    """What follows a move to these cells `[..., F, C, C, 2]`, this step's rewards excluded.

    `value` `[..., F, C, C, 2]` is what is to come from the next step on. Where the coin was
    collected, the result is its mean over the cells and the colours of the next coin.
    """
    is_free = _with_rank_of(value, board.is_free)
    fresh = jnp.mean(value, axis=-2, keepdims=True, where=is_free)
    if settings.new_coin == "random":
        fresh = fresh.mean(axis=-1, keepdims=True)
    else:
        fresh = fresh[..., ::-1]
    return jnp.where(is_free, value, fresh)


def _with_rank_of(value: jax.Array, of_board: jax.Array) -> jax.Array:
    """A table of the board with as many leading axes of size 1 as `value` has further axes."""
    return jnp.expand_dims(of_board, range(value.ndim - of_board.ndim))


def by_joint_action(destination: Destination, moved: jax.Array) -> jax.Array:
    """What follows a move to these cells `[..., F, C, C, 2]`, by joint action `[..., A, A, S]`."""
    first, second, coin = destination
    looked_up = moved[..., first, second, coin, :]  # [..., A, A, F, C, C, 2]
    return looked_up.reshape(*looked_up.shape[:-4], -1)


def play(
    settings: Settings,
    params: CoinParams,
    rule: Rule,
    *tables: jax.Array,
    discounts: jax.Array | None = None,
) -> PlayValue:
    """What an episode brings where a rule says what happens in every state at every step.

    Args:
      settings: the rules of a game of two agents.
      params: what its coins are worth, and its number of steps T.
      rule: see `decisions`.
      tables: further arguments of the rule, with a leading `S`. Without any, the solution is the
        same everywhere on the torus.
      discounts: `[K]`, of the DECISIVE sums and of the UNDISCOUNTED ones; by default both are one,
        and nothing is discounted.

    Returns:
      Undiscounted sums over the T steps, in expectation over the first states.
    """
    board = make_board(settings, params, is_same_everywhere=not tables)
    discounts = jnp.ones(1) if discounts is None else discounts
    shape = (len(discounts), len(Sums._fields), *board.reward.shape)  # [K, 2, N, F, C, C, 2]
    by_discount = jnp.expand_dims(discounts, range(1, len(shape)))
    choose = jax.vmap(rule, in_axes=(-1, *(0 for _ in tables)))  # over S
    select = jax.vmap(at_action, in_axes=(-1, 0), out_axes=-1)  # over S

    def step_back(_: jax.Array, later: jax.Array) -> jax.Array:
        moved = by_discount * after_move(settings, board, later)
        moved = moved.at[:, REWARD].add(board.reward[None])
        follows = by_joint_action(board.destination, moved)  # [K, 2, N, A, A, S]
        choice = choose(Sums(*follows[DECISIVE]), *tables)
        chosen = select(follows, choice.action)  # [K, 2, N, S]
        return chosen.at[:, PAYMENT].add(choice.payment.T[None]).reshape(shape)

    sums = jax.lax.fori_loop(0, params.max_steps_in_episode, step_back, jnp.zeros(shape))
    # Not as a product with weights: on the CPU that keeps only four digits of so long a sum.
    undiscounted = sums[UNDISCOUNTED]
    is_start = _with_rank_of(undiscounted, board.is_start)
    total = jnp.mean(undiscounted, axis=(-4, -3, -2, -1), where=is_start)  # [2, N]
    total = Sums(*total)
    return PlayValue(total.reward.sum(), total.payment.sum(), total.utility)
