"""What black boxes face under every scheme of a game: who offers what, and the scheme's number."""

from __future__ import annotations

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp

from jaxparl.environment import Environment
from jaxparl.equilibrium.mechanisms import Cooperation, cooperation
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
    tables = _offers(learner, principal, found)
    stacked = jax.tree.map(lambda *leaves: jnp.stack(leaves), *tables.values())
    numbers = [list(tables).index(name if name in tables else "principal") for name in names]

    def of_scheme(given: tuple[Scheme, jax.Array]) -> Terms:
        scheme, number = given
        return make_terms(learner, jax.tree.map(lambda leaf: leaf[number], stacked), scheme)

    return jax.lax.map(of_scheme, (scheme, jnp.array(numbers)))


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
        if name in ("principal", "conditional") and schemes.sees_others(env):
            scheme = dataclasses.replace(scheme, introduction=hyper_params.introductory_nudge)
        each.append(scheme)
    stacked: Scheme = jax.tree.map(
        lambda *values: jnp.stack([jnp.float32(value) for value in values]), *schemes.alike(each)
    )
    return stacked


def _offers(learner: Learner, principal: OfferTable, found: Cooperation) -> dict[str, OfferTable]:
    """The principal's offers, and those of the chosen schemes that ask for cooperation."""
    problem = learner.problem
    asked = found.action.astype(principal.recommendation.dtype)
    nothing = jnp.zeros_like(principal.payment)
    has_together = principal.together is not None
    offers = {
        "principal": principal,
        "fine": OfferTable(asked, nothing, nothing if has_together else None),
    }
    chosen = problem.config.schemes
    if "pigovian" in chosen:
        # A tax depends on what is done instead: all are written out by outcome.
        is_asked = jax.nn.one_hot(asked, problem.env.num_outcomes)
        tax = found.harm + problem.hyper_params.nudge * (1 - is_asked)
        paid = -tax.astype(principal.payment.dtype)
        offers = {name: _by_outcome(problem.env, table) for name, table in offers.items()}
        offers["pigovian"] = OfferTable(asked, paid, paid if has_together else None)
    return {name: offers[name] for name in ("principal", *chosen) if name in offers}


def _by_outcome(env: Environment, table: OfferTable) -> OfferTable:
    """The same offers with payments for every outcome, `[S, N, O]`."""
    is_asked = jax.nn.one_hot(table.recommendation, env.num_outcomes, dtype=bool)

    def spread(payment: jax.Array | None) -> jax.Array | None:
        return None if payment is None else jnp.where(is_asked, payment[..., None], 0.0)

    payment = spread(table.payment)
    assert payment is not None
    return OfferTable(table.recommendation, payment, spread(table.together))
