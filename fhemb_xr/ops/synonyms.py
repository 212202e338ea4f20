"""Names that people use, and the one that each of them means here.

Case, spaces, hyphens and underscores do not matter: ``"Soft DTW"`` is ``"soft_dtw"``. A synonym
holds only among the names that are allowed where it is used.
"""

import re
from collections.abc import Iterable, Mapping

METRICS = {
    "pearson": "correlation", "pearsonr": "correlation", "corr": "correlation",
    "euclid": "euclidean", "l2": "euclidean",
    "dynamic_time_warping": "dtw", "soft_dtw_div": "soft_dtw_divergence",
    "distance_correlation": "dcor", "dcorr": "dcor",
    "max_lagged": "max_lagged_correlation", "max_cross_correlation": "max_lagged_correlation",
}  # fmt: skip
POINT_METRICS = {
    "euclid": "euclidean", "l2": "euclidean", "squared_euclidean": "sqeuclidean",
    "manhattan": "cityblock", "l1": "cityblock", "taxicab": "cityblock",
    "chebychev": "chebyshev", "linf": "chebyshev", "pearson": "correlation",
}  # fmt: skip
NORMALIZATIONS = {
    "z": "zscore", "standard": "zscore", "standardize": "zscore", "standardise": "zscore",
    "mean_variance": "meanvar", "raw": "none", "no": "none",
}  # fmt: skip
LINKAGES = {
    "upgma": "average", "wpgma": "weighted", "farthest": "complete", "max": "complete",
    "nearest": "single", "min": "single", "pam": "kmedoids", "dtw_barycentre": "dba",
    "dtw_barycenter": "dba",
}  # fmt: skip
CLASSIFIERS = {
    "random_forest": "randf", "rotation_forest": "rotf", "knn_manhattan": "knn_l1",
    "knn_cityblock": "knn_l1", "svm_gaussian": "svm_rbf", "svm_polynomial": "svm_poly",
}  # fmt: skip
SCALERS = {
    "standardize": "standard", "standardise": "standard", "zscore": "standard",
    "centre": "center", "centred": "center", "centered": "center", "iqr": "robust",
}  # fmt: skip
CLASSIFY_SCALES = {
    "zscore": "meanvar", "z": "meanvar", "standard": "meanvar", "standardize": "meanvar",
    "standardise": "meanvar",
}  # fmt: skip
KERNELS = {
    "gaussian": "rbf", "gauss": "rbf", "polynomial": "poly", "tanh": "sigmoid",
}  # fmt: skip
PCA_METHODS = {
    "exact": "covariance", "cov": "covariance", "randomised": "randomized",
    "kernel_pca": "kernel", "sparse_pca": "sparse", "robust_pca": "robust",
    "incremental_pca": "incremental",
}  # fmt: skip
FEATURES = {
    "sd": "std", "stdev": "std", "standard_deviation": "std", "var": "variance",
    "kurt": "kurtosis", "skewness": "skew", "average": "mean", "avg": "mean",
    "maximum": "max", "minimum": "min", "med": "median",
}  # fmt: skip
WAVELETS = {
    "morlet": "morl", "mexican_hat": "mexh", "ricker": "mexh", "gaussian": "gaus",
    "complex_morlet": "cmor", "daubechies": "db", "symlet": "sym", "symlets": "sym",
    "coiflet": "coif", "coiflets": "coif", "biorthogonal": "bior", "shannon": "shan",
}  # fmt: skip
"""Names of whole families; a number that follows is kept: ``"daubechies 4"`` is ``"db4"``."""
MODES = {
    "symmetrical": "symmetric", "periodisation": "periodization", "per": "periodization",
    "zeros": "zero", "zpd": "zero", "ppd": "periodic", "sp1": "smooth",
}  # fmt: skip
TAILS = {"two_sided": "both", "two_tailed": "both", "larger": "greater", "smaller": "less"}
NULLS = {
    "circular_shift": "circular", "linear_shift": "linear", "phase_randomization": "phase",
    "phase_randomisation": "phase", "pseudo_dyads": "swap", "blocks": "block",
}  # fmt: skip
WAYS = {"loo": "leave_one_out", "pairs": "pairwise"}
MAPS = {"pcoa": "mds", "classical_mds": "mds"}
BARYCENTRES = {"average": "mean", "euclidean": "mean", "soft": "soft_dtw"}
REGIONS = {
    "nose": "nose_tip", "mouth": "perioral", "eyes": "periorbital", "periorbital_left":
    "periorbital_l", "periorbital_right": "periorbital_r", "cheek_left": "cheek_l",
    "cheek_right": "cheek_r", "cheek": "cheeks", "brow": "forehead",
}  # fmt: skip
PRECISIONS = {"float64": "double", "f8": "double", "float32": "single", "f4": "single"}


def folded(name: str) -> str:
    """``name`` without case, spaces, hyphens and underscores."""
    return re.sub(r"[\s_-]+", "", name.casefold())


def meant(name: object, allowed: Iterable[str], synonyms: Mapping[str, str] = {}) -> str | None:
    """The one of ``allowed`` that ``name`` means, or None.

    An exact name wins, then one that differs in case, spaces, hyphens or underscores only, then
    a synonym. Where two names differ in nothing else, only the exact one counts.
    """
    if not isinstance(name, str):
        return None
    known = tuple(allowed)
    if name in known:
        return str(name)
    word = folded(name)
    same = [k for k in known if folded(k) == word]
    if not same:
        wanted = {folded(s): k for s, k in synonyms.items()}.get(word)
        same = [k for k in known if k == wanted]
    return str(same[0]) if len(same) == 1 else None


def wavelet(name: object, allowed: Iterable[str]) -> str | None:
    """The wavelet of PyWavelets that ``name`` means, or None.

    Numbers behind it are kept: ``"Daubechies 4"`` is ``"db4"``, ``"CMOR 1.5-1.0"`` is
    ``"cmor1.5-1.0"``.
    """
    known = tuple(allowed)
    found = meant(name, known)
    parts = _FAMILY.fullmatch(name.strip()) if isinstance(name, str) else None
    if found is not None or parts is None:
        return found
    family, numbers = folded(parts[1]), parts[2] or ""
    family = {folded(s): k for s, k in WAVELETS.items()}.get(family, family)
    if family in PARAMETRIC and family in known and numbers:
        return f"{family}{numbers}"
    return meant(f"{family}{numbers}", known)


PARAMETRIC = ("cmor", "shan", "fbsp")
"""Continuous wavelets whose name goes on with their parameters."""
_FAMILY = re.compile(r"(.*?)[\s_-]*(\d[\d.]*(?:-\d[\d.]*)*)?")
