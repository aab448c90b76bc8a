"""What it costs that several agents take their parts: as an equilibrium, or as the only outcome."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from joint_oracle import least_payment

from jaxparl.contracts.joint_payments import Nudge, least_payments, unique_payments
from jaxparl.envs import make
from jaxparl.equilibrium import solutions_of

SIZES = [(1, 3), (2, 2), (2, 3), (3, 2)]
least, unique = jax.jit(least_payments), jax.jit(unique_payments)


def games(agents, actions, count=5):
    """Utilities `[N, A, ..., A]` of random games."""
    rng = np.random.default_rng(agents + 10 * actions)
    return rng.normal(size=(count, agents, *(actions,) * agents)).astype(np.float32)


def survivors(utility, joint, payment):
    """What is left of each agent's actions by elimination, where its part of `joint` is paid."""
    agents = range(len(utility))
    utility = utility.copy()
    for i in agents:
        utility[(i, *(slice(None),) * i, joint[i])] += payment[i]
    left = [list(range(utility.shape[1])) for _ in agents]
    while True:
        before = [list(each) for each in left]
        for i in agents:
            own = np.moveaxis(utility[i][np.ix_(*left)], i, 0).reshape(len(left[i]), -1)
            # By pure actions: each has to be better against everything that is left.
            beaten = [any((other > row).all() for other in own) for row in own]
            left[i] = [a for a, is_beaten in zip(left[i], beaten, strict=True) if not is_beaten]
        if left == before:
            return left


@pytest.mark.parametrize("agents, actions", SIZES)
def test_at_any_more_nothing_but_the_joint_action_survives_elimination(agents, actions):
    for utility in games(agents, actions):
        equilibrium, for_sure = (np.asarray(find(utility).payment) for find in (least, unique))
        # With one agent, to be sure costs nothing; with more it never costs less.
        assert (for_sure.sum(axis=0) >= equilibrium.sum(axis=0) - 1e-5).all()
        for joint in itertools.product(range(actions), repeat=agents):
            at = (slice(None), *joint)
            assert survivors(utility, joint, for_sure[at] + 1e-4) == [[a] for a in joint]
            for i in range(agents):
                own = utility[(i, *(joint[j] if j != i else slice(None) for j in range(agents)))]
                gain = own.max() - own[joint[i]]
                assert equilibrium[at][i] == pytest.approx(gain, abs=1e-6)


@pytest.mark.parametrize("agents", [2, 3])
def test_with_two_actions_something_else_survives_if_anybody_is_paid_a_little_less(agents):
    tried = 0
    for utility in games(agents, actions=2):
        for_sure = np.asarray(unique(utility).payment)
        for joint in itertools.product(range(2), repeat=agents):
            for i in np.flatnonzero(for_sure[(slice(None), *joint)] > 1e-3):
                less = for_sure[(slice(None), *joint)].copy()
                less[i] -= 1e-3
                assert survivors(utility, joint, less) != [[a] for a in joint]
                tried += 1
    assert tried > 10


def test_with_three_actions_it_may_ask_for_more_than_is_needed():
    """The third actions are dominated, and without them so are the second ones: nobody is paid.

    But whoever is won over first is paid for what the other's third action makes it want.
    """
    first = [[4.0, 4.0, 0.0], [3.0, 3.0, 100.0], [-50.0, -50.0, -50.0]]
    second = [[4.0, 3.0, -10.0], [0.0, 3.0, -10.0], [0.0, 3.0, -10.0]]
    utility = np.array([first, second], np.float32)
    assert survivors(utility, (0, 0), [0.0, 0.0]) == [[0], [0]]
    assert unique(utility).payment[:, 0, 0].tolist() == [0.0, 3.0]


#: Sizes of a nudge, and what has to be lost for all of it.
MARGINS = [(0.0, 0.0), (0.2, 0.0), (0.2, 1.5)]


