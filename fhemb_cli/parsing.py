"""Texts of options as values: people, features, bands, spans."""

from typing import Any

ENTROPY = "entropy-range is low:high, such as 28:38"
HZ = "hz is low:high, such as 0.04:0.15"
SECONDS = "seconds are start:stop, such as 400:440"


def ids(text: str) -> Any:
    """``'40-44,65'`` → ``[(40, 44), 65]``; a label that is no number stays as it is."""
    return "all" if text == "all" else [_id(part.strip()) for part in text.split(",")]


def _id(part: str) -> Any:
    if not part:
        raise ValueError("people are ids and intervals first-last, separated by commas, or all")
    first, dash, last = part.partition("-")
    if dash and first.isdigit() and last.isdigit():
        return int(first), int(last)
    return int(part) if part.isdigit() else part


def names(text: str) -> list[Any]:
    """``'skew,p5:p95'`` → ``['skew', ('p5', 'p95')]``."""
    parts = [p.strip().split(":") for p in text.split(",")]
    return [tuple(p) if len(p) == 2 else p[0] for p in parts]


def bands(text: str) -> list[int] | None:
    """``'2,3'`` → ``[2, 3]``; ``None`` for all."""
    if text == "all":
        return None
    try:
        return [int(b) for b in text.split(",")]
    except ValueError:
        raise ValueError(
            f"bands are numbers separated by commas, or all, found {text!r}"
        ) from None


def numbers(rule: str, text: str | None) -> tuple[float, float] | None:
    """``'400:440'`` → ``(400.0, 440.0)``."""
    if text is None:
        return None
    try:
        start, stop = (float(t) for t in text.split(":"))
    except ValueError:
        raise ValueError(f"{rule}, found {text!r}") from None
    return start, stop


def scale(text: str) -> str | tuple[float, float]:
    """``"20,40"`` as two numbers; a name as it is."""
    low, comma, high = text.partition(",")
    try:
        return (float(low), float(high)) if comma else text
    except ValueError:
        return text
