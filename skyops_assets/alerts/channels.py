"""Sending one message: to the log, to a webhook, by e-mail.

Belongs here: what goes over the wire. Does not: when, whether again (`store`), to whom (`routes`).
No error of this module quotes an address, a password, or what a server said, which may repeat them.
"""

from __future__ import annotations

import html
import logging
from urllib.parse import urlsplit

from skyops_assets.addresses import LOOPBACK
from skyops_assets.errors import SkyOpsError
from skyops_assets.settings import Settings

TIMEOUT_S = 5.0
"""A dead server must not hold the tick that sends; the next tick tries again."""
IMPLICIT_TLS_PORT = 465
"""There a mail server speaks TLS from the first byte, and not from STARTTLS on (RFC 8314)."""
log = logging.getLogger("skyops_assets.alerts")


def send(settings: Settings, channel: str, address: str, title: str, details: str) -> None:
    """Send one message.

    Args:
        address: the webhook's address, or e-mail addresses separated by commas.

    Raises:
        SkyOpsError: it did not arrive; the message names the setting to look at.
    """
    {"log": _to_log, "webhook": _to_webhook, "email": _by_email}[channel](
        settings, address, " ".join(title.split()), details
    )


def _to_log(_settings: Settings, _address: str, title: str, details: str) -> None:
    # A warning: what is below goes nowhere in a process that has set up no log.
    log.warning("%s\n%s", title, details)


def _to_webhook(_settings: Settings, address: str, title: str, details: str) -> None:
    """Slack's format, which Mattermost, Rocket.Chat and others read too."""
    import httpx

    # It logs each address that it asks, and this one is a secret.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    text = html.escape(f"*{title}*\n{details}", quote=False)
    # Raised outside the handler: httpx's error holds the request, and with it the address.
    try:
        is_here = urlsplit(address).hostname in LOOPBACK
        answer = httpx.post(address, json={"text": text}, timeout=TIMEOUT_S, trust_env=not is_here)
        problem = None if answer.is_success else f"answered {answer.status_code}"
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        problem = f"could not be reached ({type(error).__name__})"
    if problem:
        raise SkyOpsError(
            f"The webhook {problem}. See SKYOPS_ALERT_WEBHOOK_URL and SKYOPS_ALERT_ROUTES."
        )


def _by_email(settings: Settings, address: str, title: str, details: str) -> None:
    import smtplib
    import ssl
    from email.message import EmailMessage
    from email.utils import formatdate, make_msgid

    host, port = str(settings.alert_smtp_host), settings.alert_smtp_port
    is_implicit = port == IMPLICIT_TLS_PORT
    has_tls = is_implicit or settings.alert_smtp_starttls
    if settings.alert_smtp_user and not has_tls and host not in LOOPBACK:
        raise SkyOpsError(
            "A password is sent over TLS only: set SKYOPS_ALERT_SMTP_STARTTLS=true, or unset "
            "SKYOPS_ALERT_SMTP_USER."
        )
    sender = settings.alert_sender or f"skyops@{host}"
    message = EmailMessage()
    message["Subject"] = title
    message["From"] = sender
    message["To"] = address
    message["Date"] = formatdate()
    message["Message-ID"] = make_msgid(domain="skyops.invalid")
    message.set_content(details)
    problem = None
    try:
        tls = ssl.create_default_context() if has_tls else None
        with (
            smtplib.SMTP_SSL(host, port, timeout=TIMEOUT_S, context=tls)
            if is_implicit
            else smtplib.SMTP(host, port, timeout=TIMEOUT_S)
        ) as server:
            if tls and not is_implicit:
                server.starttls(context=tls)
            if settings.alert_smtp_user:
                password = settings.alert_smtp_password
                server.login(
                    settings.alert_smtp_user, password.get_secret_value() if password else ""
                )
            if refused := server.send_message(message):
                problem = f"refused {len(refused)} of the recipients"
    except (smtplib.SMTPException, OSError) as error:
        code = getattr(error, "smtp_code", None)
        problem = f"did not take the message ({type(error).__name__}{f' {code}' if code else ''})"
    if problem:
        raise SkyOpsError(
            f"The mail server {problem}. See SKYOPS_ALERT_SMTP_HOST and the settings beside it."
        )
