"""How often a search finds what is not there: p, nested score and best score of null worlds.

Worlds without an effect, people independent or with levels of each segment that all share.
Prints the mean nested score (it belongs at chance), the mean best score (too high by choice),
and the shares of p at or below some levels, with Wilson's 95 % interval. Ends with 1 if a p is
too often small, or the nested score is off chance by more than three standard errors.

Ties count against: accuracies of few samples are often equal, and with 8 segments one of 35
labellings is the true one. p is then larger than uniform, never smaller. Of 200 worlds with 8
segments and 19 permutations:

people independent: nested .499 ± .006, best .659, p <= .05 in .015, p_nested in .045;
levels of segments: nested .496 ± .008, best .791, p <= .05 in .030, p_nested in .015.

    python benchmarks/calibrate_search.py [--worlds 200] [--permutations 39] [--segments 12]
"""

import argparse
import sys
import warnings

import numpy as np
import xarray as xr

import fhemb_xr as fx
from fhemb_xr.kernels.inference.binomial import wilson

PEOPLE, SPECS = 6, 20
LEVELS = (0.05, 0.1, 0.25, 0.5)


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


def measured(shared, worlds, permutations, segments):
    """``(world, 4)``: p of the search, p of the nested score, nested score, best score."""
    rng = np.random.default_rng(int(10 * shared))
    found = []
    for seed in range(worlds):
        how = {"n_splits": 2, "n_inner": 2, "n_permutations": permutations, "seed": seed}
        out = fx.search(world(rng, shared, segments), **how)
        names = ["p", "p_nested", "nested", "best_score"]
        found.append([v.item() for v in out[names].compute(scheduler="sync").values()])
    return np.array(found)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--worlds", type=int, default=200)
    parser.add_argument("--permutations", type=int, default=39)
    parser.add_argument("--segments", type=int, default=12)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    wrong = []
    for name, shared in (("people independent", 0.0), ("each segment has a level", 2.0)):
        found = measured(shared, asked.worlds, asked.permutations, asked.segments)
        p, p_nested, nested, best = found.T
        error = nested.std(ddof=1) / np.sqrt(len(nested))
        print(f"{name}: nested {nested.mean():.3f} ± {error:.3f}, best {best.mean():.3f}")
        if abs(nested.mean() - 0.5) > 3 * error:
            wrong.append(f"{name}: nested {nested.mean():.3f}")
        for what, values in (("p", p), ("p_nested", p_nested)):
            texts = []
            for level in LEVELS:
                share = float((values <= level).mean())
                low, high = wilson(share, len(values), 1.96)
                texts.append(f"{level:g}: {share:.3f} [{low:.3f}, {high:.3f}]")
                if low > level:
                    wrong.append(f"{name}: {what} <= {level:g} in {share:.3f}")
            print(f"  {what:9s} " + "  ".join(texts), flush=True)
    print("\n".join(wrong) or "holds")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
