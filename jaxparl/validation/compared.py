"""What black boxes face under every scheme of a game: who offers what, and the scheme's number."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jaxparl.environment import Environment
from jaxparl.equilibrium.mechanisms import Cooperation, cooperation, externality
from jaxparl.learning.learner import Learner
from jaxparl.learning.state import Weights
from jaxparl.validation import schemes
from jaxparl.validation.frozen import FrozenPrincipal, OfferTable, followed_play, freeze
from jaxparl.validation.schemes import MECHANISMS, Scheme, scheme_names
from jaxparl.validation.terms import Terms, make_terms

#: What a nudge is worth, as a share of the welfare that the principal reaches; the paper's.
NUDGE_SHARE = 0.1


def compared_terms(learner: Learner, weights: Weights) -> Terms:
    """What black boxes face under each scheme of a game, `[K, ...]`, side by side.

    Args:
      learner: of the principal's training, whose config says which schemes.
      weights: of the trained principal.
    """
    problem = learner.problem
    names = scheme_names(problem.env, problem.config.schemes)
    principal = freeze(learner, weights, conditional="conditional" in names)
    found = None
    if set(names) & set(MECHANISMS):
        found = cooperation(problem.env, problem.env_params)
    scheme = _schemes(learner, principal, found)
    # over K, one after the other: the tables of a large game are large.
    if found is None:
        return jax.lax.map(partial(make_terms, learner, principal), scheme)
    assert isinstance(principal, OfferTable)
    tables = _by_outcome(problem.env, principal), *_asking_for_cooperation(principal, found)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tables)
    number = [{"fine": 1, "pigovian": 2}.get(name, 0) for name in names]

    def of_scheme(given: tuple[Scheme, jax.Array]) -> Terms:
        scheme, number = given
        return make_terms(learner, jax.tree.map(lambda leaf: leaf[number], stacked), scheme)

    return jax.lax.map(of_scheme, (scheme, jnp.array(number)))


def _schemes(learner: Learner, principal: FrozenPrincipal, found: Cooperation | None) -> Scheme:
    """All schemes of a game, `[K]`."""
    env, config = learner.problem.env, learner.problem.config
    followed = followed_play(learner, principal)
    compared = {
        has_nudge: schemes.comparable_schemes(env, followed, NUDGE_SHARE if has_nudge else 0.0)
        for has_nudge in (False, True)
    }
    hyper_params, each = learner.problem.hyper_params, []
    for name, has_nudge in scheme_names(env, config.schemes).values():
        if name in MECHANISMS:
            assert found is not None
            each.append(schemes.mechanism(name, found, hyper_params.nudge))
            continue
        scheme = schemes.conditional() if name == "conditional" else compared[has_nudge][name]
        if name in ("principal", "conditional") and env.num_agents > 1 and env.observed_actions:
            scheme = dataclasses.replace(scheme, introduction=hyper_params.introductory_nudge)
        each.append(scheme)
    stacked: Scheme = jax.tree.map(
        lambda *values: jnp.stack([jnp.float32(value) for value in values]), *schemes.alike(each)
    )
    return stacked


def _by_outcome(env: Environment, principal: OfferTable) -> OfferTable:
    """The same offers with payments for every outcome, `[S, N, O]`."""
    is_asked = jax.nn.one_hot(principal.recommendation, env.num_outcomes, dtype=bool)

    def spread(payment: jax.Array | None) -> jax.Array | None:
        return None if payment is None else jnp.where(is_asked, payment[..., None], 0.0)

    payment = spread(principal.payment)
    assert payment is not None
    return OfferTable(principal.recommendation, payment, spread(principal.together))


def _asking_for_cooperation(
    principal: OfferTable, found: Cooperation
) -> tuple[OfferTable, OfferTable]:
    """Offers that ask for cooperation: one pays nothing, the other the externalities."""
    asked = found.action.astype(principal.recommendation.dtype)
    paid = externality(found)
    nothing = jnp.zeros_like(paid)
    if principal.together is None:
        return OfferTable(asked, nothing), OfferTable(asked, paid)
    return OfferTable(asked, nothing, nothing), OfferTable(asked, paid, paid)
