"""Precision, ties and ratios, against NumPy."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxparl.numbers import in_32_bits, mean_ratio, narrow, precision_of, ratio, ties
from jaxparl.types import PlayValue


def test_a_ratio_is_undefined_where_the_whole_is_not_positive():
    parts, wholes = np.float32([1, 2, 3, 0, 1]), np.float32([4, 0, -2, 5, np.nan])
    np.testing.assert_array_equal(ratio(parts, wholes), [0.25, np.nan, np.nan, 0, np.nan])
    assert mean_ratio(parts[:1], wholes[:1]) == 0.25
    assert np.isnan(mean_ratio(parts[:2], wholes[:2]))
    rng = np.random.default_rng(0)
    parts, wholes = rng.normal(size=100), rng.uniform(0.1, 9, 100)
    expected = np.float32(parts) / np.float32(wholes)
    np.testing.assert_array_equal(ratio(jnp.asarray(parts), jnp.asarray(wholes)), expected)


@pytest.mark.parametrize(
    ("welfare", "payment", "share"),
    [(4, 1, 0.25), (4, 0, 0), (0, 0, 0), (-4, 0, 0), (0, 1, np.nan), (-4, 1, np.nan)],
)
def test_what_is_paid_is_a_share_of_welfare_if_there_is_any(welfare, payment, share):
    value = PlayValue(jnp.float32(welfare), jnp.float32(payment), jnp.zeros(2))
    np.testing.assert_array_equal(value.payment_share, share)


def test_numbers_as_close_as_rounding_tie():
    best = jnp.float32(100.0)
    values = jnp.array([100.0, 100 - 9e-4, 100 - 2e-3])
    assert ties(values, best).tolist() == [True, True, False]
    assert ties(values, best, dtype=jnp.float64).tolist() == [True, False, False]


def test_float64_is_computed_with_where_an_array_is_of_that_type():
    single, double = np.zeros(2, np.float32), np.zeros(2)
    assert precision_of(single, double) == jnp.float32  # which is what JAX makes of it by default
    with jax.numpy_dtype_promotion("standard"):
        assert precision_of(jnp.zeros(2, jnp.bfloat16), np.int32(1), 0.5) == jnp.float32


def test_32_bits_are_passed_on_as_they_are():
    given = {"a": np.zeros(2), "b": np.int64([2**20]), "c": "word", "d": np.float32(1), "e": None}
    found = narrow(given)
    assert (found["a"].dtype, found["b"].dtype) == (np.float32, np.int32)
    assert found["c"] == "word" and found["d"] is given["d"]
    assert in_32_bits(lambda a, *, b: (a, b))(given["a"], b=found["b"])[1] is found["b"]


def test_a_jax_that_cannot_switch_to_32_bits_is_told_to_be_left_in_them(monkeypatch):
    learn = in_32_bits(lambda: jnp.zeros(2))
    monkeypatch.delattr(jax, "enable_x64", raising=False)
    assert learn().dtype == jnp.float32
    jax.config.update("jax_enable_x64", True)
    try:
        with pytest.raises(ValueError, match="learning computes in float32: unset JAX_ENABLE_X64"):
            learn()
    finally:
        jax.config.update("jax_enable_x64", False)
