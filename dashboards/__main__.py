"""`python -m dashboards FOLDER`: write each board's JSON into a folder."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from dashboards import command_centre, fleet, service


def main(folder: Path) -> None:
    """Write them all."""
    for module in (command_centre, service, fleet):
        board = module.board().builder.build()
        text = json.dumps(board, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False)
        (folder / f"{str(board.uid).removeprefix('skyops-')}.json").write_text(f"{text}\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
