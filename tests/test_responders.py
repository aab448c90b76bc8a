"""Agents that err: by a logistic law, or in the way that is worst for the principal."""

import dataclasses
import itertools
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog, minimize_scalar

from jaxparl.contracts import minimal_contract
from jaxparl.environment import Tabulation
from jaxparl.envs import make
from jaxparl.equilibrium import JointSolutions, backward_induction, joint_rules, solutions_of
from jaxparl.equilibrium.joint import play, robust_value
from jaxparl.equilibrium.joint_rules import JointState
from jaxparl.types import JointGame

ALPHA = 0.1


def tree_offers(depth, nudge):
    """A tree, and least contracts for its equilibrium with a margin in every state."""
    env, env_params = make("game_tree", depth=depth)
    table = env.tabular(env_params)
    found = backward_induction(table, env.horizon)
    states = env.exact.states()
    action = found.action[states.time, jnp.arange(len(states.time))]
    probs, value = table.outcome_probs, jnp.zeros(len(action))
    price = jax.jit(jax.vmap(minimal_contract, (0, 0, 0, None)))  # over S
    for _ in range(env.horizon):  # so often that what follows is that of the same contracts
        ahead = table.discount * value[table.successor]
        follows = jnp.sum(table.successor_probs * ahead, axis=-1)
        q = table.agent_reward + jnp.einsum("sao,so->sa", probs, follows)
        payments = jnp.einsum("so,sao->sa", price(q, probs, action, nudge).payments, probs)
        value = jnp.max(q + payments, axis=-1)
    return env, env_params, action[:, None], payments[:, None], found


def coin_offers():
    """Random offers on a small Coin Game, with solutions from its table."""
    env, env_params = make("coin_game", grid_size=2, max_steps_in_episode=4)
    rng = np.random.default_rng(0)
    size = env.exact.num_states
    actions = rng.integers(env.num_actions, size=(size, 2)).astype(np.int32)
    payments = np.zeros((size, 2, env.num_actions), np.float32)
    np.put_along_axis(payments, actions[..., None], rng.random((size, 2, 1)), axis=-1)
    return JointSolutions(Tabulation(env)), env_params, actions, payments


def objective(value, alpha=1.0):
    return float(value.principal_reward - alpha * value.payment)


def test_without_errors_they_are_the_best_responder():
    env, env_params, actions, payments, found = tree_offers(5, nudge=0.0)
    exact = solutions_of(env)
    equilibrium = pytest.approx(float(found.principal_value[0, 0]), rel=1e-5)
    assert objective(exact.logit_play(env_params, actions, payments, 0.0)) == equilibrium
    assert objective(exact.worst_play(env_params, actions, payments, 0.0, 1.0)) == equilibrium


def test_each_of_several_takes_its_best_action_while_the_others_do_as_asked():
    exact, env_params, actions, payments = coin_offers()
    one_step = dataclasses.replace(env_params, max_steps_in_episode=jnp.int32(1))
    game = Tabulation(exact.tabulation.env).joint_game(one_step)
    states, start = np.arange(len(actions)), np.asarray(game.start_probs)
    reward = np.asarray(game.agent_reward).reshape(len(actions), 4, 4, 2)
    first = (reward[states, :, actions[:, 1], 0] + payments[:, 0]).argmax(axis=1)
    second = (reward[states, actions[:, 0], :, 1] + payments[:, 1]).argmax(axis=1)
    both = reward[states, first, second]
    paid = payments[states, 0, first] + payments[states, 1, second]
    for respond in (exact.logit_play, exact.worst_play):
        found = respond(one_step, actions, payments, 0.0)
        assert found.welfare == pytest.approx((start * both.sum(axis=1)).sum(), rel=1e-5)
        assert found.payment == pytest.approx((start * paid).sum(), rel=1e-5)


def test_a_margin_holds_against_errors_that_are_smaller_and_not_against_larger_ones():
    env, env_params, actions, payments, _ = tree_offers(5, nudge=0.05)
    exact = solutions_of(env)

    def worst(slack):
        return objective(exact.worst_play(env_params, actions, payments, slack, 1.0))

    followed = worst(0.0)
    assert [worst(slack) for slack in (0.001, 0.049)] == pytest.approx([followed] * 2, rel=1e-5)
    assert worst(0.051) < followed - 0.01 and worst(0.2) < 0.7 * followed


