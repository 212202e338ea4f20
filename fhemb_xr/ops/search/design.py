"""Who is tested on what: checked before anything is computed."""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr import schema
from fhemb_xr.errors import SchemaError, warn
from fhemb_xr.ops.classification.segments import LABEL, PEOPLE, SAMPLE
from fhemb_xr.typing import Ints

ALPHA = 0.05


@dataclass(frozen=True)
class Plan:
    """Numbers of labels, people and segments, and of the parts that they are split into."""

    labels: Ints
    groups: Ints
    segments: Ints
    names: tuple[str, ...]
    people: str
    n_specs: int
    n_splits: int
    n_inner: int

    @property
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.names)

    @property
    def counts(self) -> list[int]:
        """Number of segments of each class."""
        return [np.unique(self.segments[self.labels == c]).size for c in range(self.n_classes)]

    @property
    def n_folds(self) -> int:
        """Parts of people times parts of segments."""
        return self.n_splits * min(self.n_splits, min(self.counts))

    @property
    def least_p(self) -> float:
        """The smallest p that so many segments allow: one over the labellings that differ."""
        counts = self.counts
        all_of_them = math.factorial(sum(counts)) / math.prod(map(math.factorial, counts))
        alike = math.prod(math.factorial(n) for n in Counter(counts).values())
        return float(alike / all_of_them)

    def warn_if_never_significant(self) -> None:
        """Say that no p below .05 can come out of so few segments."""
        if self.least_p > ALPHA:
            found = ", ".join(
                f"{n} of {k!r}" for k, n in zip(self.names, self.counts, strict=True)
            )
            warn(
                f"segments can be labelled in {round(1 / self.least_p)} ways that differ, so p "
                f"is hardly below {self.least_p:.2g} ({found}): give more segments"
            )


def plan(samples: Any, *, n_specs: int, n_splits: int, n_inner: int) -> Plan:
    """The plan of samples, refused where parts cannot keep people and segments apart.

    ``n_inner=0``: parts are not nested.

    Raises
    ------
    ValueError
        One class; a class with fewer than three segments; fewer people than parts.
    SchemaError
        Samples without labels, people or starts, or whose segments have several labels.
    """
    people = str(samples.attrs.get(PEOPLE, schema.SUBJECT))
    labels, groups = (_along(samples, name) for name in (LABEL, people))
    names, y = np.unique(labels, return_inverse=True)
    who = np.unique(groups, return_inverse=True)[1]
    where = segments_of(samples)
    if any(np.unique(y[where == s]).size > 1 for s in np.unique(where)):
        raise SchemaError("a segment has one label for all people, found one with several")
    made = Plan(
        np.asarray(y, np.int64), np.asarray(who, np.int64), where,
        tuple(map(str, names.tolist())), people, n_specs, n_splits, n_inner,
    )  # fmt: skip
    _check(made)
    return made


def _check(made: Plan) -> None:
    least = 3 if made.n_inner else 2  # tested, tested inside, learnt from
    n, counts = int(made.groups.max(initial=-1)) + 1, made.counts
    if made.n_classes < 2:
        raise ValueError(f"need two classes or more, found {list(made.names)}")
    if n < max(made.n_splits, least):
        raise ValueError(
            f"need {max(made.n_splits, least)} people or more for n_splits={made.n_splits}, "
            f"found {n}: every person is tested once, with others left to learn from"
        )
    fewest = min(counts)
    if fewest < least:
        raise ValueError(
            f"a class needs {least} segments or more, some to test and others to learn from, "
            f"found {fewest} of {made.names[counts.index(fewest)]!r}"
        )
    parts = min(made.n_splits, fewest)
    left = [
        m - math.ceil(m / k) for m, k in ((n, made.n_splits), *((c, parts) for c in counts))
    ]
    if min(left) < least - 1:
        raise ValueError(
            f"n_splits={made.n_splits} leaves one {'person' if left[0] < 2 else 'segment'} to "
            "learn from in a part, and choosing needs two: take n_splits=3 or more"
        )


def segments_of(samples: Any) -> Ints:
    """The number of each sample's segment: its start, in its session."""
    names = [c for c in ("start", schema.SESSION) if c in samples.coords]
    if "start" not in names:
        raise SchemaError(
            "samples have a coordinate 'start' along 'sample', found "
            f"{sorted(map(str, samples.coords))}: make them with fx.spec_values or fx.prepare"
        )
    parts = [samples[c] for c in names]
    numbers = [
        np.unique(p.values, return_inverse=True)[1] for p in parts if p.dims == (SAMPLE,)
    ]
    which = np.unique(np.stack(numbers), axis=1, return_inverse=True)[1]
    return np.asarray(which.ravel(), np.int64)


def _along(samples: Any, name: str) -> NDArray[Any]:
    if name not in samples.coords or samples[name].dims != (SAMPLE,):
        raise SchemaError(
            f"samples have a coordinate {name!r} along 'sample', found "
            f"{sorted(map(str, samples.coords))}: make them with fx.spec_values or fx.prepare"
        )
    return np.asarray(samples[name].values)
