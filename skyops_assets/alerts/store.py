"""Alerts in the warehouse: opened once, recovered, and each notice kept until its channel took it.

Belongs here: `audit.alerts` and `audit.alert_notices`, and what else in `audit` gives rise to an
alert. Does not: what Dagster knows of runs and checks (`defs/alerts`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from skyops_assets.alerts import channels, routes
from skyops_assets.alerts.problems import Observation, of_champion_change, of_r2
from skyops_assets.errors import SkyOpsError, storable
from skyops_assets.settings import Settings
from skyops_assets.warehouse.connection import Warehouse

AT_ONCE = 50
"""Notices that one tick sends on a channel, so that it ends in time."""
MOST = 3_000
"""Characters of an alert's details: Rocket.Chat takes 5,000, Mattermost 16,000, Slack 40,000."""
TRIES = 10
"""After so many a notice goes behind the others: one that is refused is refused for ever."""


@dataclass(frozen=True)
class Noted:
    """What observations changed: problems opened and recovered."""

    opened: int
    recovered: int


@dataclass(frozen=True)
class Sent:
    """What became of the notices: how many arrived, and the error of each channel that failed."""

    arrived: int
    failures: dict[str, str]


def note(warehouse: Warehouse, settings: Settings, observations: Iterable[Observation]) -> Noted:
    """Open and close alerts, and set down what each channel is to be told, in one transaction.

    The same observation twice, or one older than what is known of its problem, changes nothing.
    """
    opened = recovered = 0
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtext('skyops.alerts'))")
        cursor.execute("select problem from audit.alerts where recovered_at is null")
        told = sorted(observations, key=lambda one: one.seen_at)
        # Most of what is seen is green and was: it changes nothing.
        lasting = {problem for (problem,) in cursor.fetchall()}
        lasting |= {seen.problem for seen in told if seen.is_red}
        for seen in (one for one in told if one.problem in lasting):
            details = storable(seen.details, MOST)
            cursor.execute(
                "select alert_id, owners, recovered_at is null, "
                "greatest(last_seen_at, recovered_at) >= %s "
                "from audit.alerts where problem = %s order by alert_id desc limit 1",
                (seen.seen_at, seen.problem),
            )
            alert_id, owners, is_open, is_known = cursor.fetchone() or (None, None, False, False)
            if is_known or (seen.is_event and alert_id is not None):
                continue
            if seen.is_red and is_open:
                cursor.execute(
                    "update audit.alerts set last_seen_at = %s, times_seen = times_seen + 1, "
                    "details = %s where alert_id = %s",
                    (seen.seen_at, details, alert_id),
                )
            elif seen.is_red:
                cursor.execute(
                    "insert into audit.alerts (problem, kind, owners, title, details, opened_at, "
                    "last_seen_at, recovered_at) values (%s, %s, %s, %s, %s, %s, %s, %s) "
                    "returning alert_id",
                    (seen.problem, seen.kind, list(seen.owners), seen.title, details,
                     seen.seen_at, seen.seen_at, seen.seen_at if seen.is_event else None),
                )  # fmt: skip
                (alert_id,) = cursor.fetchone()  # type: ignore[misc]
                _enqueue(cursor, settings, alert_id, seen.owners, is_recovery=False)
                opened += 1
            elif is_open:
                cursor.execute(
                    "update audit.alerts set recovered_at = %s where alert_id = %s",
                    (seen.seen_at, alert_id),
                )
                # To those who were told of the problem, whoever owns it now.
                _enqueue(cursor, settings, alert_id, owners, is_recovery=True)
                recovered += 1
    return Noted(opened, recovered)


def _enqueue(
    cursor: object, settings: Settings, alert_id: int, owners: Sequence[str], *, is_recovery: bool
) -> None:
    for target in routes.targets(settings, owners):
        cursor.execute(  # type: ignore[attr-defined]
            "insert into audit.alert_notices (alert_id, is_recovery, channel, owner) "
            "values (%s, %s, %s, %s) on conflict do nothing",
            (alert_id, is_recovery, target.channel, target.owner),
        )


