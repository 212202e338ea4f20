"""The original's thirteen recipes of eigenfaces, by name."""

from typing import Any

from fhemb_xr.ops.checks import require_choice

_KERNEL = {"method": "kernel", "degree": 3, "coef0": 1.0}
RECIPES: dict[str, dict[str, Any]] = {
    "center_sigmoid": {**_KERNEL, "scaler": "center", "kernel": "sigmoid", "gamma": 0.1},
    "standard_sigmoid": {**_KERNEL, "scaler": "standard", "kernel": "sigmoid", "gamma": 0.07},
    "center_rbf": {**_KERNEL, "scaler": "center", "kernel": "rbf", "gamma": 1.0},
    "center_poly": {**_KERNEL, "scaler": "center", "kernel": "poly", "gamma": 0.04},
    "center_sparse": {"method": "sparse", "scaler": "center", "alpha": 0.5},
    "standard_linear": {**_KERNEL, "scaler": "standard", "kernel": "linear"},
    "standard_rbf": {**_KERNEL, "scaler": "standard", "kernel": "rbf", "gamma": 1.0},
    "robust_linear": {**_KERNEL, "scaler": "robust", "kernel": "linear"},
    "robust_rbf": {**_KERNEL, "scaler": "robust", "kernel": "rbf", "gamma": 1.0},
    "robust_poly": {**_KERNEL, "scaler": "robust", "kernel": "poly", "gamma": 1.0},
    "robust_sigmoid": {**_KERNEL, "scaler": "robust", "kernel": "sigmoid", "gamma": 1.0},
    "robust_sparse": {"method": "sparse", "scaler": "robust", "alpha": 0.5},
    "center_robust": {"method": "robust", "scaler": "center"},
}
"""Options of :func:`fhemb_xr.pca` by recipe; all had five components."""


def recipe(name: str) -> dict[str, Any]:
    """Options of a recipe.

    Raises
    ------
    UnknownNameError
        No such recipe, with the nearest ones.

    Examples
    --------
    >>> from fhemb_xr.ops.pca.recipes import recipe
    >>> recipe("center_sparse")
    {'method': 'sparse', 'scaler': 'center', 'alpha': 0.5}
    """
    return dict(RECIPES[named(name)])


def named(name: str) -> str:
    """The name of a recipe that is meant.

    Raises
    ------
    UnknownNameError
        No such recipe, with the nearest ones.
    """
    return require_choice("recipe", name, RECIPES)
