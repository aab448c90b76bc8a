"""The registered environments at their default settings, for the conformance tests.

Random play of each is compiled once per session, however many test files look at it.
"""

from __future__ import annotations

import functools

import jax
import numpy as np

from jaxparl.envs import REGISTRY, make
from jaxparl.testing import Case

NAMES = list(REGISTRY)


@functools.cache
def case_of(name):
    return Case(*make(name))


def same(tree, other):
    """Whether two trees of one structure are equal to the bit."""
    pairs = zip(jax.tree.leaves(tree), jax.tree.leaves(other), strict=True)
    return all(np.array_equal(leaf, leaf_other) for leaf, leaf_other in pairs)
