"""Several embeddings by their families, or by their bands: ``EmbeddingCollection``."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from fhemb_xr.errors import SchemaError
from fhemb_xr.legacy import lagging, logs
from fhemb_xr.legacy.subjects import BySubject, Subjects
from fhemb_xr.ops.checks import unknown_name

_log = logs.of("embedding")


class EmbeddingCollection(Mapping[Any, Any]):
    """Embeddings by family, or by the keys of a dict, e.g. bands.

    What one embedding can do, all do: ``collection.features`` is a dict of the features of
    each, and so for every other attribute and method.

    Parameters
    ----------
    *embeddings
        Embeddings, named by their ``type``; or one dict of embeddings.
    """

    def __init__(self, *embeddings: Any) -> None:
        self._members: dict[Any, Any] = {}
        for entry in embeddings:
            if isinstance(entry, Mapping):
                self._members |= dict(entry)
            else:
                self.add(entry)

    def add(self, embedding: Any) -> None:
        """Take one more embedding, in place of another one of its type."""
        self._members[embedding.type] = embedding

    def __getitem__(self, key: Any) -> Any:
        if key not in self._members:
            raise unknown_name("embedding", key, self._members)
        return self._members[key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._members)

    def __len__(self) -> int:
        return len(self._members)

    def __getattr__(self, name: str) -> Any:
        """What the members have under a name, by their keys; called where it is a method."""
        if name.startswith("_"):
            raise AttributeError(name)
        there = {k: getattr(e, name) for k, e in self._members.items() if hasattr(e, name)}
        if not there:
            raise AttributeError(f"no embedding of {self!r} has {name!r}")
        if all(map(callable, there.values())):
            return lambda *args, **kwargs: {k: f(*args, **kwargs) for k, f in there.items()}
        return there

    @property
    def _by_band(self) -> bool:
        return all(isinstance(k, int | np.integer) for k in self._members)

    @property
    def features_tint(self) -> BySubject[Any]:
        """Matrices by person and family; of bands one matrix, its rows band by band."""
        people = [m.subjects for m in self._members.values()]
        both = [p for p in people[0] if all(p in other for other in people[1:])]

        def made(person: Any) -> Any:
            each = {k: m.features_tint[person] for k, m in self._members.items()}
            return np.concatenate([*each.values()]) if self._by_band else each

        return BySubject(both, made)

    def get_df_ts_subjs(self, args: Any = None) -> dict[Any, Any]:
        """Tables by family; an empty one where a family has no such feature."""
        return {k: self._table(m, args) for k, m in self._members.items()}

    get_ts_subjs = get_df_ts_subjs

    def _table(self, member: Any, args: Any) -> Any:
        if isinstance(args, list | tuple):
            return {a: self._table(member, a) for a in args}
        if isinstance(args, str) and args not in member.features:
            return pd.DataFrame()
        return member.get_df_ts_subjs(args)

    def plot_signal(self, subjs: Subjects = "all", feature: Any = None, **kwargs: Any) -> Any:
        """Figures by family, of those that have the feature."""

        def drawn(member: Any) -> Any:
            return member.plot_signal(subjs, feature, **kwargs)

        return self._of_those_with(feature, drawn)

    def plot_intvlhist(self, subjs: Subjects = "all", *args: Any, **kwargs: Any) -> Any:
        """Figures by family, of those that have the feature."""

        def drawn(member: Any) -> Any:
            return member.plot_intvlhist(subjs, *args, **kwargs)

        return self._of_those_with(kwargs.get("feature"), drawn)

    def _of_those_with(self, feature: Any, function: Callable[[Any], Any]) -> dict[Any, Any]:
        members = self._members
        if isinstance(feature, str):
            members = {k: m for k, m in members.items() if feature in m.features}
            if not members:
                known = [n for m in self._members.values() for n in m.features]
                raise unknown_name("feature", feature, known)
        return {k: function(m) for k, m in members.items()}

    def visualize_eigenfaces(self, *args: Any, **kwargs: Any) -> dict[Any, Any]:
        """Figures by family, of those that have eigenfaces.

        Raises
        ------
        SchemaError
            None has.
        """
        members = {k: m for k, m in self._members.items() if m.basis is not None}
        if not members:
            raise SchemaError(f"no embedding of {self!r} has eigenfaces: ask for features pc0…")
        return {k: m.visualize_eigenfaces(*args, **kwargs) for k, m in members.items()}

    def bbootstrap(self, *args: Any, **kwargs: Any) -> "EmbeddingCollection":
        """Every embedding resampled; with ``rseed``, by the same blocks."""
        each = {k: m.bbootstrap(*args, **kwargs) for k, m in self._members.items()}
        return EmbeddingCollection(each)

    def project(self, *args: Any, **kwargs: Any) -> "EmbeddingCollection":
        """Every embedding as its own ``project`` gives it."""
        return EmbeddingCollection(
            {k: m.project(*args, **kwargs) for k, m in self._members.items()}
        )

    def lagged_correlations_df(
        self, twin: int, max_lag: int, step: int, n_jobs: int = 4
    ) -> dict[str, pd.DataFrame]:
        """``{"df": …}`` of the two features that the collection holds, or of two people."""
        return {"df": lagging.lagged_table([*self._members.values()], twin, max_lag, step)}

    def plot_lagged_correlations(
        self, twin: int, max_lag: int, step: int, n_jobs: int = 4
    ) -> Any:
        """The map of these correlations."""
        return lagging.lagged_map([*self._members.values()], twin, max_lag, step)

    def lagged_correlation_graph(
        self, lag: int = 0, twin: int = 50, step: int = 25, max_lag: int = 200, n_jobs: int = 4
    ) -> Any:
        """The correlations at one lag over time, a curve for each person."""
        return lagging.lagged_curves([*self._members.values()], lag, twin, step, max_lag)

    def __repr__(self) -> str:
        return f"EmbeddingCollection({', '.join(map(str, self._members))})"
