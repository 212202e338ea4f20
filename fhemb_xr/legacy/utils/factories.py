"""How eigenfaces and wavelets are asked for: the original's factories."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from fhemb_xr.legacy import logs
from fhemb_xr.ops.checks import unknown_name
from fhemb_xr.ops.option_tables import KERNEL

N_COMPONENTS = 5
"""Components where none are asked for; scikit-learn would take all."""
_METHODS = {
    "pca": "covariance", "kernel": "kernel", "sparse": "sparse",
    "incrementalpca": "incremental", "robust": "robust",
}  # fmt: skip
_RENAMED = {"random_state": "seed"}
_TAKEN = ("n_components", "kernel", "gamma", "degree", "coef0", "alpha", "random_state")
_IDLE = ("fit_inverse_transform", "n_jobs")
"""Options that change nothing here."""


@dataclass(frozen=True)
class ConcreteEmbFactory:
    """A wavelet and its depth."""

    level: int = 8
    wtype: str = "db4"


@dataclass(frozen=True)
class ConcretePcaFactory:
    """A scaler and a method of eigenfaces; nothing is written under its ``name``."""

    scaler: str = "Standard"
    pca: str = "Kernel"
    name: str | None = None
    scaler_kwargs: Mapping[str, Any] = field(default_factory=dict)
    pca_kwargs: Mapping[str, Any] = field(default_factory=dict)

    @property
    def n_components(self) -> int:
        """Number of components."""
        return int(self.pca_kwargs.get("n_components") or N_COMPONENTS)

    @property
    def options(self) -> dict[str, Any]:
        """Options of :func:`fhemb_xr.pca`.

        Raises
        ------
        UnknownNameError
            A scaler, a method or an option that is not known, with the nearest ones.
        """
        method = _METHODS.get(self.pca.lower().removeprefix("sklearn."))
        if method is None:
            raise unknown_name("pca", self.pca, _METHODS)
        out: dict[str, Any] = {"method": method, "scaler": self._scaler()}
        for name, value in self.pca_kwargs.items():
            if name in _IDLE or (name == "n_components" and value is None):
                continue
            if name not in _TAKEN:
                raise unknown_name("option of pca", name, _TAKEN)
            out[_RENAMED.get(name, name)] = value
        out["n_components"] = self.n_components
        if method == "kernel":  # scikit-learn passes over what a kernel does not use
            used = KERNEL.takes.get(out.setdefault("kernel", "linear"), ())
            out = {k: v for k, v in out.items() if k not in KERNEL.usual or k in used}
        return out if method != "sparse" else {"seed": 0, **out}

    @property
    def key(self) -> str:
        """The recipe as a text."""
        said = ", ".join(f"{k}={v!r}" for k, v in sorted(self.options.items()))
        return f"pca({said})"

    def _scaler(self) -> str:
        kind = self.scaler.lower().removesuffix("scaler")
        given = dict(self.scaler_kwargs)
        allowed = ("with_mean", "with_std") if kind == "standard" else ()
        if wrong := [k for k in given if k not in allowed]:
            raise unknown_name(f"option of the scaler {self.scaler!r}", wrong[0], allowed)
        if kind == "robust":
            return "robust"
        if kind != "standard":
            raise unknown_name("scaler", self.scaler, ("Standard", "Robust"))
        return "standard" if given.get("with_std", True) else "center"


def wfactory(wtype: str = "db4", level: int = 8) -> ConcreteEmbFactory:
    """The original's name for a wavelet and its depth.

    Examples
    --------
    >>> from fhemb_xr.legacy import wfactory
    >>> wfactory("db4", 8)
    ConcreteEmbFactory(level=8, wtype='db4')
    """
    logs.of("factories").debug("wavelet %s, level %s", wtype, level)
    return ConcreteEmbFactory(level=level, wtype=wtype)


def pca_factory(
    name: str | None = None,
    scaler: str = "Standard",
    pca: str = "Kernel",
    scaler_kwargs: Mapping[str, Any] | None = None,
    pca_kwargs: Mapping[str, Any] | None = None,
) -> ConcretePcaFactory:
    """The original's name for a scaler and a method of eigenfaces.

    Parameters
    ----------
    name
        A label; nothing is written under it.
    scaler
        ``"Standard"`` (``with_std`` True or False) or ``"Robust"``.
    pca
        ``"PCA"``, ``"Kernel"``, ``"Sparse"``, ``"IncrementalPCA"`` or ``"Robust"``.
    scaler_kwargs, pca_kwargs
        Options of scikit-learn that :func:`fhemb_xr.pca` has; without ``n_components``, five.

    Examples
    --------
    >>> from fhemb_xr.legacy import pca_factory
    >>> pca_factory(scaler_kwargs={"with_std": False}, pca="PCA").key
    "pca(method='covariance', n_components=5, scaler='center')"
    """
    out = ConcretePcaFactory(
        scaler=scaler,
        pca=pca,
        name=name,
        scaler_kwargs=dict(scaler_kwargs or {}),
        pca_kwargs=dict(pca_kwargs or {}),
    )
    logs.of("factories").debug("%s", out.key)  # refuses here what is not known
    return out


wfactories: dict[str, ConcreteEmbFactory] = {
    name: ConcreteEmbFactory(level=8, wtype={"bior13": "bior1.3"}.get(name, name))
    for name in ("db2", "db4", "db10", "sym2", "sym10", "bior13", "coif1", "coif5")
}
"""The original's wavelets by name, level 8."""
