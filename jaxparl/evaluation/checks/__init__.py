"""Whether a game keeps what it promises: found out before anything is trained."""

from jaxparl.evaluation.checks.before_training import check_finite as check_finite
from jaxparl.evaluation.checks.before_training import check_game as check_game
from jaxparl.evaluation.checks.before_training import exact_side as exact_side
from jaxparl.evaluation.checks.before_training import may_end as may_end

__all__ = ["check_finite", "check_game", "exact_side", "may_end"]