@pytest.mark.parametrize("size, scale", MARGINS)
@pytest.mark.parametrize("hidden", [False, True])
@pytest.mark.parametrize("agents, actions", SIZES[1:])
def test_the_order_is_the_one_of_all_that_costs_least(agents, actions, hidden, size, scale):
    rng = np.random.default_rng(0)
    # Two outcomes of two actions: everything can be implemented, at the price of one ratio.
    outcomes = 2 if actions == 2 else 3
    for utility in games(agents, actions, count=2):
        probs = rng.dirichlet(np.ones(outcomes), (agents, actions)) if hidden else None
        worth = rng.normal(size=utility.shape[1:]).astype(np.float32)
        observed = None if probs is None else probs.astype(np.float32)
        found = unique(utility, observed, Nudge(size, scale, worth))
        for joint in itertools.product(range(actions), repeat=agents):
            costs = [
                in_order(utility, probs, joint, order, margin=(size, scale, worth))
                for order in itertools.permutations(range(agents))
            ]
            can_be = [cost for cost in costs if cost is not None]
            at = (slice(None), *joint)
            assert found.implementable[at].all() == bool(can_be)
            if can_be:
                np.testing.assert_allclose(found.payment[at].sum(), min(can_be), rtol=2e-4)


def in_order(utility, probs, joint, order, margin):
    """What agents cost that are won over one after the other; None where one cannot be."""
    size, scale, worth = margin
    total = 0.0
    for place, i in enumerate(order):
        later = order[place + 1 :]
        gaps = []
        for do in itertools.product(range(utility.shape[1]), repeat=len(later)):
            what = list(joint)
            for j, action in zip(later, do, strict=True):
                what[j] = action
            its = tuple(slice(None) if j == i else what[j] for j in range(len(joint)))
            own, loss = utility[(i, *its)], np.maximum(worth[its][joint[i]] - worth[its], 0)
            share = np.minimum(loss / scale, 1) if scale else 1
            gaps.append(own - own[joint[i]] + size * share * (np.arange(len(own)) != joint[i]))
        gap = np.max(gaps, axis=0)
        cost = gap.max() if probs is None else least_payment(gap, probs[i], joint[i])
        if cost is None:
            return None
        total += cost
    return total


@pytest.mark.parametrize("hidden", [False, True])
def test_a_nudge_is_the_margin_of_what_each_agent_is_paid(hidden):
    """By an oracle; of a scale of 0 the worth does not matter."""
    rng = np.random.default_rng(1)
    utility, probs = games(2, 3, count=1)[0], rng.dirichlet(np.ones(3), (2, 3))
    worth = rng.normal(size=(3, 3)).astype(np.float32)
    observed = probs.astype(np.float32) if hidden else None
    for size, scale in MARGINS:
        found = least(utility, observed, Nudge(size, scale, worth))
        if not scale:
            same = least(utility, observed, Nudge(size))
            np.testing.assert_allclose(found.payment, same.payment, atol=1e-5)
        for a, b in itertools.product(range(3), repeat=2):
            for i, (own, part) in enumerate([(np.s_[:, b], a), (np.s_[a, :], b)]):
                q, loss = utility[i][own], np.maximum(worth[a, b] - worth[own], 0)
                margins = size * (np.minimum(loss / scale, 1) if scale else np.ones(3))
                rows = probs[i] if hidden else np.eye(3)
                expected = least_payment(q, rows, part, margins)
                assert found.implementable[i, a, b] == (expected is not None)
                if expected is not None:
                    assert found.payment[i, a, b] == pytest.approx(expected, rel=2e-4, abs=1e-5)


@pytest.mark.parametrize(
    "payoffs, equilibrium, for_sure",
    [
        # Each is paid the 2 of its 3 that defecting would bring. If the other defected it would
        # bring 1, so that is sure, too.
        ("prisoners_dilemma", 2 / 3, 2 / 3),
        # Both hunt the stag unpaid, or one is paid the hare that it would miss: 3 of 8.
        ("stag_hunt", 0.0, 3 / 8),
        # Each would gain 1 of the 6 of both by going straight.
        ("chicken", 1 / 3, 1 / 3),
    ],
)
def test_the_price_of_being_sure_in_textbook_dilemmas(payoffs, equilibrium, for_sure):
    env, env_params = make("matrix_game", payoffs=payoffs)
    exact = solutions_of(env)
    for is_unique, expected in ((False, equilibrium), (True, for_sure)):
        found = exact.equilibrium(env_params, 0.1, env_params.discount, unique=is_unique)
        assert found.payment_share == pytest.approx(expected, rel=1e-5, abs=1e-6)


def test_a_nudge_raises_what_the_equilibrium_pays():
    env, env_params = make("coin_game", grid_size=2, max_steps_in_episode=4)
    shares = [
        float(solutions_of(env).equilibrium(env_params, nudge=nudge).payment_share)
        for nudge in jnp.array([0.0, 0.02, 0.05])
    ]
    assert shares == sorted(shares) and shares[0] < shares[-1]
