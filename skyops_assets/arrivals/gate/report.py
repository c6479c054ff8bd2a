"""Shows a decision of the gatekeeper as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from skyops_assets.arrivals.gate.policy import LIGHTS
from skyops_assets.reporting.markdown import table

if TYPE_CHECKING:
    from skyops_assets.arrivals.gate.policy import Decision


def decision_markdown(decision: Decision) -> str:
    """The verdict in bold, the lights, and every rule with what it found."""
    verdict = "Promoted" if decision.is_promoted else "Not promoted"
    lights = ", ".join(
        f"{light} {'green' if decision.lights[light] else '**red**'}" for light in LIGHTS
    )
    rules = (
        ("pass" if reason.is_passed else "**fail**", reason.light, reason.rule, reason.text)
        for reason in decision.reasons
    )
    return f"**{verdict}**: {lights}\n\n" + table(("", "light", "rule", "found"), rules)
