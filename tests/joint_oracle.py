"""A slow and independent solver of games of N agents: NumPy, loops, and HiGHS for the contracts."""

import itertools

import numpy as np
from scipy.optimize import linprog

from jaxparl.types import JointGame


def random_game(seed, num_agents, *, num_actions=2, num_outcomes=None, discount=0.6):
    """A random `JointGame` in float64; actions are observed where there are no outcomes."""
    rng, size, follow = np.random.default_rng(seed), 3, 2
    action = np.array(list(itertools.product(range(num_actions), repeat=num_agents)))
    outcome, probs = None, None
    joint = len(action)
    if num_outcomes is not None:
        outcome = np.array(list(itertools.product(range(num_outcomes), repeat=num_agents)))
        joint = len(outcome)
        probs = rng.dirichlet(np.ones(num_outcomes), (size, num_agents, num_actions))
    goes_on = rng.uniform(0.6, 1.0, (size, joint, 1))
    return JointGame(
        action=np.broadcast_to(action, (size, *action.shape)),
        agent_reward=rng.normal(size=(size, len(action), num_agents)),
        outcome_probs=probs,
        outcome=outcome,
        principal_reward=2 * rng.normal(size=(size, joint)),
        successor=rng.integers(size, size=(size, joint, follow)),
        successor_probs=goes_on * rng.dirichlet(np.ones(follow), (size, joint)),
        start_probs=rng.dirichlet(np.ones(size)),
        discount=np.float64(discount),
    )


def least_payment(q, probs, action, margins=None):
    """The least expected payment for an action, by HiGHS; None where no contract implements it.

    It is to be better than every other one by its margin `[A]`.
    """
    others = [other for other in range(len(q)) if other != action]
    margins = np.zeros(len(q)) if margins is None else margins
    found = linprog(
        probs[action],
        A_ub=np.array([probs[other] - probs[action] for other in others]),
        b_ub=np.array([q[action] - q[other] - margins[other] for other in others]),
        bounds=(0, None),
    )
    return found.fun if found.status == 0 else None


