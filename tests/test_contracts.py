"""Least-payment contracts: by hand, against an independent solver, and what holds of them all."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from jaxparl.contracts import (
    Contract,
    expected_payment,
    float_pairs,
    incentive_slack,
    minimal_contract,
    observed_action_contract,
)

# Two actions and two outcomes each have a closed form; the last three shapes need the simplex.
SHAPES = [(2, 2), (2, 5), (6, 2), (4, 3), (4, 4), (7, 8)]
# [B] programs of one shape. A shape takes a second to compile, so all tests share these functions,
# and `solve_one` always gets its arguments as the same types.
solve = jax.jit(jax.vmap(minimal_contract))
_solve_one = jax.jit(minimal_contract)
slack_one = jax.jit(incentive_slack)
observed_one = jax.jit(observed_action_contract)


def solve_one(q, probs, action, nudge=0.0) -> Contract:
    return _solve_one(q, probs, np.int32(action), np.float32(nudge))


def random_programs(seed, count, actions, outcomes, zeros=False):
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.ones(outcomes), (count, actions))
    if zeros:
        keep = rng.random(probs.shape) < 0.6
        keep |= np.arange(outcomes) == rng.integers(outcomes, size=(count, actions, 1))
        probs = np.where(keep, probs, 0)
        probs /= probs.sum(axis=-1, keepdims=True)
    q = rng.normal(size=(count, actions)).astype(np.float32)
    nudge = rng.choice([0, 0.05], count).astype(np.float32)
    return q, probs.astype(np.float32), rng.integers(actions, size=count), nudge


def highs_expected_payment(q, probs, action, nudge):
    """The same program in float64, by another method; infinite where not implementable."""
    q, probs = np.float64(q), np.float64(probs)
    others = np.arange(len(q)) != action
    gap = q[others] - q[action] + np.float64(nudge)
    gain = probs[action] - probs[others]
    result = linprog(probs[action], -gain, -gap, options={"primal_feasibility_tolerance": 1e-10})
    assert result.status in (0, 2), result.message
    return result.fun if result.status == 0 else np.inf


@st.composite
def programs(draw):
    """One program of 4 actions and 3 outcomes, with round numbers, zeros and copied rows."""
    value = st.integers(-20, 20).map(lambda n: n / 10)
    q = draw(st.lists(value, min_size=4, max_size=4))
    row = st.lists(st.integers(0, 6), min_size=3, max_size=3).filter(any)
    probs = np.array(draw(st.lists(row, min_size=4, max_size=4)), np.float64)
    probs /= probs.sum(axis=1, keepdims=True)
    action, nudge = draw(st.integers(0, 3)), draw(st.sampled_from([0.0, 0.01, 0.5]))
    return np.float32(q), np.float32(probs), action, nudge


def test_the_worked_example_pays_one_for_the_left_outcome():
    probs = jnp.array([[0.9, 0.1], [0.1, 0.9]])
    contract = solve_one(jnp.array([-0.8, 0.0]), probs, 0)
    np.testing.assert_allclose(contract.payments, [1, 0], rtol=1e-6)
    np.testing.assert_allclose(contract.expected_payment, 0.9, rtol=1e-6)
    np.testing.assert_allclose(expected_payment(contract.payments, probs), [0.9, 0.1], rtol=1e-6)
    assert contract.implementable


def test_two_deviations_are_deterred_at_once():
    # (b1 - b0) / 2 >= 1 and (b0 + b1) / 2 - b2 >= 2, at a cost of (b0 + b1) / 2: so it costs 2.
    probs = jnp.array([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])
    q = jnp.array([0.0, 1.0, 2.0])
    contract = solve_one(q, probs, 0)
    np.testing.assert_allclose(contract.expected_payment, 2, rtol=2e-6)
    np.testing.assert_allclose(slack_one(q, probs, 0, contract.payments), 0, atol=1e-6)


def test_a_single_action_is_free():
    contract = solve_one(jnp.array([-3.0]), jnp.array([[0.2, 0.3, 0.5]]), 0, nudge=1.0)
    assert contract.implementable and not contract.payments.any()


def test_a_single_outcome_moves_nobody():
    probs = jnp.ones((3, 1))
    q = jnp.array([0.0, 1.0, 0.5])
    assert not solve_one(q, probs, 0).implementable
    assert solve_one(q, probs, 1).implementable


@pytest.mark.parametrize("actions", [1, 2, 3])
@pytest.mark.parametrize("nudge", [0.0, 0.3])
def test_observed_actions_are_the_identity_outcome_matrix(actions, nudge):
    q = jnp.linspace(-1, 2, actions) ** 2
    for action in range(actions):
        observed = observed_one(q, action, nudge)
        general = solve_one(q, jnp.eye(actions), action, nudge)
        np.testing.assert_allclose(general.payments, observed.payments, rtol=1e-6, atol=1e-7)
        assert observed.implementable and general.implementable
        assert slack_one(q, jnp.eye(actions), action, observed.payments) >= nudge - 1e-6


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_expected_payments_are_those_of_an_independent_solver(shape, zeros):
    batch = random_programs(1, 30, *shape, zeros)
    contract = jax.device_get(solve(*batch))
    exact = np.array([highs_expected_payment(*program) for program in zip(*batch, strict=True)])
    # Beyond 1e4 a contract depends on the rounding of rows that do not exactly sum to 1.
    judged = np.isinf(exact) | (exact < 1e4)
    assert judged.mean() > 0.5
    np.testing.assert_array_equal(contract.implementable[judged], np.isfinite(exact)[judged])
    held = judged & contract.implementable
    np.testing.assert_allclose(contract.expected_payment[held], exact[held], rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("scale", [1e-3, 1e3])
def test_payments_scale_with_the_values(scale):
    q, probs, action, nudge = random_programs(2, 30, 4, 4)
    small, large = solve(q, probs, action, nudge), solve(q * scale, probs, action, nudge * scale)
    np.testing.assert_array_equal(small.implementable, large.implementable)
    np.testing.assert_allclose(large.expected_payment, small.expected_payment * scale, rtol=2e-4)


def test_nearly_parallel_constraints_keep_their_digits():
    # Two deviations whose rows differ by 1e-4: float32 pivots would lose four of seven digits.
    probs = np.array([[0.4, 0.3, 0.3], [0.2, 0.5, 0.3], [0.2, 0.4999, 0.3001]], np.float32)
    q = np.array([0, 1.0, 1.00003], np.float32)
    contract = solve_one(q, probs, 0)
    exact = highs_expected_payment(q, probs, 0, 0)
    np.testing.assert_allclose(contract.expected_payment, exact, rtol=1e-6)


@settings(max_examples=60, deadline=None, derandomize=True)
@given(programs())
def test_a_contract_pays_only_what_makes_the_action_best(program):
    q, probs, action, nudge = program
    contract = solve_one(*program)
    assert jnp.all(jnp.isfinite(contract.payments)) and jnp.all(contract.payments >= 0)
    if contract.implementable:
        slack = slack_one(q, probs, action, contract.payments)
        assert slack >= nudge - 1e-5 * (1 + contract.payments.max())
    else:
        assert not contract.payments.any() and contract.expected_payment == 0


@settings(max_examples=40, deadline=None, derandomize=True)
@given(programs())
def test_a_larger_nudge_never_costs_less(program):
    q, probs, action, nudge = program
    less, more = solve_one(q, probs, action, nudge), solve_one(q, probs, action, nudge + 0.1)
    if more.implementable:
        assert less.implementable
        assert more.expected_payment >= less.expected_payment * (1 - 1e-5)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(programs(), st.integers(-8, 8))
def test_a_constant_added_to_all_values_changes_nothing(program, constant):
    # Values in eighths: adding an integer is exact in float32.
    q, probs, action, nudge = program
    q = np.round(q * 8) / 8
    before = solve_one(q, probs, action, nudge)
    after = solve_one(q + np.float32(constant), probs, action, nudge)
    np.testing.assert_array_equal(before.payments, after.payments)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(programs())
def test_the_best_action_is_free_without_a_nudge(program):
    q, probs, _, _ = program
    contract = solve_one(q, probs, np.argmax(q))
    assert contract.implementable and contract.expected_payment == 0


@pytest.mark.parametrize("shape", SHAPES)
def test_the_order_of_actions_and_outcomes_does_not_matter(shape):
    q, probs, action, nudge = random_programs(3, 30, *shape, zeros=True)
    rng = np.random.default_rng(4)
    actions, outcomes = rng.permutation(shape[0]), rng.permutation(shape[1])
    moved = solve(
        q[:, actions], probs[:, actions][..., outcomes], np.argsort(actions)[action], nudge
    )
    contract = solve(q, probs, action, nudge)
    np.testing.assert_array_equal(contract.implementable, moved.implementable)
    np.testing.assert_allclose(contract.expected_payment, moved.expected_payment, rtol=1e-5)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_worse_action_with_the_same_outcomes_is_not_implementable(shape):
    q, probs, _, _ = random_programs(5, 30, *shape)
    q[:, -1], probs[:, -1] = q[:, 0] - 0.1, probs[:, 0]
    contract = solve(q, probs, np.full(30, shape[0] - 1), np.zeros(30, np.float32))
    assert not contract.implementable.any()
    assert not contract.payments.any() and not contract.expected_payment.any()


@pytest.mark.parametrize("shape", [(2, 2), (4, 3)])
def test_no_step_of_the_computation_is_nan(shape):
    batch = random_programs(6, 30, *shape, zeros=True)
    batch[1][::2, -1] = batch[1][::2, 0]
    with jax.debug_nans(True):
        jax.block_until_ready(solve(*batch))


def test_rows_that_do_not_sum_to_one_cannot_be_exploited():
    # The action is the mean of three better ones: nothing implements it. Its row sums to 1.0000001,
    # so that raising every payment by 1e7 would seem to.
    probs = np.array([[0.6, 0.2, 0.2], [0.2, 0.6, 0.2], [0.2, 0.2, 0.6], [0, 0, 0]], np.float32)
    probs[3] = np.float32(1 / 3) * np.float32(1.0000001)
    q = np.array([1, 1, 1, 0], np.float32)
    assert np.isfinite(highs_expected_payment(q, probs, 3, 0))
    assert not solve_one(q, probs, 3).implementable


@pytest.mark.parametrize("shape", [(2, 2), (4, 3)])
def test_a_batch_equals_its_programs_one_by_one(shape):
    batch = random_programs(7, 30, *shape, zeros=True)
    together = solve(*batch)
    for i, program in enumerate(zip(*batch, strict=True)):
        alone = solve_one(*program)
        np.testing.assert_allclose(together.payments[i], alone.payments, rtol=1e-6)
        assert together.implementable[i] == alone.implementable


def test_actions_and_nudges_do_not_compile_again():
    traces = []

    @jax.jit
    def counted(q, probs, action, nudge):
        traces.append(q)
        return minimal_contract(q, probs, action, nudge)

    q, probs, _, _ = random_programs(8, 1, 2, 2)
    for action in range(2):
        counted(q[0], probs[0], action, 0.1 * action)
    assert len(traces) == 1


@pytest.mark.parametrize("shape", [(2, 2), (4, 4)])
def test_no_gradient_passes_through_a_contract(shape):
    q, probs, _, nudge = random_programs(9, 1, *shape)
    worst = int(np.argmin(q[0]))

    def cost(q, probs, nudge):
        paid = minimal_contract(q, probs, worst, nudge).expected_payment
        return paid + observed_action_contract(q, worst, nudge).expected_payment

    for gradient in jax.jit(jax.grad(cost, argnums=(0, 1, 2)))(q[0], probs[0], nudge[0]):
        assert not gradient.any()


def test_pairs_of_float32_carry_twice_the_bits():
    rng = np.random.default_rng(10)
    x, y = (rng.normal(size=1000) * 10 ** rng.uniform(-6, 6, 1000) for _ in range(2))

    def pair(value):
        hi = np.float32(value)
        return float_pairs.Pair(hi, np.float32(value - hi))

    def value(pair):
        return np.float64(pair.hi) + np.float64(pair.lo)

    left, right = pair(x), pair(y)
    exact_x, exact_y = value(left), value(right)
    for found, exact, scale in (
        (float_pairs.add, exact_x + exact_y, np.abs(exact_x) + np.abs(exact_y)),
        (float_pairs.multiply, exact_x * exact_y, np.abs(exact_x * exact_y)),
        (lambda x, _: float_pairs.reciprocal(x), 1 / exact_x, np.abs(1 / exact_x)),
    ):
        error = np.abs(value(jax.jit(found)(left, right)) - exact) / scale
        assert error.max() < 2**-42


def test_shapes_that_do_not_fit_are_rejected():
    with pytest.raises(AssertionError):
        solve_one(jnp.zeros(3), jnp.eye(4), 0)
