"""Figures in one style, as PNG; matplotlib is imported where one is drawn."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


BLUE = "#2b6cb0"
GREY = "#718096"
RED = "#c53030"


def new_figure(panels: int) -> tuple[Figure, Sequence[Axes]]:
    """A figure with so many panels side by side."""
    # Figure without pyplot: no global state, no display, safe in threads.
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5.5 * panels if panels > 1 else 6.5, 4), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, panels, squeeze=False)[0]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def to_png(figure: Figure, dpi: int = 110) -> bytes:
    """The figure as PNG: the same numbers give the same bytes."""
    buffer = io.BytesIO()
    # Without its own time of making, the same numbers give the same bytes.
    figure.savefig(buffer, format="png", dpi=dpi, metadata={"Software": None})
    return buffer.getvalue()