def test_without_a_margin_small_errors_cost_much():
    env, env_params, actions, payments, _ = tree_offers(5, nudge=0.0)
    exact = solutions_of(env)
    followed = objective(exact.logit_play(env_params, actions, payments, 0.0))
    assert 0.2 < objective(exact.logit_play(env_params, actions, payments, 1e-4)) / followed < 0.8
    assert objective(exact.worst_play(env_params, actions, payments, 1e-4, 1.0)) < 0.2 * followed


def test_agents_err_less_the_colder_it_is():
    env, env_params, actions, payments, _ = tree_offers(5, nudge=0.05)
    exact = solutions_of(env)
    values = [
        objective(exact.logit_play(env_params, actions, payments, temperature))
        for temperature in (1e-4, 1e-2, 0.1)
    ]
    followed = objective(exact.logit_play(env_params, actions, payments, 0.0))
    assert values[0] == pytest.approx(followed, rel=1e-5)
    assert values[0] > values[1] > values[2]


def stage(reward, num_actions):
    """One state, after which nothing follows."""
    return JointState(
        jnp.asarray(reward), jnp.zeros_like(reward), reward.sum(axis=0), None, num_actions
    )


@pytest.mark.parametrize("temperature", [1.0, 0.1, 0.01, 1e-4, 1e-30])
@pytest.mark.parametrize("agents, actions", [(1, 5), (2, 4), (3, 2)])
def test_agents_err_by_a_logistic_law_while_they_believe_that_the_others_do_as_asked(
    agents, actions, temperature
):
    rng = np.random.default_rng(3)
    for _ in range(20):
        reward = rng.normal(size=(agents, actions**agents)).astype(np.float32)
        payments = rng.random((agents, actions)).astype(np.float32)
        asked = rng.integers(actions, size=agents)
        found = joint_rules.logit(
            stage(reward, actions), jnp.asarray(asked, jnp.int8), payments, temperature
        )
        by_action = reward.reshape(agents, *(actions,) * agents).astype(np.float64)
        joint, paid = np.ones(()), []
        for i in range(agents):
            own = by_action[(i, *(slice(None) if j == i else asked[j] for j in range(agents)))]
            value = own + payments[i]
            weight = np.exp((value - value.max()) / temperature)
            joint = np.multiply.outer(joint, weight / weight.sum())
            paid.append(weight @ payments[i] / weight.sum())
        # In float32 utilities are rounded by 1e-7, which counts the more the colder it is.
        tolerance = 1e-5 + 2e-7 / temperature if temperature > 1e-20 else 1e-6
        np.testing.assert_allclose(found.probs, joint.ravel(), atol=tolerance)
        np.testing.assert_allclose(found.payment, paid, atol=tolerance)


def test_the_worst_is_the_worst_of_all_joint_actions_that_are_good_enough():
    rng = np.random.default_rng(4)
    for _ in range(20):
        reward = rng.normal(size=(2, 9)).astype(np.float32)
        payments, asked = rng.random((2, 3)).astype(np.float32), rng.integers(3, size=2)
        found = joint_rules.worst(stage(reward, 3), jnp.asarray(asked), payments, 0.5, ALPHA)
        q = reward.reshape(2, 3, 3)
        own = (q[0][:, asked[1]] + payments[0], q[1][asked[0]] + payments[1])
        enough = [np.flatnonzero(each >= each.max() - 0.5) for each in own]
        worth = {
            (a, b): q[:, a, b].sum() - ALPHA * (payments[0, a] + payments[1, b])
            for a, b in itertools.product(*enough)
        }
        assert divmod(int(found.joint), 3) == min(worth, key=worth.get)


def one_step(own, worth):
    """A game of one state, one agent and one step, with observed actions."""
    count = len(own)
    return JointGame(
        action=jnp.arange(count)[None, :, None],
        agent_reward=jnp.asarray(own, jnp.float32)[None, :, None],
        outcome_probs=None,
        outcome=None,
        principal_reward=jnp.asarray(worth, jnp.float32)[None],
        successor=jnp.zeros((1, count, 1), int),
        successor_probs=jnp.zeros((1, count, 1)),
        start_probs=jnp.ones(1),
        discount=jnp.float32(1.0),
    )


