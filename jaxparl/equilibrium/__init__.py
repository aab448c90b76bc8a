"""Exact solutions of a principal-agent game that is small enough to write down as a table.

Players follow Ivanov et al. 2024 (arXiv 2407.18074). For one agent solvers take a `TabularGame`,
`table`: with a horizon (`backward_induction`, `best_response`, `meta_algorithm`), where results
have a leading `T`, or without one (`value_iteration`, `stationary_meta_algorithm`). They compute in
float64 where a number of the table is float64, and in float32 otherwise. For any number of agents
`solutions_of` takes an environment; so does `cooperation`, of which the numbers of other mechanisms
are made (`least_share`, `least_fine`).
"""

from jaxparl.equilibrium.finite_horizon import Equilibrium as Equilibrium
from jaxparl.equilibrium.finite_horizon import backward_induction as backward_induction
from jaxparl.equilibrium.finite_horizon import best_response as best_response
from jaxparl.equilibrium.mechanisms import Cooperation as Cooperation
from jaxparl.equilibrium.mechanisms import cooperation as cooperation
from jaxparl.equilibrium.mechanisms import least_fine as least_fine
from jaxparl.equilibrium.mechanisms import least_share as least_share
from jaxparl.equilibrium.meta_algorithm import MetaResult as MetaResult
from jaxparl.equilibrium.meta_algorithm import meta_algorithm as meta_algorithm
from jaxparl.equilibrium.meta_algorithm import (
    stationary_meta_algorithm as stationary_meta_algorithm,
)
from jaxparl.equilibrium.solutions import JointSolutions as JointSolutions
from jaxparl.equilibrium.solutions import solutions_of as solutions_of
from jaxparl.equilibrium.tabular import check_table as check_table
from jaxparl.equilibrium.value_iteration import stationary_response as stationary_response
from jaxparl.equilibrium.value_iteration import value_iteration as value_iteration
from jaxparl.numbers import TIE_TOLERANCE as TIE_TOLERANCE
from jaxparl.types import TabularGame as TabularGame

__all__ = [
    "TIE_TOLERANCE",
    "Cooperation",
    "Equilibrium",
    "JointSolutions",
    "MetaResult",
    "TabularGame",
    "backward_induction",
    "best_response",
    "check_table",
    "cooperation",
    "least_fine",
    "least_share",
    "meta_algorithm",
    "solutions_of",
    "stationary_meta_algorithm",
    "stationary_response",
    "value_iteration",
]
