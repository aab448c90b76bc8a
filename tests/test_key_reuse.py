"""Keys that are used twice are found in every kind of program, and right programs pass."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import pytest
from jax import lax, random

from jaxparl.evaluation.checks.keys import find_reuse


@jax.jit
def draws(key):
    return random.uniform(key)


def split_after_use(key):
    first = random.uniform(key)
    return first, random.split(key)


def part_used_twice(key):
    first, _ = random.split(key)
    return random.uniform(first) + random.normal(first)


def slice_used_twice(key):
    keys = random.split(key, 4)
    return jax.vmap(random.uniform)(keys[1:]).sum() + random.uniform(keys[2])


def scans_what_it_used(key):
    keys = random.split(key, 3)
    return lax.scan(lambda total, key: (total + random.uniform(key), None), 0.0, keys), keys[0]


def uses_what_it_scanned(key):
    keys = random.split(key, 3)
    total, _ = lax.scan(lambda total, key: (total + random.uniform(key), None), 0.0, keys)
    return total + random.uniform(keys[0])


def same_key_in_every_iteration(key):
    return lax.scan(lambda total, _: (total + random.uniform(key), None), 0.0, None, 3)


def key_that_is_carried_on(key):
    return lax.scan(lambda key, _: (key, random.uniform(key)), key, None, 3)


def key_that_is_carried_on_in_a_while(key):
    return lax.while_loop(lambda now: now[1] < 1, lambda now: (now[0], draws(now[0])), (key, 0.0))


def branch_and_after(key):
    drawn = lax.cond(jnp.float32(0) > 1, random.uniform, random.normal, key)
    return drawn + random.uniform(key)


def within_jit(key):
    return draws(key) + jax.checkpoint(random.normal)(key)


WRONG = (
    *(split_after_use, part_used_twice, slice_used_twice, uses_what_it_scanned),
    *(same_key_in_every_iteration, key_that_is_carried_on, key_that_is_carried_on_in_a_while),
    *(branch_and_after, within_jit),
)


def one_of_several_by_a_counter(key):
    keys = random.split(key, 3)
    return lax.fori_loop(0, 3, lambda number, total: total + random.uniform(keys[number]), 0.0)


def folded(key):
    return random.uniform(random.fold_in(key, 0)) + random.uniform(random.fold_in(key, 1))


def one_branch_of_two(key):
    return lax.cond(jnp.float32(0) > 1, random.uniform, random.normal, key)


def split_in_a_loop(key):
    def draw(key, _):
        key, now = random.split(key)
        return key, random.uniform(now)

    return lax.scan(draw, key, None, 3)


def every_part_once(key):
    first, *others = random.split(key, 4)
    return random.uniform(first) + sum(random.normal(other) for other in others)


def the_same_number_for_all(key):
    return jax.vmap(lambda x: x + random.uniform(key))(jnp.arange(3.0))


def with_many_distributions(key):
    one, two, three, four, five = random.split(key, 5)
    return (
        random.poisson(one, 3.0) + random.binomial(two, 10, 0.3),
        random.gamma(three, 2.0) + random.dirichlet(four, jnp.ones(3)),
        random.choice(five, 5, (2,), replace=False),
    )


RIGHT = (
    *(scans_what_it_used, one_of_several_by_a_counter, folded, one_branch_of_two),
    *(split_in_a_loop, every_part_once, the_same_number_for_all, with_many_distributions),
)


@pytest.mark.parametrize("function", WRONG, ids=lambda function: function.__name__)
def test_a_key_that_is_used_twice_is_found(function):
    assert find_reuse(function, [random.key(0)])


@pytest.mark.parametrize("function", RIGHT, ids=lambda function: function.__name__)
def test_right_programs_pass(function):
    assert find_reuse(function, [random.key(0)]) == []


def test_the_line_is_that_of_the_second_use():
    line = split_after_use.__code__.co_firstlineno + 2
    assert find_reuse(split_after_use, [random.key(0)], [__file__]) == [
        f" (test_key_reuse.py, line {line})"
    ]
