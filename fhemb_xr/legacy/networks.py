"""Learned classifiers by the original's names."""

from typing import Any


def calc_prototype_accuracy(
    X0: Any,  # noqa: N803  (the original's names)
    X1: Any,  # noqa: N803
    normalize: Any = None,
    num_epochs: int = 10,
    lr: float = 0.001,
    opt_alg: str = "adamw",
    random_states: int = 1,
) -> list[float]:
    """Not there yet: :func:`fhemb_xr.classify` has other classifiers.

    Raises
    ------
    NotImplementedError
        Always.
    """
    raise NotImplementedError("no prototype network yet: fx.classify(samples, 'knn_euclidean')")


def calc_shapelet(
    X_train: Any,  # noqa: N803
    X_test: Any,  # noqa: N803
    y_train: Any,
) -> Any:
    """Not there yet: ``fx.classify(samples, "shapelet_rotationforest")`` has shapelets.

    Raises
    ------
    NotImplementedError
        Always.
    """
    raise NotImplementedError(
        "no learned shapelets yet: fx.classify(samples, 'shapelet_rotationforest')"
    )
