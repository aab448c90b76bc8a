"""The command line: `parsing` reads it, `commands` does what it says."""

from jaxparl.cli.commands import main
from jaxparl.cli.parsing import parse

__all__ = ["main", "parse"]
