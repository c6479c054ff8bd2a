"""What the gatekeeper decides on: comparisons, slices, sanity checks and the probe of a version.

Values only: how each is measured stands where it is measured.
"""

from __future__ import annotations

from dataclasses import dataclass

from skyops_assets.arrivals.evaluation.sanity import SanityReport


@dataclass(frozen=True)
class SliceGain:
    """What the gatekeeper looks at of a slice: the gain in MAE with its 95 % interval's top."""

    name: str
    rows: int
    gain: float | None
    gain_high: float | None


@dataclass(frozen=True)
class Evidence:
    """What is known of a challenger; None is "not measured".

    `scored_share` is the part of the test rows that every candidate answered. `gain` and
    `gain_low`, of `scored_rows`, are against `reference`: the champion where there is one, on the
    rows neither has learned from, else the best baseline; so are the `slices`. `skill` is against
    the best baseline in either case. `taken_back` says how a person took it out of force,
    `chosen` which arrivals a person chose for its training.
    `champion_age_days` is how long before the last test crossing the champion's knowledge ends,
    `newer_days` how long after that the challenger's does.
    """

    challenger_version: str | None
    untrained_reason: str | None
    train_rows: int
    scored_share: float | None
    scored_rows: int | None
    test_days: int | None
    reference: str | None
    reference_mae_min: float | None
    challenger_mae_min: float | None
    gain: float | None
    gain_low: float | None
    skill: float | None
    has_champion: bool
    is_reference_current: bool
    taken_back: str | None = None
    chosen: str | None = None
    slices: tuple[SliceGain, ...] | None = None
    champion_age_days: float | None = None
    newer_days: float | None = None
    probe: Probe | None = None
    logic: SanityReport | None = None


@dataclass(frozen=True)
class Probe:
    """What was measured; `error` says why it could not be, and then the rest is None.

    Attributes:
        start_s: from the start of the process, imports included, to the first prediction.
        peak_memory_mb: the most that the process ever held (MiB), libraries included.
        predictions: of one row each, with its interval, as often as that.
        p50_ms, p95_ms, p99_ms: time of one such prediction, as time of the processor: on a machine
            that has other work too, the clock tells of that work (213 ms where it took 11).
        is_signature_equal: the model takes and gives what `registry.signature` says.
    """

    error: str | None = None
    start_s: float | None = None
    peak_memory_mb: float | None = None
    predictions: int | None = None
    p50_ms: float | None = None
    p95_ms: float | None = None
    is_signature_equal: bool | None = None
    p99_ms: float | None = None