def deliver(warehouse: Warehouse, settings: Settings) -> Sent:
    """Send what is unsent, the oldest first, once per call; what fails stays for the next call.

    An address that fails is not tried again in this call, and holds up no other; nor does a notice
    that it refuses hold up the next ones for more than `TRIES` calls. A process killed between
    sending and noting it sends that notice again: at least once, not at most.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "with unsent as ("
            "    select *, max(attempts) over (partition by alert_id, channel, owner) >= %s"
            "        as is_late"
            "    from audit.alert_notices where sent_at is null"
            "), numbered as ("
            "    select *, row_number() over"
            "        (partition by channel, owner order by is_late, notice_id) as n from unsent"
            ") select notice_id, channel, owner from numbered where n <= %s "
            "order by is_late, notice_id",
            (TRIES, AT_ONCE),
        )
        waiting = cursor.fetchall()
    arrived, failures, dead = 0, {}, set()
    for notice_id, channel, owner in waiting:
        address = routes.address(settings, channel, owner)
        if address is None or (channel, address) in dead:
            continue
        with warehouse.connect() as connection, connection.cursor() as cursor:
            # Locked while it is sent: two ticks at once tell nobody twice.
            cursor.execute(
                "select is_recovery, title, details, times_seen, opened_at, recovered_at "
                "from audit.alert_notices join audit.alerts using (alert_id) "
                "where notice_id = %s and sent_at is null "
                "for update of alert_notices skip locked",
                (notice_id,),
            )
            row = cursor.fetchone()
            if row is None:
                continue
            is_recovery, title, details, times_seen, opened_at, recovered_at = row
            if is_recovery:
                title = f"Recovered: {title}"
                details = (
                    f"Open from {opened_at:%Y-%m-%d %H:%M} to {recovered_at:%Y-%m-%d %H:%M} UTC, "
                    f"seen {times_seen} times."
                )
            error = None
            try:
                channels.send(settings, channel, address, f"[SkyOps] {title}", details)
                arrived += 1
            except SkyOpsError as failure:
                error = str(failure)
            except Exception as failure:
                # Whatever it is: raised here, it would end every tick at this notice. Its text may
                # hold an address.
                error = (
                    f"Nothing could be sent through {channel} ({type(failure).__name__}). Check "
                    "the SKYOPS_ALERT_ variables of this channel."
                )
            if error:
                dead.add((channel, address))
                failures[channel] = error
            cursor.execute(
                "update audit.alert_notices set attempts = attempts + 1, last_error = %s, "
                "sent_at = case when %s::text is null then clock_timestamp() end "
                "where notice_id = %s",
                (error, error, notice_id),
            )
    return Sent(arrived, failures)


def newest(warehouse: Warehouse) -> tuple[int, int]:
    """The last change_id of ``audit.champion_changes`` and log_id of ``audit.monitoring_log``."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select (select coalesce(max(change_id), 0) from audit.champion_changes), "
            "(select coalesce(max(log_id), 0) from audit.monitoring_log)"
        )
        change_id, log_id = cursor.fetchone()  # type: ignore[misc]
    return int(change_id), int(log_id)


def champion_changes_after(
    warehouse: Warehouse, change_id: int, owners: Sequence[str]
) -> tuple[list[Observation], int]:
    """Promotions and rollbacks after a row, and the last row looked at."""
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select change_id, changed_at, model_name, action, from_version, to_version, actor, "
            "reason from audit.champion_changes where change_id > %s order by change_id",
            (change_id,),
        )
        names = [column.name for column in cursor.description or ()]
        rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    last = rows[-1]["change_id"] if rows else change_id
    return [of_champion_change(owners, **row) for row in rows], last


def r2_after(
    warehouse: Warehouse, log_id: int, floor: float | None, owners: Sequence[str]
) -> tuple[list[Observation], int]:
    """R2 of the monitored windows after a row, where it could be computed, and the last row.

    Without a floor nothing is observed.
    """
    with warehouse.connect() as connection, connection.cursor() as cursor:
        cursor.execute(
            "select log_id, logged_at, r2, model_name, model_version from audit.monitoring_log "
            "where kind = 'monitor' and r2 is not null and log_id > %s order by log_id",
            (log_id,),
        )
        rows = cursor.fetchall()
    found = [
        of_r2(at, r2, floor, owners, model=model, version=version)
        for _, at, r2, model, version in rows
        if floor is not None
    ]
    return found, rows[-1][0] if rows else log_id
