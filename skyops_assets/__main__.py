"""Where the command `skyops` begins: whatever a person interrupts ends in one line and with 130.

The command line itself is `cli`; importing it takes a second, in which Ctrl-C may come.
"""

from __future__ import annotations

import sys

from skyops_assets.garbage import collect_rarely


def main() -> None:
    """Import and run the command line."""
    collect_rarely()
    try:
        from skyops_assets.cli.__main__ import main as run

        run()
    except KeyboardInterrupt:
        sys.stderr.write("Stopped.\n")
        sys.exit(130)


if __name__ == "__main__":
    main()
