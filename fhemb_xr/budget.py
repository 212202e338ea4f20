"""How many bytes a task would hold, and the refusal when that is too many."""

from fhemb_xr.errors import BudgetError
from fhemb_xr.options import options


def human(n_bytes: float) -> str:
    """``1536`` → ``'1.5 KiB'``."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if abs(n_bytes) < 1024:
            return f"{n_bytes:.4g} {unit}"
        n_bytes /= 1024
    return f"{n_bytes:.4g} TiB"


def check(n_bytes: int, work: str, cure: str) -> None:
    """Refuse ``work`` whose task would hold more than the budget.

    Raises
    ------
    BudgetError
        With the bytes needed, the bytes allowed and the cure.
    """
    if n_bytes > options.budget:
        raise BudgetError(
            f"{work} needs {human(n_bytes)} in one task, the budget is "
            f"{human(options.budget)}: {cure}, or allow more with fx.set_options(budget=...)"
        )
