"""The null of pseudo-dyads: who was not there together shares the stimulus, and no more.

A pair of one group (a row of seats, a session, a performance) is compared with pairs of the
same first member and every stranger: another person of another group.

References
----------
- Bernieri, Reznick & Rosenthal (1988), J. Pers. Soc. Psychol. 54, 243-253,
  doi:10.1037/0022-3514.54.2.243 (pseudosynchrony).
"""

import numpy as np

from fhemb_xr.kernels.inference import p_values
from fhemb_xr.typing import F64, Ints


def tested(
    values: F64, group: Ints, person: Ints, groups: Ints, people: Ints, *, tail: str,
    alpha: float, itself: bool,
) -> F64:  # fmt: skip
    """The p-values and the band of strangers: ``(..., n), … -> (..., n, 3)``.

    ``group`` and ``person`` are those of the first member of each row, ``groups`` and
    ``people`` those along the last axis. Only pairs of one group and two people are tested, the
    others are NaN; with ``itself`` only the member of the row itself.
    """
    group, person = (np.broadcast_to(_upto(a, values.ndim - 1), values.shape[:-1])
                     for a in (group, person))  # fmt: skip
    out = np.full((*values.shape, 3), np.nan)
    for i in np.ndindex(values.shape[:-1]):
        same = groups == group[i]
        alike = people == person[i]
        here = same & (alike if itself else ~alike)
        null = values[i][~same & ~alike]
        found = values[i][here]
        p = p_values.p_value(found, np.broadcast_to(null, (found.size, null.size)),
                             tail=tail, exact=False)  # fmt: skip
        ends = p_values.band(null[None], alpha=alpha)[0]
        out[(*i, here)] = np.column_stack([p, np.tile(ends, (found.size, 1))])
    return out


def _upto(a: Ints, n_dims: int) -> Ints:
    """With trailing axes of length 1."""
    return a.reshape(a.shape + (1,) * (n_dims - a.ndim))


def exchanged(values: F64, null: F64, *, paired: bool) -> F64:
    """Share of strangers that reach each: ``(..., g, [p,] m), same -> (..., g, p)``.

    The last axis holds the ``p`` people of each of the ``g`` groups, one group after the other.
    ``paired``: what stands still belongs to a person too.
    """
    n_groups = values.shape[-3 if paired else -2]
    n_people = values.shape[-1] // n_groups
    groups, people = np.divmod(np.arange(values.shape[-1]), n_people)
    out = np.empty((*values.shape[: -3 if paired else -2], n_groups, n_people))
    for g in range(n_groups):
        for p in range(n_people):
            still = (..., g, p) if paired else (..., g)
            strange = np.flatnonzero((groups != g) & (people != p))
            own = values[(*still, g * n_people + p)]
            out[..., g, p] = p_values.p_value(own, null[(*still, strange)])
    return out
