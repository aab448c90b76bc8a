"""`jaxparl COMMAND ...`, which is `python -m jaxparl COMMAND ...`."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Sequence

from jaxparl import startup


def main(argv: Sequence[str] | None = None) -> None:
    """Sets up this process and runs the command line.

    Raises:
      SystemExit: see `cli.main`.
    """
    arguments = list(sys.argv[1:] if argv is None else argv)
    try:
        startup.start(arguments)
    except (ValueError, RuntimeError) as error:
        with contextlib.suppress(OSError):  # nobody reads it
            print(f"error: {error}", file=sys.stderr)
        sys.exit(2 if isinstance(error, ValueError) else 1)
    # Not earlier: gymnax creates arrays when it is imported, and the first array fixes the devices.
    from jaxparl import cli

    # What has been imported stays. Collecting it again and again takes a tenth of tracing's time.
    gc.freeze()
    cli.main(arguments)


if __name__ == "__main__":
    main()
