"""Exact solutions of N agents, against a slow and independent solver, and against what is known."""

import contextlib
import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import struct
from joint_oracle import Oracle, random_game

from jaxparl.environment import GameParams, PrincipalAgentEnvironment, Tabulation, Transitions
from jaxparl.envs.coin_game import CoinGame, Settings
from jaxparl.equilibrium import (
    JointSolutions,
    backward_induction,
    joint_rules,
    solutions_of,
    value_iteration,
)
from jaxparl.equilibrium.joint import play
from jaxparl.exact import table_of_one
from jaxparl.types import PlayValue

HORIZON, GAMMA, ALPHA = 4, 0.8, 0.3
#: Margins: none, uniform, and in proportion to what the principal would lose.
MARGINS = ((0.0, 0.0), (0.15, 0.0), (0.15, 2.0))
KINDS = [(agents, hidden) for agents in (1, 2, 3) for hidden in (False, True)]


def values(value):
    return np.array([value.welfare, value.payment, *value.utilities])


@partial(jax.jit, static_argnames="horizon")
def solved(game, actions, payments, horizon):
    """Every rule's values `[rules, 2 + N]`: welfare, payment, utilities."""
    agents, num_actions = payments.shape[1:]
    solve = partial(play, horizon=horizon, num_actions=num_actions)
    gamma = None if horizon is None else GAMMA
    place = jnp.zeros(actions.shape[0], int)
    for agent in range(agents):
        place = place * num_actions + actions[:, agent]

    def restricted(joint):
        """The game with the joint actions `[S, J]` only."""
        take = jax.vmap(lambda leaf, rows: leaf[rows])
        fewer = dataclasses.replace(
            game, action=take(game.action, joint), agent_reward=take(game.agent_reward, joint)
        )
        if game.outcome is not None:
            return fewer
        names = ("principal_reward", "successor", "successor_probs")
        return dataclasses.replace(fewer, **{n: take(getattr(game, n), joint) for n in names})

    def response(agent):
        stride = num_actions ** (agents - 1 - agent)
        own = jnp.arange(num_actions)[None]
        deviations = place[:, None] + (own - actions[:, agent, None]) * stride
        rule = partial(joint_rules.respond, jnp.int32(agent))
        return solve(restricted(deviations), rule, payments)

    paid = jnp.take_along_axis(payments, actions[..., None], axis=-1)[..., 0]

    def equilibrium(nudge, scale):
        rule = partial(joint_rules.least_payment, alpha=ALPHA, nudge=nudge, nudge_scale=scale)
        return solve(game, rule, gamma=gamma)

    found = [
        solve(game, joint_rules.most_welfare),
        solve(game, joint_rules.selfish),
        *(equilibrium(*margin) for margin in MARGINS),
        solve(restricted(place[:, None]), joint_rules.given, paid),
        *(response(agent) for agent in range(agents)),
    ]
    return jnp.stack([jnp.stack([v.welfare, v.payment, *v.utilities]) for v in found])


def expected(game, actions, payments, horizon):
    agents = payments.shape[1]
    oracle = Oracle(game, horizon)
    gamma = None if horizon is None else GAMMA
    paid = np.take_along_axis(payments, actions[..., None], axis=-1)[..., 0]
    return np.array(
        [
            oracle.play("welfare"),
            oracle.play("selfish"),
            *(
                Oracle(game, horizon, gamma, ALPHA, nudge=nudge, scale=scale).play("equilibrium")
                for nudge, scale in MARGINS
            ),
            oracle.play("given", actions, paid),
            *(
                oracle.play("respond", actions, payments, np.full(len(actions), agent))
                for agent in range(agents)
            ),
        ]
    )