class Oracle:
    """Solves a game by one of the rules `welfare`, `selfish`, `equilibrium`, `given`, `respond`."""

    def __init__(self, game, horizon, gamma=None, alpha=0.1, *, nudge=0.0, scale=0.0):
        self.game, self.horizon, self.alpha = game, horizon, alpha
        self.nudge, self.scale = nudge, scale
        self.size, _, self.num_agents = game.agent_reward.shape
        self.actions = [tuple(row) for row in np.asarray(game.action[0])]
        self.num_actions = 1 + max(map(max, self.actions))
        reported = 1.0 if horizon is not None else float(game.discount)
        self.discounts = (reported if gamma is None else gamma, reported)

    def play(self, rule, *tables):
        """The value from where episodes start: welfare, payment and utilities; NaN if unsettled."""
        reward, payment = np.zeros((2, 2, self.size, self.num_agents))  # [D, S, N]
        principal = np.zeros((2, self.size))
        for _ in range(self.horizon if self.horizon is not None else 45):
            before = reward, payment, principal
            rows = [
                self._state(state, before, rule, *(table[state] for table in tables))
                for state in range(self.size)
            ]
            reward, payment, principal = (np.array(each) for each in zip(*rows, strict=True))
            reward, payment = (np.moveaxis(each, 1, 0) for each in (reward, payment))
            principal = principal.T
        is_settled = self.horizon is not None or np.allclose(before[0], reward, atol=1e-7)
        start = self.game.start_probs[:, None]
        reward, payment = ((start * each[1]).sum(axis=0) for each in (reward, payment))
        values = np.array([reward.sum(), payment.sum(), *(reward + payment)])
        return values if is_settled else np.full_like(values, np.nan)

    def _state(self, state, later, rule, *rows):
        follows = [
            [self._follows(state, j, later, d) for j in range(len(self.actions))] for d in range(2)
        ]
        joint, paid = getattr(self, f"_{rule}")(state, follows[0], *rows)
        chosen = [follows[d][joint] for d in range(2)]
        return (
            [reward for reward, _, _ in chosen],
            [payment + paid for _, payment, _ in chosen],
            [principal for _, _, principal in chosen],
        )

    def _follows(self, state, joint, later, d):
        """Rewards `[N]`, payments `[N]` from the next step on, the principal's rewards `[]`."""
        game = self.game
        reward, payment, principal = game.agent_reward[state, joint].copy(), 0.0, 0.0
        for number, chance in self._outcomes(state, joint):
            principal = principal + chance * game.principal_reward[state, number]
            pairs = zip(
                game.successor[state, number], game.successor_probs[state, number], strict=True
            )
            for place, prob in pairs:
                weight = self.discounts[d] * chance * prob
                reward = reward + weight * later[0][d, place]
                payment = payment + weight * later[1][d, place]
                principal = principal + weight * later[2][d, place]
        return reward, payment + np.zeros(self.num_agents), principal

    def _outcomes(self, state, joint):
        if self.game.outcome is None:
            return [(joint, 1.0)]
        probs, action = self.game.outcome_probs[state], self.actions[joint]
        return [
            (number, np.prod([probs[i, action[i], one] for i, one in enumerate(outcome)]))
            for number, outcome in enumerate(self.game.outcome)
        ]

    def _by_deviation(self, follows, joint, agent):
        """What follows each action of an agent while the others do their part of a joint one."""
        found = []
        for own in range(self.num_actions):
            action = list(self.actions[joint])
            action[agent] = own
            found.append(follows[self.actions.index(tuple(action))])
        return found

    def _deviations(self, follows, joint, agent):
        """Utilities `[A]` of an agent's actions while the others do their part of a joint one."""
        found = self._by_deviation(follows, joint, agent)
        return np.array([reward[agent] + payment[agent] for reward, payment, _ in found])

    def _margins(self, follows, joint, agent):
        """`[A]`, by how much an agent's part is to be better than each of its actions."""
        found = self._by_deviation(follows, joint, agent)
        worth = np.array([gets - self.alpha * payment.sum() for _, payment, gets in found])
        loss = np.maximum(worth[self.actions[joint][agent]] - worth, 0)
        return self.nudge * (np.minimum(loss / self.scale, 1) if self.scale else 1 + 0 * loss)

    def _welfare(self, state, follows):
        joint = int(np.argmax([reward.sum() for reward, _, _ in follows]))
        return joint, np.zeros(self.num_agents)

    def _selfish(self, state, follows):
        gains = []
        for joint, action in enumerate(self.actions):
            each = [self._deviations(follows, joint, agent) for agent in range(self.num_agents)]
            gains.append(sum(own.max() - own[action[i]] for i, own in enumerate(each)))
        return int(np.argmin(gains)), np.zeros(self.num_agents)

    def _equilibrium(self, state, follows):
        best = None
        for joint, action in enumerate(self.actions):
            prices = []
            for agent in range(self.num_agents):
                q = self._deviations(follows, joint, agent)
                margins = self._margins(follows, joint, agent)
                if self.game.outcome is None:
                    lead = np.delete(q + margins, action[agent]).max() - q[action[agent]]
                    prices.append(max(lead, 0.0))
                else:
                    probs = self.game.outcome_probs[state, agent]
                    prices.append(least_payment(q, probs, action[agent], margins))
            if None in prices:
                continue
            _, payment, principal = follows[joint]
            objective = principal - self.alpha * (payment.sum() + sum(prices))
            if best is None or objective > best[0] + 1e-10:
                best = objective, joint, np.array(prices)
        return best[1:]

    def _given(self, state, follows, action, payment):
        return self.actions.index(tuple(action)), payment

    def _respond(self, state, follows, action, payments, agent):
        joint = self.actions.index(tuple(action))
        own = int(np.argmax(self._deviations(follows, joint, agent) + payments[agent]))
        deviation = list(action)
        deviation[agent] = own
        paid = np.zeros(self.num_agents)
        paid[agent] = payments[agent, own]
        return self.actions.index(tuple(deviation)), paid
