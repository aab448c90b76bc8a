"""Least-payment contracts: the cheapest offer that makes an action the agent's best response."""

from jaxparl.contracts.least_payment import expected_payment as expected_payment
from jaxparl.contracts.least_payment import incentive_slack as incentive_slack
from jaxparl.contracts.least_payment import minimal_contract as minimal_contract
from jaxparl.contracts.least_payment import observed_action_contract as observed_action_contract
from jaxparl.types import Contract as Contract

__all__ = [
    "Contract",
    "expected_payment",
    "incentive_slack",
    "minimal_contract",
    "observed_action_contract",
]
