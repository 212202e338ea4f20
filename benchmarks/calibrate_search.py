"""How often a search finds what is not there: p, nested score and best score of null worlds.

Worlds without an effect, people independent or with levels of each segment that all share.
Prints the mean nested score (it belongs at chance), the mean best score (too high by choice),
and the shares of p at or below some levels, with Wilson's 95 % interval. Ends with 1 if a p is
too often small, or the nested score is off chance by more than three standard errors.

Ties count against: accuracies of few samples are often equal, and with 8 segments one of 35
labellings is the true one. p is then larger than uniform, never smaller. So p is also printed
with ties broken at random; "uniform" is the p-value of Kolmogorov and Smirnov.

    python benchmarks/calibrate_search.py [--worlds 200] [--permutations 39] [--segments 12]
                                          [--score accuracy]
"""

import argparse
import sys
import warnings

import numpy as np
import xarray as xr
from scipy import stats

import fhemb_xr as fx
from fhemb_xr.kernels.inference.binomial import wilson

PEOPLE, SPECS = 6, 20
LEVELS = (0.05, 0.1, 0.25, 0.5)
PRINTED = ("p", "p_nested", "p, untied", "p_nested, untied")


def world(rng, shared, segments):
    """Values of specs, none of which has to do with the label."""
    values = rng.normal(size=(PEOPLE, segments, SPECS))
    values += shared * rng.normal(size=(segments, SPECS))
    return table(values)


def table(values):
    """Values ``(person, segment, spec)`` as those of ``fx.spec_values``; labels take turns."""
    people, segments, specs = values.shape
    n = people * segments
    like = (("sample", "column"), np.ones((n, specs)))
    names = np.array(["calm", "storm"])[np.arange(segments) % 2]
    return xr.Dataset(
        {
            "value": (("sample", "column"), values.reshape(n, specs)),
            "sample_energy": like,
            "sample_mobility_hz": like,
        },
        coords={
            "subject": ("sample", np.repeat(np.arange(people), segments)),
            "start": ("sample", np.tile(np.arange(segments) * 10.0, people)),
            "label": ("sample", np.tile(names, people)),
            "spec_of": ("column", np.arange(specs)),
            "spec": [f"spec {i}" for i in range(specs)],
        },
    )


def measured(shared, worlds, permutations, segments, score):
    """``(world, 6)``: p, p_nested, both with ties broken at random, nested, best score."""
    rng, coin = np.random.default_rng(int(10 * shared)), np.random.default_rng(1)
    how = {"n_splits": 2, "n_inner": 2, "n_permutations": permutations, "score": score}
    found = []
    for seed in range(worlds):
        out = fx.search(world(rng, shared, segments), seed=seed, **how)
        out = out[["p", "p_nested", "nested", "best_score", "null", "null_nested"]]
        out = out.compute(scheduler="sync")
        found.append([
            out.p.item(), out.p_nested.item(),
            untied(out.best_score.item(), out.null.values, coin),
            untied(out.nested.item(), out.null_nested.values, coin),
            out.nested.item(), out.best_score.item(),
        ])  # fmt: skip
    return np.array(found)


def untied(observed, null, coin):
    """The p-value where a coin says which of two equal values is the larger."""
    equal = np.abs(null - observed) < 1e-12
    above = (null > observed) & ~equal
    return (above.sum() + coin.random() * (1 + equal.sum())) / (1 + null.size)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=39)
    parser.add_argument("--segments", type=int, default=12)
    parser.add_argument("--score", default="accuracy")
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = []
    for name, shared in (("people independent", 0.0), ("each segment has a level", 2.0)):
        found = measured(shared, asked.worlds, asked.permutations, asked.segments, asked.score)
        *ps, nested, best = found.T
        error = nested.std(ddof=1) / np.sqrt(len(nested))
        print(f"{name}: nested {nested.mean():.3f} ± {error:.3f}, best {best.mean():.3f}")
        if abs(nested.mean() - 0.5) > 3 * error:
            wrong.append(f"{name}: nested {nested.mean():.3f}")
        for what, values in zip(PRINTED, ps, strict=True):
            texts = []
            for level in LEVELS:
                share = float((values <= level).mean())
                low, high = wilson(share, len(values), 1.96)
                texts.append(f"{level:g}: {share:.3f} [{low:.3f}, {high:.3f}]")
                if low > level:
                    wrong.append(f"{name}: {what} <= {level:g} in {share:.3f}")
            uniform = stats.kstest(values, "uniform").pvalue
            print(f"  {what:17s} " + "  ".join(texts) + f"  uniform: {uniform:.3f}", flush=True)
    print("\n".join(wrong) or "holds")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
