"""The one exception a person is meant to read, and what messages are made of.

It is raised wherever input, configuration or the surroundings are at fault. The message
names the value, the place and what to do; the command line prints it without a traceback.
"""

import re
from collections.abc import Iterable

_PASSWORD = re.compile(r"(?<=://)[^/\s@]*:[^/\s@]*@")


class SkyOpsError(Exception):
    """A failure whose message is one clear sentence for the reader."""


class Stopped(SkyOpsError):
    """A person stopped it (Ctrl-C); the message says what stays. No failure, so not an "Error"."""


def storable(text: str, most: int = 100_000) -> str:
    """A text as Postgres takes it, of ``most`` characters at most, without an address' password.

    Errors quote what they stumbled over: a NUL, half a character of a file's name, an address.
    """
    clean = _PASSWORD.sub("***@", text).replace("\0", "\ufffd").encode("utf-8", "replace").decode()
    return clean if len(clean) <= most else f"{clean[:most]} ... ({len(clean) - most} more)"


def first_few(things: Iterable[object], most: int = 5) -> str:
    """The first of them in words, and how many more there are: "a; b; and 3 more"."""
    words = [str(thing) for thing in things]
    return "; ".join([*words[:most], *([f"and {len(words) - most} more"] * (len(words) > most))])
