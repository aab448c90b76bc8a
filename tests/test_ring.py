"""The ring of transitions, against a model in NumPy that writes one item after the other."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from jaxparl.learning import ring

# (capacity, E): one write at a time, several to a round, all of it at once.
SIZES = [(5, 1), (6, 2), (12, 4), (4, 4)]
add = jax.jit(ring.add)


def draw_and_take(stored, key, iteration, num_envs, batch_size):
    capacity = jax.tree.leaves(stored)[0].shape[0]
    index = ring.draw(key, iteration, capacity=capacity, num_envs=num_envs, batch_size=batch_size)
    return ring.take(stored, index)


sample = jax.jit(draw_and_take, static_argnums=(3, 4))


def numbered(first, count):
    """Items that say in every leaf which write they come from; 0 is nobody's number."""
    number = first + 1 + jnp.arange(count)
    return {"node": number, "reward": jnp.stack([number, -number], axis=-1).astype(jnp.float32)}


def filled_ring(capacity, num_envs, iterations):
    """A ring after that many iterations of numbered items."""
    stored = ring.init(jax.tree.map(lambda leaf: leaf[0], numbered(0, 1)), capacity)
    for iteration in range(iterations):
        stored = add(stored, numbered(iteration * num_envs, num_envs), iteration)
    return stored


@settings(max_examples=40, deadline=None, derandomize=True)
@given(st.sampled_from(SIZES), st.integers(0, 2**32 - 1), st.integers(0, 20))
def test_a_ring_holds_what_a_list_that_drops_the_oldest_holds(size, seed, iterations):
    capacity, num_envs = size
    rng = np.random.default_rng(seed)
    stored = ring.init({"node": jnp.int32(0), "reward": jnp.zeros(2)}, capacity)
    model = {"node": np.zeros(capacity, np.int32), "reward": np.zeros((capacity, 2), np.float32)}
    count = 0
    for iteration in range(iterations):
        items = {
            "node": rng.integers(100, size=num_envs, dtype=np.int32),
            "reward": rng.normal(size=(num_envs, 2)).astype(np.float32),
        }
        stored = add(stored, items, iteration)
        for env in range(num_envs):
            for name, leaf in model.items():
                leaf[count % capacity] = items[name][env]
            count += 1
    for name, leaf in model.items():
        np.testing.assert_array_equal(stored[name], leaf)
        assert stored[name].dtype == leaf.dtype


@pytest.mark.parametrize("iteration", [2**28 + 1, 2**31 - 2])
def test_a_run_may_store_more_steps_than_an_int32_can_count(iteration):
    capacity, num_envs = 24, 8
    stored = add(filled_ring(capacity, num_envs, 0), numbered(0, num_envs), jnp.int32(iteration))
    start = iteration * num_envs % capacity  # in Python's integers, which do not overflow
    np.testing.assert_array_equal(np.flatnonzero(stored["node"]), start + np.arange(num_envs))
    full = filled_ring(capacity, num_envs, 3)
    batch = sample(full, jax.random.key(0), jnp.int32(iteration), num_envs, 300)
    np.testing.assert_array_equal(np.unique(batch["node"]), 1 + np.arange(capacity))


@pytest.mark.parametrize("size", SIZES)
def test_only_what_was_written_is_drawn_and_items_stay_whole(size):
    capacity, num_envs = size
    for iterations in (1, 2, 3, 2 * capacity // num_envs + 1):
        stored = filled_ring(capacity, num_envs, iterations)
        batch = sample(stored, jax.random.key(iterations), iterations - 1, num_envs, 200)
        written = iterations * num_envs
        oldest = max(0, written - capacity)
        # 200 draws from at most 12: each of them is seen, the newest included.
        np.testing.assert_array_equal(np.unique(batch["node"]), np.arange(oldest, written) + 1)
        np.testing.assert_array_equal(batch["reward"][:, 0], batch["node"])
        np.testing.assert_array_equal(batch["reward"][:, 1], -batch["node"])


@pytest.mark.parametrize("iterations", [2, 3, 7])
def test_draws_are_uniform(iterations):
    stored = filled_ring(12, 4, iterations)
    keys = jax.random.split(jax.random.key(0), 30)
    batches = [sample(stored, key, iterations - 1, 4, 200)["node"] for key in keys]
    _, counts = np.unique(batches, return_counts=True)
    assert len(counts) == min(4 * iterations, 12)
    assert stats.chisquare(counts).pvalue > 1e-3


def test_the_key_alone_decides_what_is_drawn():
    stored = filled_ring(12, 4, 3)
    batches = [sample(stored, jax.random.key(seed), 2, 4, 200)["node"] for seed in (0, 0, 1)]
    np.testing.assert_array_equal(batches[0], batches[1])
    assert (batches[0] != batches[2]).any()


# --- Many runs at once ------------------------------------------------------------------------

RUNS = 3
add_to_runs = jax.vmap(ring.add, (0, 0, None))  # over R, the iteration is shared


def write_in_a_loop(rings, items, first):
    """Ten writes to `[R, capacity]` rings, as the training loop makes them."""

    def write(rings, iteration):
        return add_to_runs(rings, items, iteration), None

    return jax.lax.scan(write, rings, first + jnp.arange(10))[0]


def rings_and_items(capacity, num_envs):
    stored = filled_ring(capacity, num_envs, 1)
    items = [numbered(100 * run, num_envs) for run in range(RUNS)]
    rings = jax.tree.map(lambda leaf: jnp.stack([leaf] * RUNS), stored)
    return rings, jax.tree.map(lambda *leaves: jnp.stack(leaves), *items)


def test_runs_in_a_batch_store_and_draw_what_they_do_alone():
    rings, items = rings_and_items(12, 4)
    written = add_to_runs(rings, items, 4)
    keys = jax.random.split(jax.random.key(0), RUNS)
    drawn = jax.vmap(draw_and_take, (0, 0, None, None, None))(written, keys, 4, 4, 200)  # over R
    for run in range(RUNS):
        stored, item = jax.tree.map(lambda leaf, run=run: leaf[run], (rings, items))
        alone = add(stored, item, 4)
        np.testing.assert_array_equal(written["reward"][run], alone["reward"])
        batch = sample(alone, keys[run], 4, 4, 200)
        np.testing.assert_array_equal(drawn["reward"][run], batch["reward"])


def loops_and_scatters(program):
    """Whether a compiled program writes row by row: the CPU turns a scatter into a loop."""
    return re.findall(r" (scatter|while)\(", program.as_text())


def test_a_write_of_many_runs_is_a_slice_update_and_no_scatter():
    # JAX batches a slice update as a scatter to a single place, which XLA turns back into the
    # slice update that it is. Only the compiled program tells.
    rings, items = rings_and_items(12, 4)
    shared = jax.jit(add_to_runs).lower(rings, items, 0).compile()
    assert " dynamic-update-slice(" in shared.as_text() and not loops_and_scatters(shared)
    # What it would be if every run had a counter of its own; so the test can tell.
    own_counter = jax.jit(jax.vmap(ring.add))
    assert loops_and_scatters(own_counter.lower(rings, items, jnp.arange(RUNS)).compile())


def test_a_write_of_many_runs_is_made_in_place():
    rings, items = rings_and_items(4096, 4)
    in_a_loop = jax.jit(write_in_a_loop, donate_argnums=0)
    memory = in_a_loop.lower(rings, items, 0).compile().memory_analysis()
    size = sum(leaf.nbytes for leaf in jax.tree.leaves(rings))
    assert memory.alias_size_in_bytes == size
    assert memory.temp_size_in_bytes < size / 10
