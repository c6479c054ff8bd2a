"""The disks that a full one of which stops everything: SKYOPS_HOME's and the server's.

Belongs here: which they are, and what is free. Does not: how much is enough (`operations.health`,
`quality.periodic`).
"""

from __future__ import annotations

import shutil
from pathlib import Path

from skyops_assets.warehouse import citus
from skyops_assets.warehouse.connection import Warehouse


def data_folder(warehouse: Warehouse, home: Path) -> Path | None:
    """Where the server keeps its data; None where that is another machine, or may not be known.

    A server of one's own tells its folder to superusers and members of pg_read_all_settings.
    """
    if warehouse.is_embedded:
        return home
    with warehouse.connect() as connection, connection.cursor() as cursor:
        # A server in a container has another address there, and a folder of the same name here
        # would be another one.
        cursor.execute(
            "select setting from pg_settings where name = 'data_directory' "
            "and (inet_server_addr() is null or host(inet_server_addr()) in ('127.0.0.1', '::1'))"
        )
        row = cursor.fetchone()
    folder = Path(row[0]) if row else None
    try:
        return folder if folder and folder.is_dir() else None
    except PermissionError:
        return None


def free_bytes(warehouse: Warehouse, home: Path) -> int | None:
    """What is free on the disk of the server's data; None where that cannot be known.

    Of a Citus cluster it is the worker's that has the least.
    """
    if not warehouse.is_embedded:
        with warehouse.connect() as connection, connection.cursor() as cursor:
            if of_workers := citus.free_bytes(cursor):
                return min(of_workers)
    folder = data_folder(warehouse, home)
    return None if folder is None else shutil.disk_usage(folder).free
