"""What is asked of :func:`fhemb_xr.pca`: names that are meant, options that are used."""

from typing import Any

from fhemb_xr.ops import synonyms
from fhemb_xr.ops.checks import require_choice, require_count, require_number, require_positive
from fhemb_xr.ops.option_tables import KERNEL, PCA, is_usual
from fhemb_xr.ops.pca import kernel_pca, recipes

METHODS = ("covariance", "randomized", "incremental", "kernel", "sparse", "robust")
SCALERS = ("none", "center", "standard", "robust", "minmax")
_USUAL = {"method": "covariance", "scaler": "center", **PCA.usual}


def chosen(recipe: str | None, landmarks: int | None, **given: Any) -> dict[str, Any]:
    """Method, scaler and their options, by names of this library, of a recipe if there is one.

    Raises
    ------
    UnknownNameError
        No such method, scaler, kernel or recipe.
    ValueError
        If an option is not used, contradicts the recipe, or is out of range.
    """
    asked = given if recipe is None else _by_recipe(recipe, given)
    method = require_choice("method", asked["method"], METHODS, synonyms.PCA_METHODS)
    scaler = require_choice("scaler", asked["scaler"], SCALERS, synonyms.SCALERS)
    kernel = require_choice("kernel", asked["kernel"], kernel_pca.KERNELS, synonyms.KERNELS)
    asked = {**asked, "method": method, "scaler": scaler, "kernel": kernel}
    PCA.require_used(method, {**asked, "landmarks": landmarks})
    if method == "kernel":
        KERNEL.require_used(kernel, asked)
    gamma = asked["gamma"]
    return {
        **asked,
        "gamma": None if gamma is None else require_positive("gamma", gamma),
        "degree": require_count("degree", asked["degree"]),
        "coef0": require_number("coef0", asked["coef0"]),
        "alpha": require_positive("alpha", asked["alpha"]),
    }


def _by_recipe(recipe: str, given: dict[str, Any]) -> dict[str, Any]:
    """The options of a recipe, if nothing else was asked for."""
    fixed = recipes.recipe(recipe)
    for name, value in given.items():
        if name in fixed and not is_usual(value, _USUAL[name]) and value != fixed[name]:
            raise ValueError(
                f"recipe {recipe!r} sets {name}={fixed[name]!r}, found {name}={value!r}: give "
                "one of the two"
            )
    return {**given, **fixed}
