"""Whom an alert goes to: channels and addresses by owner, from the settings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from skyops_assets.settings import Settings


@dataclass(frozen=True)
class Target:
    """An address on a channel.

    Attributes:
        channel: ``log``, ``webhook`` or ``email``.
        owner: whose route led here.
        address: the webhook's address or the recipients; a secret, so never shown.
    """

    channel: str
    owner: str
    address: str = field(default="", repr=False)


def targets(settings: Settings, owners: Sequence[str]) -> list[Target]:
    """The log, and each webhook and list of recipients of the owners, once.

    What an owner's route does not say is taken from the general settings.

    Args:
        owners: at least one, such as ``team:skyops``.
    """
    found = [Target("log", owners[0])]
    seen: set[tuple[str, str]] = set()
    for owner in owners:
        for target in _of(settings, owner):
            if (target.channel, target.address) not in seen:
                seen.add((target.channel, target.address))
                found.append(target)
    return found


def address(settings: Settings, channel: str, owner: str) -> str | None:
    """Where a notice for an owner goes now; None if the channel has been switched off."""
    if channel == "log":
        return ""
    return next((one.address for one in _of(settings, owner) if one.channel == channel), None)


def _of(settings: Settings, owner: str) -> list[Target]:
    route = settings.alert_routes.get(owner)
    webhook_url = (route and route.webhook_url) or settings.alert_webhook_url
    recipients = (route and route.recipients) or settings.alert_recipients
    found = []
    if webhook_url:
        found.append(Target("webhook", owner, webhook_url.get_secret_value()))
    if recipients and settings.alert_smtp_host:
        found.append(Target("email", owner, ", ".join(recipients)))
    return found
