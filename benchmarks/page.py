"""The live page, measured: from an answer's last byte to the symbols that a browser has drawn.

`skyops exec -- python -m benchmarks.page [AIRCRAFT] [PAGES] [MINUTES]` runs only this. The stand-in
for OpenSky answers every ten seconds; `skyops collect`, `follow` and `serve` work, and
headless Chromium, which draws in software, has the pages open. The page writes into its document
which position is the newest that it has drawn, and when.
"""

from __future__ import annotations

import os
import sys
import time
from bisect import bisect_left
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from statistics import median
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil

from benchmarks.follow import AIRPORTS, StandIn, _followed, _service
from benchmarks.storage import Row
from benchmarks.transform import load

if TYPE_CHECKING:
    from pathlib import Path

    from skyops_assets.warehouse.connection import Warehouse

BEFORE_MIN, WARM_S, LOOK_EVERY_S = 3, 60, 60
OBSERVE = """() => {
    const map = document.getElementById("map");
    window.drawn = [];
    new MutationObserver(() => drawn.push([map.dataset.newest, map.dataset.drawnAt]))
        .observe(map, {attributes: true, attributeFilter: ["data-drawn-at"]});
}"""


def measure(aircraft: int = 3000, pages: int = 5, minutes: int = 10) -> Iterator[Row]:
    """Rows of the table.

    Args:
        aircraft: heard at the same time.
        pages: that are open.
        minutes: for which is measured.
    """
    seconds = (minutes + 10) * 60
    with _followed(aircraft, BEFORE_MIN, seconds, AIRPORTS[:4]) as (
        warehouse, folder, _lane, traffic,
    ):  # fmt: skip
        at = int(time.time()) - traffic.start_s
        load(warehouse, traffic.between(BEFORE_MIN * 60, at))
        stand_in = StandIn(traffic.between(at, BEFORE_MIN * 60 + seconds))
        given: list[tuple[int, float]] = []
        ask = stand_in._replay.at

        def answer(second: int) -> Any:
            found = ask(second)
            given.append((second, time.time()))
            return found

        stand_in._replay.at = answer
        with (
            stand_in.collected(warehouse, folder / "collect.log"),
            _served(warehouse, folder / "serve.log") as (address, service),
            _chromium() as browser,
        ):
            opened = [browser.new_page(viewport={"width": 1440, "height": 900})
                      for _ in range(pages)]  # fmt: skip
            for page in opened:
                page.goto(address)
                drawn = page.locator("#map[data-aircraft]:not([data-aircraft='0'])")
                drawn.wait_for(timeout=120_000)
            time.sleep(WARM_S)
            heaps, frames, spent = [], [_frames(opened)], [_cpu_s(service)]
            for page in opened:
                page.evaluate(OBSERVE)
            began = time.time()
            while time.time() < began + minutes * 60:
                heaps.append(max(_heap_mb(page) for page in opened))
                # A page's events come only while somebody asks for something.
                opened[0].wait_for_timeout(LOOK_EVERY_S * 1000)
            heaps.append(max(_heap_mb(page) for page in opened))
            took_s = time.time() - began
            frames.append(_frames(opened))
            spent.append(_cpu_s(service))
            told = [page.evaluate("drawn") for page in opened]
            count = int(opened[0].locator("#map").get_attribute("data-aircraft"))
    waited = [one for page in told for one in _waited(page, given)]
    yield (
        f"{count:,} aircraft on {pages} pages: an answer's last byte to its symbols",
        f"p50 {median(waited):.2f} s, p95 {np.quantile(waited, 0.95):.2f} s, "
        f"longest {max(waited):.2f} s",
        f"{len(waited):,} answers drawn",
        "",
    )
    yield (
        f"memory of a page over {minutes} min", f"{heaps[0]:.0f} MB, {heaps[-1]:.0f} MB at the end",
        f"{(frames[1] - frames[0]) / took_s / pages:.1f} frames a second and page, "
        f"the service {100 * (spent[1] - spent[0]) / took_s:.0f} % of a core", "",
    )  # fmt: skip


def _waited(drawn: list[list[str]], given: list[tuple[int, float]]) -> list[float]:
    """How long each answer took to be drawn: the first that can have had the newest position."""
    seconds = [second for second, _ in given]
    found = []
    for newest, at in drawn:
        place = bisect_left(seconds, int(datetime.fromisoformat(newest).timestamp()))
        if place < len(given):
            found.append(datetime.fromisoformat(at).timestamp() - given[place][1])
    return found


def _frames(pages: list[Any]) -> int:
    return sum(int(page.locator("#map").get_attribute("data-frames")) for page in pages)


def _cpu_s(process: psutil.Process) -> float:
    everybody = [process, *process.children(recursive=True)]
    return sum(sum(one.cpu_times()[:2]) for one in everybody)


def _heap_mb(page: Any) -> float:
    """What a page holds, once what nobody needs is gone."""
    session = page.context.new_cdp_session(page)
    session.send("HeapProfiler.collectGarbage")
    used = session.send("Runtime.getHeapUsage")["usedSize"]
    session.detach()
    return float(used) / 1e6


@contextmanager
def _served(warehouse: Warehouse, log: Path) -> Iterator[tuple[str, psutil.Process]]:
    import httpx

    from skyops_assets.settings import load_settings

    os.environ["SKYOPS_PUBLIC_READ"] = "true"
    with _service(warehouse, "serve", log) as process:
        address = f"http://127.0.0.1:{load_settings().service_port}/"
        patience = time.monotonic() + 120
        while True:
            try:
                if httpx.get(address).is_success:
                    break
            except httpx.TransportError:
                pass
            assert time.monotonic() < patience, log.read_text()
            time.sleep(0.5)
        yield address, psutil.Process(process.pid)


@contextmanager
def _chromium() -> Iterator[Any]:
    from tests.support.browser import chromium

    with chromium() as browser:
        yield browser


if __name__ == "__main__":
    for row in measure(*(int(one) for one in sys.argv[1:])):
        print(" | ".join(row))
