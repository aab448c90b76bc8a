"""`jaxparl COMMAND ...`, which is `python -m jaxparl COMMAND ...`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence

from jaxparl import launch


def main(argv: Sequence[str] | None = None) -> None:
    """Sets up this process and runs the command line."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        launch.start(arguments)
    except (ValueError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ValueError) else 1)
    # Only now: gymnax makes arrays when it is imported, and with the first one devices are fixed.
    from jaxparl import cli

    # What was imported stays: to look through it again and again takes a tenth of the tracing.
    gc.freeze()
    cli.main(arguments)


if __name__ == "__main__":
    main()
