"""Whether a game keeps what it promises.

`check_env` says all that is wrong with it, for its author. `check_game` is the fast part of that,
before every training. `inspection` has the order in which things are looked at.
"""

from jaxparl.evaluation.checks.before_training import check_finite as check_finite
from jaxparl.evaluation.checks.before_training import check_game as check_game
from jaxparl.evaluation.checks.before_training import exact_side as exact_side
from jaxparl.evaluation.checks.endings import may_end as may_end
from jaxparl.evaluation.checks.report import check_env as check_env
from jaxparl.evaluation.checks.report import describe as describe

__all__ = ["check_env", "check_finite", "check_game", "describe", "exact_side", "may_end"]
