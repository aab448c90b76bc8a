"""A line in a notebook that is redrawn in place, with what every notebook has."""

from __future__ import annotations

import importlib
import math
import time
from typing import Any

# Between two redrawings: a notebook takes in so many messages, and no more.
_REDRAW_SECONDS = 0.1


class CellLine:
    """A line of text among the outputs of a cell; the last text stays.

    What rich redraws in a notebook needs ipywidgets.
    """

    def __init__(self) -> None:
        self._display: Any = None
        self._shown = -math.inf

    def show(self, text: str, *, is_last: bool) -> None:
        """Shows a text instead of the one before, unless that is too new; the last one always."""
        now = time.monotonic()
        if now < self._shown + _REDRAW_SECONDS and not is_last:
            return
        self._shown, content = now, {"text/plain": text}
        if self._display is None:
            # Where there is no notebook it need not be installed.
            display = importlib.import_module("IPython.display").display
            self._display = display(content, raw=True, display_id=True)
        else:
            self._display.update(content, raw=True)