def compare(seeds, rtol=1e-5):
    """Compares random games; returns how many solutions settled, of how many."""
    settled = []
    for seed in seeds:
        agents, is_hidden = KINDS[seed % len(KINDS)]
        game = random_game(seed, agents, num_outcomes=2 + seed % 2 if is_hidden else None)
        rng = np.random.default_rng(1000 + seed)
        actions = rng.integers(2, size=(3, agents))
        payments = rng.random((3, agents, 2))
        for horizon in (HORIZON, None):
            found = np.asarray(solved(game, actions, payments, horizon))
            wanted = expected(game, actions, payments, horizon)
            both = np.isfinite(wanted).all(axis=1)
            settled.extend(both)
            assert (np.isfinite(found).all(axis=1) == both).all()
            np.testing.assert_allclose(found[both], wanted[both], rtol=rtol, atol=rtol)
    return np.mean(settled)


def test_a_random_game_has_the_values_of_a_slow_solver():
    assert compare((4,)) > 0.9


@pytest.mark.slow
def test_fifty_random_games_of_one_to_three_agents_have_the_values_of_a_slow_solver():
    assert compare(range(50)) > 0.9


RULES = [
    {},
    {"shared_coin": "all"},
    {"new_coin": "random"},
    {"shared_coin": "all", "new_coin": "random", "stay": True},
]


def both_ways(settings, seed=0):
    """What the Coin Game's own solutions and those of its table say, leaf by leaf."""
    env = CoinGame(settings)
    params = dataclasses.replace(env.default_params, stolen_reward=-0.5)
    rng = np.random.default_rng(seed)
    for exact in (solutions_of(env), JointSolutions(Tabulation(env))):
        size = exact.num_states
        rng = np.random.default_rng(seed)
        actions = rng.integers(env.num_actions, size=(size, 2)).astype(np.int32)
        paid, payments = rng.random((size, 2)), rng.random((size, 2, env.num_actions))
        found = (
            exact.optimal_welfare(params),
            exact.selfish_play(params),
            exact.equilibrium(params, 0.1, 0.99),
            exact.equilibrium(params, 0.1, 0.99, nudge=0.03, nudge_scale=0.0, unique=True),
            exact.equilibrium(params, 0.1, 0.99, nudge=0.05, nudge_scale=0.2),
            exact.play_values(params, actions, paid),
            exact.best_responses(params, actions, payments),
        )
        yield np.concatenate([np.ravel(leaf) for each in found for leaf in parts(each)])


def parts(found):
    """Arrays to compare; what the principal gets in the Coin Game is the welfare."""
    if not isinstance(found, PlayValue):
        return [found]
    if found.principal_reward is not None:
        np.testing.assert_allclose(found.principal_reward, found.welfare, rtol=1e-5)
    return [found.welfare, found.payment, found.utilities]