def two_states():
    """At first an agent stops (0), or goes on (1) at a cost; then it may err (1) at another."""
    return JointGame(
        action=jnp.broadcast_to(jnp.arange(2)[:, None], (2, 2, 1)),
        agent_reward=jnp.array([[0.0, -0.05], [0.0, -0.1]])[..., None],
        outcome_probs=None,
        outcome=None,
        principal_reward=jnp.array([[1.0, 0.0], [0.0, -0.01]]),
        successor=jnp.ones((2, 2, 1), int),
        successor_probs=jnp.array([[0.0, 1.0], [0.0, 0.0]])[..., None],
        start_probs=jnp.array([1.0, 0.0]),
        discount=jnp.float32(1.0),
    )


def follow_two_states(rule):
    """What an episode brings where the agent is asked to stop, and not to err."""
    asked, unpaid = jnp.zeros((2, 1), jnp.int32), jnp.zeros((2, 1, 2))
    return play(two_states(), rule, asked, unpaid, horizon=2, num_actions=2)


@pytest.mark.parametrize("slack, brings", [(0.02, 1.0), (0.06, 0.0), (0.12, 1.0)])
def test_a_larger_slack_may_bring_more(slack, brings):
    """At 0.06 it goes on by mistake. At 0.12 it would also err later, and so it stops again."""
    found = follow_two_states(partial(joint_rules.worst, slack=slack, alpha=1.0))
    assert found.principal_reward == brings


def test_later_errors_count_for_earlier_ones():
    temperature = 0.2
    errs = 1 / (1 + np.exp(0.1 / temperature))
    goes_on = 1 / (1 + np.exp((0.05 + 0.1 * errs) / temperature))
    found = follow_two_states(partial(joint_rules.logit, temperature=temperature))
    expected = (1 - goes_on) - goes_on * errs * 0.01
    assert found.principal_reward == pytest.approx(expected, rel=1e-5)


class TestWholeEpisode:
    """The worst play that costs the agent little altogether."""

    def test_is_the_linear_program_over_all_policies_of_a_small_tree(self):
        env, env_params, _, payments, _ = tree_offers(2, nudge=0.02)
        exact = solutions_of(env)
        plays = []
        for policy in itertools.product(range(env.num_actions), repeat=exact.num_states):
            actions = np.array(policy)[:, None]
            paid = np.take_along_axis(np.asarray(payments), actions[..., None], axis=-1)[..., 0]
            value = exact.play_values(env_params, actions, paid)
            plays.append((objective(value), float(value.utilities[0])))
        worth, own = np.array(plays).T
        for slack in (0.0, 0.01, 0.1, 1.0):
            found = linprog(
                worth,
                A_ub=-own[None],
                b_ub=[slack - own.max() + 1e-9],
                A_eq=np.ones((1, len(own))),
                b_eq=[1],
            )
            value = exact.robust_value(env_params, payments, slack)
            # At 0 it is the worst of plays that tie but for rounding.
            assert float(value) == pytest.approx(found.fun, abs=2e-3 if slack == 0 else 1e-4)

    def test_at_its_best_it_is_a_concave_program_of_one_variable(self):
        """One state, observed actions: the margin m over the others' utilities is all to choose.

        An action that the principal loses L by and the agent m has to be taken less often than
        slack / m, so it costs at most slack (L / m - 1).
        """
        own, worth = np.array([-0.5, 0.0, -0.2]), np.array([2.0, 0.3, 1.2])
        surplus, slack = own + worth, 0.02

        def robust(utility):
            margin = utility - own[1:]
            losses = surplus[0] - surplus[1:]
            return surplus[0] - utility - np.max(slack * np.maximum(losses / margin - 1, 0))

        expected = minimize_scalar(
            lambda utility: -robust(utility), bounds=(slack, 1.5), method="bounded"
        )
        game = one_step(own, worth)
        solve = jax.jit(partial(robust_value, game, slack=slack, alpha=1, horizon=1, num_actions=3))

        def found(utility):
            return float(solve(jnp.zeros((1, 1, 3)).at[0, 0, 0].set(utility - own[0])))

        reached = minimize_scalar(
            lambda utility: -found(utility), bounds=(slack, 1.5), method="bounded"
        )
        assert -reached.fun == pytest.approx(-expected.fun, abs=1e-4)
        assert reached.x == pytest.approx(expected.x, abs=5e-3)
        # The loss is of the order of the root of the slack.
        assert surplus[0] - max(own) + reached.fun > slack
