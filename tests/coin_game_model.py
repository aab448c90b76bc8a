"""The Coin Game once more, in plain Python, as an oracle for its rules and exact solutions.

Written from the rules alone: a cell is a pair (row, column), a state is (cells of the two agents,
coin, colour), a step is a list of everything that may come of it, and solutions are recursions
over that list. Slow, float64, two agents only.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools

JOINT_ACTIONS = list(itertools.product(range(4), repeat=2))

# Values this close are a tie; the first joint action in the order of `JOINT_ACTIONS` wins it.
TIE = 1e-6


@dataclasses.dataclass(frozen=True)
class Model:
    """The rules: as in the game's settings, with what a coin is worth."""

    size: int
    shared_coin: str = "one"
    new_coin: str = "alternating"
    own_reward: float = 1.0
    other_reward: float = 0.2

    @property
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
        else:
            row -= 1
        return row % self.size, column % self.size

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
            if agent not in collectors:
                return 0.0
            return self.own_reward if agent == colour else self.other_reward

        return reward(0), reward(1)


def expected(model, state, joint, value, discount):
    """The mean of this step's rewards plus `discount` times what `value` says of the next state.

    `value` gives (reward, reward, payment, payment) to come.
    """
    total = [0.0] * 4
    for probability, rewards, after in model.step(state, joint):
        for place, to_come in enumerate(value(after)):
            now = rewards[place] if place < 2 else 0.0
            total[place] += probability * (now + discount * to_come)
    return tuple(total)


def from_the_start(model, value):
    """The mean of `value` over the first states."""
    results = [value(state) for state in model.starts()]
    return [sum(column) / len(results) for column in zip(*results, strict=True)]


def first_best(scores):
    best = max(scores.values())
    return next(joint for joint in JOINT_ACTIONS if scores[joint] >= best - TIE)


def gains(utility, joint):
    """What each agent would gain by its best deviation; `utility` is by joint action."""
    one, two = joint
    best_one = max(utility[other, two][0] for other in range(4))
    best_two = max(utility[one, other][1] for other in range(4))
    return best_one - utility[joint][0], best_two - utility[joint][1]


def solve(model, steps, decide, discount=1.0):
    """(reward, reward, payment, payment) expected in an episode, undiscounted.

    `decide` says (joint action, payments) in a state, given it and what follows each joint action,
    discounted.
    """

    @functools.cache
    def choice(state, left):
        def later(after):
            return value(after, left - 1, discount)

        return decide(
            state,
            {joint: expected(model, state, joint, later, discount) for joint in JOINT_ACTIONS},
        )

    @functools.cache
    def value(state, left, discount):
        if left == 0:
            return (0.0, 0.0, 0.0, 0.0)

        def later(after):
            return value(after, left - 1, discount)

        joint, payments = choice(state, left)
        rewards_and_payments = expected(model, state, joint, later, discount)
        return tuple(
            to_come + now
            for to_come, now in zip(rewards_and_payments, (0.0, 0.0, *payments), strict=True)
        )

    return from_the_start(model, lambda state: value(state, steps, 1.0))


def most_welfare(state, follows):
    del state
    return first_best({joint: sum(sums[:2]) for joint, sums in follows.items()}), (0.0, 0.0)


def utilities(follows):
    """Rewards and payments of the two agents, by joint action."""
    return {joint: (sums[0] + sums[2], sums[1] + sums[3]) for joint, sums in follows.items()}


def selfish(state, follows):
    """The first joint action from which nobody gains by deviating."""
    del state
    utility = utilities(follows)
    return first_best({joint: -sum(gains(utility, joint)) for joint in follows}), (0.0, 0.0)


def least_payment(alpha):
    def decide(state, follows):
        del state
        utility = utilities(follows)
        prices = {joint: gains(utility, joint) for joint in follows}
        scores = {
            joint: sum(sums[:2]) - alpha * (sum(sums[2:]) + sum(prices[joint]))
            for joint, sums in follows.items()
        }
        joint = first_best(scores)
        return joint, prices[joint]

    return decide


def given(policy, payments):
    """Always `policy(state)`; what each agent is paid for each action is `payments(state)`."""

    def decide(state, follows):
        del follows
        joint, offers = policy(state), payments(state)
        return joint, [offers[agent][joint[agent]] for agent in (0, 1)]

    return decide


def respond(agent, policy, payments):
    """As `given`, but `agent` takes whatever action is best for it."""

    def decide(state, follows):
        joint, offers, utility = list(policy(state)), payments(state), utilities(follows)

        def worth(action):
            joint[agent] = action
            return utility[tuple(joint)][agent] + offers[agent][action]

        joint[agent] = max(range(4), key=worth)
        return tuple(joint), [offers[one][joint[one]] for one in (0, 1)]

    return decide
