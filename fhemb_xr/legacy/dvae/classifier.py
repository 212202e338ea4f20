"""The denoising variational classifier, by the original's path.

It is an example of a classifier that :func:`fhemb_xr.classify` takes by ``own=``.
"""

import secrets
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fhemb_xr.errors import SchemaError, extra
from fhemb_xr.typing import F64


class VAEClassifier:
    """Two classes told by a variational autoencoder of masked samples.

    Parameters
    ----------
    feature_dim
        Numbers in a sample; by default those of the samples that are learnt from.
    z_dim, hidden_dim
        Widths of the code and of the layers.
    alpha1, alpha2, beta
        Weights of reconstruction, label and prior in the loss.
    corruption
        Share of the entries that are masked while learning.
    seed
        Random seed: the same twice gives the same twice. None: another one each time.

    Notes
    -----
    ``vae.z_loc_embedding`` are the places ``(n, z_dim)`` in the code of the samples that were
    told last.
    """

    vae: SimpleNamespace

    def __init__(
        self,
        feature_dim: int | None = None,
        z_dim: int = 80,
        hidden_dim: int = 80,
        alpha1: float = 1e-5,
        alpha2: float = 1,
        beta: float = 1e-2,
        corruption: float = 0.7,
        seed: int | None = None,
    ) -> None:
        self.feature_dim, self.seed = feature_dim, seed
        self._sizes = {"z": z_dim, "hidden": hidden_dim, "corruption": corruption}
        self._weights = {"reconstruction": alpha1, "label": alpha2, "prior": beta}
        self._network: Any = None

    def fit(self, X: Any, y: Any, num_epochs: int = 1000) -> "VAEClassifier":  # noqa: N803
        """Learn from samples ``(n, …)`` and their two classes.

        Raises
        ------
        SchemaError
            More or fewer than two classes, or samples of another size.
        ImportError
            torch is not installed: ``pip install 'fhemb_xr[learn]'``.
        """
        with extra("learn"):
            from fhemb_xr.nn import variational
        self.classes_, number = np.unique(np.asarray(y), return_inverse=True)
        x = self._rows(X)
        if len(self.classes_) != 2 or x.shape[1] != (self.feature_dim or x.shape[1]):
            raise SchemaError(
                f"need two classes of samples of {self.feature_dim} numbers, found "
                f"{len(self.classes_)} classes of {x.shape[1]}"
            )
        self._centre, spread = x.mean(), x.std()
        self._spread = spread if spread > 0 else 1.0
        of = variational.Design(x.shape[1], **self._sizes, **self._weights)  # type: ignore[arg-type]
        seed = secrets.randbelow(2**31) if self.seed is None else self.seed
        scaled = (x - self._centre) / self._spread
        told = number.astype(np.float64)
        self._network, self._threshold = variational.fitted(scaled, told, of, num_epochs, seed)
        return self

    def _rows(self, X: Any) -> F64:  # noqa: N803
        x = np.asarray(X, np.float64)
        return np.ascontiguousarray(x.reshape(len(x), -1))

    def predict_proba(self, X: Any) -> F64:  # noqa: N803
        """Probabilities of both classes: ``(n, …) -> (n, 2)``."""
        if self._network is None:
            raise SchemaError("nothing was learnt yet: call fit(X, y) before")
        from fhemb_xr.nn import variational

        rows = (self._rows(X) - self._centre) / self._spread
        share = variational.probabilities(self._network, rows)
        self.vae = SimpleNamespace(z_loc_embedding=variational.places(self._network, rows))
        return np.stack([1 - share, share], axis=1)

    transform = predict_proba

    def predict(self, X: Any) -> NDArray[Any]:  # noqa: N803
        """The class of each sample."""
        share = self.predict_proba(X)[:, 1]
        return np.asarray(self.classes_[(share >= self._threshold).astype(int)])

    def fit_predict_on(
        self,
        X: Any,  # noqa: N803
        y: Any,
        X_test: Any,  # noqa: N803
        num_epochs: int = 1000,
    ) -> NDArray[Any]:
        """Learn from ``X`` and tell the classes of ``X_test``."""
        return self.fit(X, y, num_epochs).predict(X_test)

    def fit_predict_proba_on(
        self,
        X: Any,  # noqa: N803
        y: Any,
        X_test: Any,  # noqa: N803
        num_epochs: int = 1000,
    ) -> F64:
        """Learn from ``X`` and give probabilities of ``X_test``."""
        return self.fit(X, y, num_epochs).predict_proba(X_test)

    def fit_predict(self, X: Any, y: Any, num_epochs: int = 1000) -> NDArray[Any]:  # noqa: N803
        """Learn from samples and tell the same ones."""
        return self.fit(X, y, num_epochs).predict(X)

    def fit_transform(self, X: Any, y: Any, num_epochs: int = 1000) -> F64:  # noqa: N803
        """Learn from samples and give their probabilities."""
        return self.fit(X, y, num_epochs).predict_proba(X)
