"""The Coin Game once more, in Python and NumPy, as an oracle for its rules and exact solutions.

Written from the rules alone: a cell is a pair (row, column), a state is (cells of the two agents,
coin, colour), a step is a list of everything that may come of it. Solutions go backwards in time
through these lists, state by state and joint action by joint action, with nothing derived from the
symmetries of the torus. In float64, of two agents only.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy import sparse

# Values this close are a tie; the first joint action in lexicographic order wins it.
TIE = 1e-6


@dataclasses.dataclass(frozen=True)
class Model:
    """The rules: as in the game's settings, with what a coin is worth."""

    size: int
    shared_coin: str = "one"
    new_coin: str = "alternating"
    own_reward: float = 1.0
    other_reward: float = 0.2
    stolen_reward: float = 0.0
    num_actions: int = 4

    @functools.cached_property
    def joint_actions(self):
        return list(itertools.product(range(self.num_actions), repeat=2))

    @functools.cached_property
    def cells(self):
        return list(itertools.product(range(self.size), repeat=2))

    def walk(self, cell, action):
        row, column = cell
        if action == 0:
            column += 1
        elif action == 1:
            column -= 1
        elif action == 2:
            row += 1
        elif action == 3:
            row -= 1
        return row % self.size, column % self.size

    def states(self):
        """All states, those with the coin under an agent too."""
        return [
            ((one, two), coin, colour)
            for one, two, coin in itertools.product(self.cells, repeat=3)
            for colour in (0, 1)
        ]

    def starts(self):
        """All first states; each is as likely as any other."""
        return [
            ((one, two), coin, colour)
            for one, two, coin in itertools.permutations(self.cells, 3)
            for colour in (0, 1)
        ]

    @functools.cache  # noqa: B019  (models live as long as the tests)
    def step(self, state, joint):
        """All that may follow, as (probability, (reward, reward), next state)."""
        agents, coin, colour = state
        moved = tuple(self.walk(cell, action) for cell, action in zip(agents, joint, strict=True))
        there = [agent for agent in (0, 1) if moved[agent] == coin]
        if not there:
            return [(1.0, (0.0, 0.0), (moved, coin, colour))]
        ways = [there] if self.shared_coin == "all" else [[agent] for agent in there]
        colours = [1 - colour] if self.new_coin == "alternating" else [0, 1]
        free = [cell for cell in self.cells if cell not in moved]
        probability = 1 / (len(ways) * len(colours) * len(free))
        return [
            (probability, self.rewards(collectors, colour), (moved, new_cell, new_colour))
            for collectors in ways
            for new_colour in colours
            for new_cell in free
        ]

    def rewards(self, collectors, colour):
        def reward(agent):
            won = 0.0
            if agent in collectors:
                won += self.own_reward if agent == colour else self.other_reward
            if agent == colour and 1 - agent in collectors:
                won += self.stolen_reward
            return won

        return reward(0), reward(1)


# --- Exact solutions --------------------------------------------------------------------------
#
# Arrays have the axes S of `Model.states`, J of `joint_actions`, and 4: the agents' rewards, then
# their payments.


class Steps(NamedTuple):
    """Every step from every state: where it leads to `[S J, S]`, and its mean rewards."""

    probability: sparse.csr_array
    reward: np.ndarray
    is_start: np.ndarray


@functools.cache
def all_steps(model):
    states = model.states()
    number = {state: place for place, state in enumerate(states)}
    rows, columns, probabilities, rewards = [], [], [], []
    for row, (state, joint) in enumerate(itertools.product(states, model.joint_actions)):
        for probability, reward, after in model.step(state, joint):
            rows.append(row)
            columns.append(number[after])
            probabilities.append(probability)
            rewards.append(reward)
    shape = (len(states) * len(model.joint_actions), len(states))
    each = sparse.csr_array((probabilities, (rows, np.arange(len(rows)))))
    return Steps(
        sparse.csr_array((probabilities, (rows, columns)), shape),
        (each @ np.array(rewards)).reshape(len(states), len(model.joint_actions), 2),
        np.isin(np.arange(len(states)), [number[state] for state in model.starts()]),
    )


def solve(model, steps, decide, discount=1.0):
    """(reward, reward, payment, payment) expected in an episode, undiscounted.

    `decide` says (joint actions `[S]`, payments `[S, 2]`), given what follows each joint action,
    discounted, `[S, J, 4]`.
    """
    table = all_steps(model)
    everywhere = np.arange(len(table.reward))

    def follows(value, discount):
        later = (table.probability @ value).reshape(*table.reward.shape[:2], 4)
        return discount * later + np.pad(table.reward, ((0, 0), (0, 0), (0, 2)))

    decisive = undiscounted = np.zeros((len(everywhere), 4))
    for _ in range(steps):
        following = follows(decisive, discount)
        joint, payments = decide(following)
        now = np.pad(payments, ((0, 0), (2, 0)))
        decisive = following[everywhere, joint] + now
        undiscounted = follows(undiscounted, 1.0)[everywhere, joint] + now
    return undiscounted[table.is_start].mean(axis=0)


def first_best(scores):
    """`[S]`, of scores `[S, J]`."""
    return np.argmax(scores >= scores.max(axis=1, keepdims=True) - TIE, axis=1)


def utilities(follows):
    """Rewards and payments of the two agents, `[S, J, 2]`."""
    return follows[..., :2] + follows[..., 2:]


def gains(utility):
    """What each agent would gain by its best deviation, `[S, J, 2]`."""
    num_actions = math.isqrt(utility.shape[1])
    table = utility.reshape(-1, num_actions, num_actions, 2)
    best = np.stack(
        [
            np.broadcast_to(table[..., 0].max(axis=1, keepdims=True), table.shape[:3]),
            np.broadcast_to(table[..., 1].max(axis=2, keepdims=True), table.shape[:3]),
        ],
        axis=-1,
    )
    return (best - table).reshape(utility.shape)


def most_welfare(follows):
    return first_best(follows[..., :2].sum(axis=-1)), np.zeros((len(follows), 2))


def selfish(follows):
    """The first joint action from which nobody gains by deviating."""
    return first_best(-gains(utilities(follows)).sum(axis=-1)), np.zeros((len(follows), 2))


def least_payment(alpha):
    def decide(follows):
        prices = gains(utilities(follows))
        paid = follows[..., 2:] + prices
        joint = first_best((follows[..., :2] - alpha * paid).sum(axis=-1))
        return joint, prices[np.arange(len(follows)), joint]

    return decide


def given(actions, payments, num_actions=4):
    """Always `actions` `[S, 2]`; what they are paid is `payments` `[S, 2]`."""
    return lambda follows: (num_actions * actions[:, 0] + actions[:, 1], payments)


def respond(agent, actions, payments):
    """As `given`, but `agent` takes what is best for it; `payments` `[S, 2, A]` are by action."""
    num_actions = payments.shape[2]

    def decide(follows):
        everywhere = np.arange(len(actions))
        choices = np.repeat(actions[:, None], num_actions, axis=1)
        choices[:, :, agent] = np.arange(num_actions)
        joint = num_actions * choices[..., 0] + choices[..., 1]  # [S, A], by the agent's action
        worth = utilities(follows)[everywhere[:, None], joint, agent] + payments[:, agent]
        best = worth.argmax(axis=1)
        paid = np.zeros((len(actions), 2))
        paid[:, agent] = payments[everywhere, agent, best]
        return joint[everywhere, best], paid

    return decide
