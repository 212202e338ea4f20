"""Nested search of many specs beside scikit-learn's own, on the same table and the same folds.

``fx.search`` against a loop of ``GridSearchCV`` over ``StandardScaler`` and ``NearestCentroid``
in one process. Both are run in turns; prints their median seconds of CPU, the ratio, and the
largest difference of the scores. One reading of the pixels serves all specs here; tests count
it.

    python benchmarks/bench_search.py [--specs 54] [--people 16] [--segments 12] [--runs 3]
"""

import argparse
import time

import numpy as np
from calibrate_search import table
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.model_selection import GridSearchCV
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import fhemb_xr as fx
from fhemb_xr.kernels.search.nested import Samples


class Pick(TransformerMixin, BaseEstimator):
    """The column of one spec."""

    def __init__(self, spec=0):
        self.spec = spec

    def fit(self, x, y=None):
        return self

    def transform(self, x):
        return x[:, [self.spec]]


def world(people, segments, specs):
    """The first spec tells the labels apart."""
    values = np.random.default_rng(0).normal(size=(people, segments, specs))
    values[..., 0] += np.arange(segments) % 2
    return table(values)


def peer(ds):
    """Nested scores by scikit-learn."""
    y = (ds.label.values == "storm").astype(int)
    who, when = ds.subject.values, (ds.start.values / 10).astype(int)
    samples, x = Samples(y, who, when), ds.value.values
    grid = {"pick__spec": np.arange(ds.sizes["spec"])}
    model = make_pipeline(Pick(), StandardScaler(), NearestCentroid())
    out = []
    for k, (train, test) in enumerate(samples.parts(4, np.random.default_rng([0, 0]))):
        inner = samples.only(train).parts(3, np.random.default_rng([0, 2, k]))
        tuned = GridSearchCV(model, grid, scoring="balanced_accuracy", cv=inner)
        tuned.fit(x[train], y[train])
        out.append(tuned.score(x[test], y[test]))
    return np.array(out)


def ours(ds):
    """The same by ``fx.search``."""
    out = fx.search(ds, centre=False, n_permutations=0, seed=0)
    return out.nested_fold.compute(scheduler="sync").values


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--specs", type=int, default=54)
    parser.add_argument("--people", type=int, default=16)
    parser.add_argument("--segments", type=int, default=12)
    parser.add_argument("--runs", type=int, default=3)
    asked = parser.parse_args()
    ds = world(asked.people, asked.segments, asked.specs)
    ours(world(6, 6, 2)), peer(world(6, 6, 2))  # imports
    seconds = []
    for _ in range(asked.runs):
        start = time.process_time()
        mine = ours(ds)
        one = time.process_time()
        theirs = peer(ds)
        seconds.append((one - start, time.process_time() - one))
    one, two = np.median(seconds, axis=0)
    print(f"fx.search {one:.2f} s, scikit-learn {two:.2f} s of CPU, ratio {two / one:.0f}")
    print(f"largest difference {np.abs(mine - theirs).max():.1e}")


if __name__ == "__main__":
    main()
