"""Who follows, and who plays its own policy: the mixes that validation compares."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from jaxparl.validation.schemes import Scheme


class Mixes(NamedTuple):
    """The M mixes of own and recommended policies, 2N + 2 at most.

    Attributes:
      follows: `[M, N]` bool, who follows in each of them.
      nobody: the number of the mix in which nobody follows: all play their own policies.
      everyone: of that in which everyone follows.
      only: `[N]`, of those in which only one follows, by agent.
      all_but: `[N]`, of those in which all but one follow, by agent.
    """

    follows: np.ndarray
    nobody: int
    everyone: int
    only: np.ndarray
    all_but: np.ndarray


def mixes(num_agents: int) -> Mixes:
    """Those that are compared; where two are the same, once.

    Examples:
      >>> found = mixes(2)
      >>> found.follows.astype(int).tolist(), found.only.tolist(), found.all_but.tolist()
      ([[0, 0], [1, 0], [0, 1], [1, 1]], [1, 2], [2, 1])
      >>> mixes(1).follows.astype(int).tolist(), len(mixes(20).follows)
      ([[0], [1]], 42)
    """
    only = np.eye(num_agents, dtype=bool)
    every = np.stack([np.zeros(num_agents, bool), *only, *~only, np.ones(num_agents, bool)])
    rows = list(dict.fromkeys(map(tuple, every.tolist())))
    place = [rows.index(tuple(row)) for row in every.tolist()]
    return Mixes(
        follows=np.array(rows),
        nobody=place[0],
        everyone=place[-1],
        only=np.array(place[1 : num_agents + 1]),
        all_but=np.array(place[num_agents + 1 : -1]),
    )


def is_needed(mixed: Mixes, scheme: Scheme) -> jax.Array:
    """Which mixes tell anything under a scheme, `[M]` bool.

    Without recommendations all of them are the same as the first. Where one agent at a time has
    learned against followers, only those with all others following are of what it has learned.
    """
    own = np.arange(len(mixed.follows)) == mixed.nobody
    alone = np.isin(np.arange(len(own)), [mixed.everyone, *mixed.all_but])
    by_scheme = jnp.where(is_alone(scheme), jnp.asarray(alone), True)
    return jnp.where(jnp.asarray(scheme.contract_weight) > 0, by_scheme, jnp.asarray(own))


def is_alone(scheme: Scheme) -> ArrayLike:
    """`[]` bool, whether one agent at a time learns, and the others follow."""
    if scheme.others_follow is None:
        return False
    return jnp.asarray(scheme.others_follow) > 0