@pytest.mark.parametrize(
    ("size", "steps", "rules"),
    [
        pytest.param(2, 5, RULES[0]),
        *(pytest.param(2, 5, rules, marks=pytest.mark.slow) for rules in RULES[1:]),
        *(pytest.param(3, 20, rules, marks=pytest.mark.slow) for rules in RULES),
    ],
)
def test_the_coin_game_has_the_same_values_by_its_own_solutions_and_by_its_table(
    size, steps, rules
):
    own, table = both_ways(Settings(grid_size=size, max_steps_in_episode=steps, **rules))
    np.testing.assert_allclose(table, own, rtol=1e-5, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("size", [2, 3])
def test_they_are_the_same_to_nine_digits_in_float64(size):
    if not hasattr(jax, "enable_x64"):
        pytest.skip("jax cannot be told to use float64 for a while")
    with jax.enable_x64(True):
        own, table = both_ways(Settings(grid_size=size, max_steps_in_episode=10))
        assert own.dtype == np.float64
        np.testing.assert_allclose(table, own, rtol=1e-9, atol=1e-9)


# --- One agent --------------------------------------------------------------------------------


@pytest.mark.parametrize("horizon", [5, None])
def test_with_observed_actions_the_principal_keeps_the_surplus_over_selfish_play(horizon):
    """Its optimum under commitment (Optimal Robust Subsidy Policies, ICLR 2026), in 50 games."""
    is_wide = hasattr(jax, "enable_x64")
    with jax.enable_x64(True) if is_wide else contextlib.nullcontext():
        for seed in range(50):
            game = random_game(seed, 1, num_actions=3, discount=0.9 if horizon is None else 1.0)
            both = dataclasses.replace(
                game, agent_reward=game.agent_reward + game.principal_reward[..., None]
            )
            most, unpaid, principal = of_one_agent(game, both, horizon)
            tolerance = 1e-9 if is_wide else 1e-5
            np.testing.assert_allclose(principal, most - unpaid, rtol=tolerance, atol=tolerance)


@partial(jax.jit, static_argnums=2)
def of_one_agent(game, both, horizon):
    solve = partial(play, horizon=horizon, num_actions=3)
    table = table_of_one(game)
    if horizon is None:
        value = value_iteration(table).principal_value
    else:
        value = backward_induction(table, horizon).principal_value[0]
    return (
        solve(both, joint_rules.most_welfare).welfare,
        solve(game, joint_rules.selfish).welfare,
        jnp.sum(game.start_probs * value),
    )


# --- A game by its states and transitions ------------------------------------------------------


@struct.dataclass
class Walk:
    place: jax.Array
    time: jax.Array


class Chain(PrincipalAgentEnvironment):
    """Walks along states 0 to 4, and may be sent back; the game ends behind the last."""

    num_agents, num_actions, observed_actions = 1, 2, True
    default_params = GameParams(max_steps_in_episode=6)

    def tabular_states(self):
        return Walk(jnp.arange(5), jnp.zeros(5, jnp.int32))

    def initial_state(self, key, params):
        return Walk(jnp.int32(2), jnp.int32(0))

    def transitions(self, state, action, outcome, params):
        back, on = jnp.maximum(state.place - 1, 0), jnp.minimum(state.place + 1, 4)
        is_last = state.place == 4
        likely = jnp.where(action[0] == 1, 0.75, 0.25)
        return Transitions(
            agent_reward=-0.5 * action,
            principal_reward=jnp.where(is_last, 2.0, 0.0)[None],
            state=Walk(jnp.stack([back, on]), jnp.full(2, state.time + 1)),
            probs=jnp.stack([1 - likely, likely]),
            terminated=jnp.stack([jnp.bool_(False), is_last]),
        )

    def get_obs(self, state, params=None, key=None):
        return state.place[None]


def test_a_game_needs_no_more_than_its_states_and_transitions():
    env = Chain()
    params = env.default_params
    assert isinstance(env.exact, Tabulation) and env.horizon == 6 and env.num_outcomes == 2
    np.testing.assert_array_equal(env.start_probs(params), [0, 0, 1, 0, 0])
    table = env.tabular(params)
    np.testing.assert_array_equal(table.successor[:, 0], [[0, 1], [0, 2], [1, 3], [2, 4], [3, 4]])
    np.testing.assert_allclose(table.successor_probs[4, 1], [0.25, 0])  # the rest is the end
    np.testing.assert_array_equal(table.agent_reward, [[0, -0.5]] * 5)

    # Steps are drawn from the same transitions.
    keys = jax.random.split(jax.random.key(0), 4096)
    start = jax.vmap(env.step, in_axes=(0, None, None))(
        keys, env.initial_state(keys[0], params), jnp.array([1])
    )[-1]["next_state"]
    assert set(np.unique(start.place)) == {1, 3} and (start.time == 1).all()
    assert abs(float(jnp.mean(start.place == 3)) - 0.75) < 0.03


def test_a_state_is_found_whatever_its_time_and_another_one_is_nowhere():
    env = Chain()
    find = jax.jit(lambda place, time: env.state_index(Walk(place, time)))
    assert [int(find(place, 3)) for place in (0, 4, 5)] == [0, 4, -1]


class Lost(Chain):
    def tabular_states(self):
        return jax.tree.map(lambda leaf: leaf[:-1], super().tabular_states())


class Beyond(Lost):
    def state_index(self, state):
        return state.place  # which is 4 where there are 4 states


@pytest.mark.parametrize("game", [Lost, Beyond])
def test_values_are_undefined_where_a_state_follows_that_is_not_in_the_table(game):
    found = game().exact.joint_game(game().default_params)
    probs = found.successor_probs
    assert np.isnan(probs[3, :, 1]).all() and np.isfinite(probs[:3]).all()
    assert (found.successor < 4).all()
