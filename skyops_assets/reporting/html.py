"""One HTML page for a person: tables and pictures in a single file, nothing from the web."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Sequence
from html import escape

STYLE = (
    ":root{color-scheme:light dark}"
    "body{font:15px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:72rem;padding:0 1rem}"
    "h1{font-size:1.5rem}h2{font-size:1.15rem;margin-top:2rem}"
    "div.wide{overflow-x:auto}"
    "table{border-collapse:collapse;margin:1rem 0;font-size:13px}"
    "th,td{border-bottom:1px solid #8884;padding:.3rem .6rem;text-align:left}"
    "td{font-variant-numeric:tabular-nums;vertical-align:top}img{max-width:100%;background:#fff}"
    "p.good,p.bad,p.open{border-left:.3rem solid;padding-left:.6rem;font-weight:600}"
    "p.good{border-color:#2f855a}p.bad{border-color:#c53030}p.open{border-color:#718096}"
)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Cells are text, and are escaped."""
    lines = [
        "<tr>" + "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for tag, row in (("th", head), *(("td", row) for row in rows))
    ]
    return '<div class="wide"><table>' + "\n".join(lines) + "</table></div>"


def verdict(text: str, is_good: bool | None) -> str:
    """What came out, in one line with its colour; None is for what could not be judged."""
    kind = {True: "good", False: "bad", None: "open"}[is_good]
    return f'<p class="{kind}">{escape(text)}</p>'


def image(png: bytes, what: str) -> str:
    """A PNG in the page itself; `what` is said where it cannot be seen."""
    return (
        f'<p><img alt="{escape(what)}" src="data:image/png;base64,{b64encode(png).decode()}"></p>'
    )


def page(title: str, parts: Iterable[str]) -> str:
    """The whole page; `parts` are HTML."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )
