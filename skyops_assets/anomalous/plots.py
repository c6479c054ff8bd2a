"""Tracks of flights as pictures, small enough for the metadata of every day."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyops_assets.reporting.plots import BLUE, RED, to_png

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

COLUMNS = 3


def ways(flights: Sequence[tuple[str, pd.DataFrame]]) -> bytes:
    """Draw the track of each flight under its title, in km from its first position (red)."""
    import numpy as np
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows = -(-len(flights) // COLUMNS)
    figure = Figure(figsize=(2.6 * COLUMNS, 2.6 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, COLUMNS, squeeze=False).ravel()
    for one in axes[len(flights) :]:
        one.set_visible(False)
    for one, (title, way) in zip(axes, flights, strict=False):
        latitude, longitude = way["latitude_deg"].to_numpy(), way["longitude_deg"].to_numpy()
        # Across the date line as well.
        east = (longitude - longitude[0] + 180) % 360 - 180
        kilometres = 111.195 * np.cos(np.radians(latitude.mean()))
        one.plot(kilometres * east, 111.195 * (latitude - latitude[0]), color=BLUE, linewidth=0.8)
        one.plot([0], [0], "o", color=RED, markersize=3)
        one.set_title(title, fontsize=7)
        one.set_aspect("equal", adjustable="datalim")
        one.tick_params(labelsize=6)
        one.spines[["top", "right"]].set_visible(False)
    return _with_few_colours(to_png(figure, dpi=72))


def _with_few_colours(png: bytes) -> bytes:
    """Reduce it to a third of the size, without a visible difference."""
    import io

    from PIL import Image

    smaller = io.BytesIO()
    Image.open(io.BytesIO(png)).convert("RGB").quantize(16).save(smaller, "PNG", optimize=True)
    return smaller.getvalue()
