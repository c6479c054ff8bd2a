"""Great Expectations' Data Docs: the page of a suite's last validation.

Belongs here: where the page is and how it is made fit to be read without the web. Great
Expectations' own page loads styles, scripts and pictures from ten other sites, one of them with the
time of reading in its address; they are taken out, and a few lines of style take their place.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import PurePosixPath
from typing import Any

from skyops_assets.store import DOCS, Store

FOLDER = f"{DOCS}/data_docs"
_ELSEWHERE = (
    re.compile(r"<script\b.*?</script>", re.DOTALL),
    re.compile(r"<(?:link|img)\b[^>]*>"),
    re.compile(r"url\([^)]*\)"),
    re.compile(r"<footer\b.*?</footer>", re.DOTALL),
    re.compile(r' href="[^#"][^"]*"'),
)
_STYLE = """<meta charset="utf-8"><style>
body { font: 15px/1.4 sans-serif; max-width: 62em; margin: 2em auto; padding: 0 1em; }
table { border-collapse: collapse; margin: .5em 0; }
td, th { border: 1px solid #ccc; padding: .3em .6em; text-align: left; vertical-align: top; }
.fa-check-circle::before { content: "met"; color: #176a2b; font-style: normal; }
.fa-times::before { content: "NOT MET"; color: #b00020; font-weight: bold; font-style: normal; }
nav, .card, button { display: none; }
</style></head>"""


def name(suite_name: str) -> str:
    """The name in the store of a suite's page; `skyops up` serves the folder ``docs`` above it."""
    return f"{FOLDER}/{suite_name}.html"


def suites(store: Store) -> list[str]:
    """The suites that have a page, by name.

    Raises:
        OSError: the store does not answer.
    """
    found = (PurePosixPath(file.name) for file in store.files(FOLDER))
    return [path.stem for path in found if path.suffix == ".html"]


def write(store: Store, suite_name: str, result: Any, advice: list[str]) -> None:
    """Write the page of one validation in the place of the one before.

    Args:
        result: what Great Expectations' ``validate`` returned.
        advice: what to do about each broken expectation, shown first.
    """
    from great_expectations.render.renderer import ValidationResultsPageRenderer
    from great_expectations.render.view import DefaultJinjaPageView

    document = ValidationResultsPageRenderer(run_info_at_end=True).render(result)
    text = DefaultJinjaPageView().render(document)
    for pattern in _ELSEWHERE:
        text = pattern.sub("", text)
    todo = "".join(f"<li>{escape(line)}</li>" for line in advice)
    text = text.replace("</head>", _STYLE, 1)
    if todo:
        text = re.sub(r"<body[^>]*>", rf"\g<0><h2>What to do</h2><ul>{todo}</ul>", text, count=1)
    store.write(name(suite_name), text.encode())
