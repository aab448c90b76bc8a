"""Prioritised replay, against a model in NumPy that holds one priority per item in float64."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxparl.learning import priorities, ring

# (capacity, E): rows of one item, of several writes, a last row that is cut, one row for all.
SIZES = [(5, 1), (6, 2), (28, 4), (1000, 2), (4, 4)]
EXPONENT, FLOOR = 0.4, 1e-7
add = jax.jit(priorities.add, static_argnums=2)
sample = jax.jit(priorities.sample, static_argnums=2)
update = jax.jit(priorities.update)
locate = jax.jit(priorities._locate)
add_to_ring = jax.jit(ring.add)


class Model:
    """What the priorities should be, item by item; where an item came twice, the larger error."""

    def __init__(self, capacity):
        self.priority = np.zeros(capacity)
        self.highest, self.count = 1.0, 0

    def add(self, num_envs):
        for _ in range(num_envs):
            self.priority[self.count % len(self.priority)] = self.highest
            self.count += 1

    def update(self, index, error, exponent=EXPONENT, floor=FLOOR):
        new = (np.abs(np.float64(error)) + floor) ** exponent
        for item in np.unique(index):
            self.priority[item] = new[index == item].max()
        self.highest = max(self.highest, new.max())


def flat(state):
    """The priorities `[capacity]`, and a check that nothing lies beyond the capacity."""
    priority = np.asarray(state.priority).ravel()
    assert not priority[state.capacity :].any()
    return priority[: state.capacity]


def holding(priority, num_envs=1):
    """A state that holds exactly these priorities, `[capacity]`."""
    state = priorities.init(len(priority), num_envs)
    padded = np.zeros(state.priority.shape, np.float32)
    padded.ravel()[: len(priority)] = priority
    return dataclasses.replace(
        state, priority=jnp.asarray(padded), block_sum=jnp.asarray(padded).sum(axis=1)
    )


def assert_drawn_in_proportion(index, priority):
    """A chi-square test of the drawn items `[D]`; those that are seldom are counted together."""
    counts = np.bincount(index, minlength=len(priority))
    assert not counts[priority == 0].any()
    order = np.argsort(priority)
    expected = (priority / priority.sum() * len(index))[order]
    group = np.unique(np.floor(np.cumsum(expected) / 10), return_inverse=True)[1]
    observed, expected = (np.bincount(group, weights=x) for x in (counts[order], expected))
    assert stats.chisquare(observed, expected).pvalue > 1e-3


def test_a_worked_example():
    state = priorities.init(capacity=6, num_envs=2)
    state = add(add(state, 0, 2), 1, 2)
    np.testing.assert_array_equal(flat(state), [1, 1, 1, 1, 0, 0])
    # Item 3 comes twice, with errors -9 and 1. Square roots, of the error plus a quarter.
    index, error = jnp.array([0, 3, 2, 3]), jnp.array([3.75, -9, 0.0, 1])
    state = update(state, index, error, exponent=0.5, floor=0.25)
    np.testing.assert_allclose(flat(state), [2, 1, 0.5, 9.25**0.5, 0, 0], rtol=1e-6)
    np.testing.assert_allclose(state.highest, 9.25**0.5, rtol=1e-6)
    state = add(state, 2, 2)
    np.testing.assert_allclose(flat(state)[4:], 9.25**0.5, rtol=1e-6)
    weights = priorities.importance_weights(state, jnp.array([0, 1, 2]), 1.0)
    np.testing.assert_allclose(weights, [0.25, 0.5, 1.0], rtol=1e-6)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(SIZES), st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_an_item_has_the_priority_of_its_last_error(size, seed, iterations):
    capacity, num_envs = size
    rng = np.random.default_rng(seed)
    state, model = priorities.init(capacity, num_envs), Model(capacity)
    for iteration in range(iterations):
        state = add(state, iteration, num_envs)
        model.add(num_envs)
        index = rng.integers(min(model.count, capacity), size=7)
        error = rng.normal(size=7).astype(np.float32) * 10 ** rng.uniform(-3, 3)
        state = update(state, index, error, exponent=EXPONENT, floor=FLOOR)
        model.update(index, error)
    np.testing.assert_allclose(flat(state), model.priority, rtol=1e-5)
    np.testing.assert_allclose(state.highest, model.highest, rtol=1e-5)
    np.testing.assert_allclose(state.block_sum, np.asarray(state.priority).sum(axis=1), rtol=1e-6)


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("iteration", [0, 1, 3, 501, 2**28 + 1, 2**31 - 2])
def test_a_fresh_item_lies_where_the_ring_writes_it(size, iteration):
    capacity, num_envs = size
    stored = ring.init(jnp.int32(0), capacity)
    stored = add_to_ring(stored, jnp.ones(num_envs, jnp.int32), jnp.int32(iteration))
    state = add(priorities.init(capacity, num_envs), jnp.int32(iteration), num_envs)
    np.testing.assert_array_equal(flat(state), stored)


def test_a_fresh_item_has_the_highest_priority_so_far_even_if_that_is_gone():
    state = add(add(priorities.init(8, 2), 0, 2), 1, 2)
    state = update(state, jnp.array([0]), jnp.array([16.0]), exponent=0.5, floor=0.0)
    state = update(state, jnp.array([0]), jnp.array([0.25]), exponent=0.5, floor=0.0)
    state = add(state, 2, 2)
    np.testing.assert_allclose(flat(state)[:6], [0.5, 1, 1, 1, 4, 4], rtol=1e-6)


@functools.partial(jax.jit, static_argnums=2)
def updated(state, errors, num_envs):
    """The state after one iteration of add, sample and update for each of `errors` `[T, B]`."""

    def iterate(state, step):
        iteration, error = step
        key = jax.random.fold_in(jax.random.key(1), iteration)
        state = priorities.add(state, iteration, num_envs)
        index = priorities.sample(state, key, len(error))
        return priorities.update(state, index, error, exponent=1.0, floor=0.0), None

    return jax.lax.scan(iterate, state, (jnp.arange(len(errors)), errors))[0]


def test_sums_do_not_drift():
    # Eighths up to 32: in float32 their sums are exact, in whatever order.
    rng, state = np.random.default_rng(0), priorities.init(1000, 4)
    exact = updated(state, np.float32(rng.integers(256, size=(5000, 16)) / 8), 4)
    np.testing.assert_array_equal(exact.block_sum, np.asarray(exact.priority).sum(axis=1))
    assert len(np.unique(exact.priority)) > 200

    # And of any numbers, what float32 makes of the row now.
    state = updated(state, np.float32(rng.standard_cauchy((5000, 16))), 4)
    np.testing.assert_allclose(state.block_sum, np.asarray(state.priority).sum(axis=1), rtol=1e-6)
    now = jax.jit(lambda x: x.sum(axis=1))(state.priority)
    np.testing.assert_array_equal(state.block_sum, now)


@pytest.mark.parametrize(
    ("capacity", "updates"), [(104, 300), pytest.param(5000, 100_000, marks=pytest.mark.slow)]
)
def test_items_are_drawn_in_proportion_to_their_priorities(capacity, updates):
    errors = np.exp(np.random.default_rng(0).normal(size=(updates, 32)))
    state = updated(priorities.init(capacity, 8), np.float32(errors), 8)
    index = sample(state, jax.random.key(0), 100 * capacity)
    assert_drawn_in_proportion(np.asarray(index), np.float64(flat(state)))


# --- What has no priority ---------------------------------------------------------------------

weights = st.one_of(
    st.just(0.0),
    st.floats(2**-100, 2**-60, width=32),
    st.floats(0.5, 2, width=32),
    st.floats(2**20, 2**30, width=32),
)
ENDS = np.float32([0.0, 2.0**-24, 0.5, 1 - 2.0**-23, 1 - 2.0**-24])


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.lists(weights, min_size=13, max_size=13).filter(any), st.integers(0, 2**32 - 1))
def test_nothing_without_weight_is_found_at_either_end_or_between(values, seed):
    shares = np.concatenate([ENDS, np.random.default_rng(seed).random(59, np.float32)])
    found = locate(jnp.float32(values), shares)
    assert found.max() < 13
    assert (np.float32(values)[found] > 0).all()


def test_a_share_falls_where_the_running_sum_says():
    values = np.random.default_rng(0).integers(5, size=100)
    total = values.sum()
    # In the middle of each unit of weight, where no rounding decides.
    shares = (np.arange(total) + 0.5) / total
    expected = np.repeat(np.arange(100), values)
    np.testing.assert_array_equal(locate(jnp.float32(values), jnp.float32(shares)), expected)


@pytest.mark.parametrize("size", SIZES)
def test_only_what_was_written_is_drawn(size):
    capacity, num_envs = size
    state = priorities.init(capacity, num_envs)
    for iteration in range(min(3, capacity // num_envs)):
        state = add(state, iteration, num_envs)
        index = sample(state, jax.random.key(iteration), 300)
        # 300 draws from at most 12: each of them is seen.
        np.testing.assert_array_equal(np.unique(index), np.arange((iteration + 1) * num_envs))


def test_an_item_whose_priority_became_zero_is_not_drawn():
    state = holding(np.ones(1000), num_envs=2)
    gone = jnp.arange(0, 1000, 2)
    state = update(state, gone, jnp.zeros(500), exponent=1.0, floor=0.0)
    drawn = [sample(state, jax.random.key(seed), 300) for seed in range(70)]
    assert (np.array(drawn) % 2 == 1).all()


# --- Importance weights -----------------------------------------------------------------------


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.integers(0, 2**32 - 1), st.floats(0, 1))
def test_importance_weights_are_those_of_the_paper(seed, exponent):
    rng = np.random.default_rng(seed)
    priority = np.exp(rng.normal(size=50)).astype(np.float32)
    index = rng.integers(50, size=8)
    found = priorities.importance_weights(holding(priority), index, exponent)
    exact = np.float64(priority)
    expected = (50 * exact[index] / exact.sum()) ** -exponent
    np.testing.assert_allclose(found, expected / expected.max(), rtol=1e-4)


def test_without_an_importance_exponent_all_weigh_the_same():
    state = holding(np.array([1e-3, 1.0, 1e3]))
    found = priorities.importance_weights(state, jnp.array([0, 1, 2, 0]), 0.0)
    np.testing.assert_array_equal(found, np.ones(4))


# --- Many runs at once ------------------------------------------------------------------------

RUNS, CAPACITY = 3, 2**14


def ten_iterations(state, key, first):
    """Add, sample and update, as a training loop does: the state, and what was drawn."""

    def iterate(state, iteration):
        key_sample, key_error = jax.random.split(jax.random.fold_in(key, iteration))
        state = priorities.add(state, iteration, 4)
        index = priorities.sample(state, key_sample, 7)
        error = jax.random.normal(key_error, (7,))
        return priorities.update(state, index, error, exponent=EXPONENT, floor=FLOOR), index

    return jax.lax.scan(iterate, state, first + jnp.arange(10))


def stacked(state):
    return jax.tree.map(lambda leaf: jnp.stack([leaf] * RUNS), state)


@pytest.fixture(scope="module")
def runs_in_a_loop():
    """`ten_iterations` of several runs, compiled."""
    runs = jax.jit(jax.vmap(ten_iterations, (0, 0, None)), donate_argnums=0)  # over R
    states, keys = stacked(priorities.init(CAPACITY, 4)), jax.random.split(jax.random.key(0), RUNS)
    return runs.lower(states, keys, 0).compile()


@pytest.fixture(scope="module")
def one_run_in_a_loop():
    """`ten_iterations` of one run, compiled with its first call."""
    return jax.jit(ten_iterations)


def test_runs_in_a_batch_are_to_the_bit_what_they_are_alone(runs_in_a_loop, one_run_in_a_loop):
    start, keys = priorities.init(CAPACITY, 4), jax.random.split(jax.random.key(0), RUNS)
    states, drawn = runs_in_a_loop(stacked(start), keys, 0)
    assert (drawn[0] != drawn[1]).any()
    for run in range(RUNS):
        state, index = one_run_in_a_loop(start, keys[run], 0)
        np.testing.assert_array_equal(drawn[run], index)
        for together, alone in zip(jax.tree.leaves(states), jax.tree.leaves(state), strict=True):
            np.testing.assert_array_equal(together[run], alone)


def test_a_second_call_compiles_nothing(one_run_in_a_loop):
    state, _ = one_run_in_a_loop(priorities.init(CAPACITY, 4), jax.random.key(0), 0)
    one_run_in_a_loop(state, jax.random.key(1), 10)
    assert one_run_in_a_loop._cache_size() == 1


def test_a_write_of_many_runs_is_a_slice_update_and_no_scatter():
    write = jax.jit(jax.vmap(priorities.add, (0, None, None)), static_argnums=2)  # over R
    program = write.lower(stacked(priorities.init(3000, 4)), 0, 4).compile().as_text()
    assert program.count(" dynamic-update-slice(") == 2
    assert " scatter(" not in program and " while(" not in program


def test_many_runs_are_changed_in_place(runs_in_a_loop):
    memory = runs_in_a_loop.memory_analysis()
    size = RUNS * sum(leaf.nbytes for leaf in jax.tree.leaves(priorities.init(CAPACITY, 4)))
    assert memory.alias_size_in_bytes == size
    assert memory.temp_size_in_bytes < size / 4
