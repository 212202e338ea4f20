"""Trainings that can be found again: one Zarr group, a child for each run.

``xr.open_datatree(runs, engine="zarr")`` reads them all: weights as arrays, losses along
``epoch``, the whole configuration and the identity of the data in the attributes. No pickle.
"""

import datetime
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import xarray as xr
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fhemb_xr import schema
from fhemb_xr.errors import ConfigError
from fhemb_xr.io import provenance, recording, store
from fhemb_xr.ops.cardiac import pairing_training, pairing_windows
from fhemb_xr.ops.checks import unknown_name

CONFIG = "pairing_config"
TRAINED_ON, FAMILY = "trained_on", "trained_on_family"
"""Attributes of a run: uuid of its recording, and of all that this was made from."""
Report = Callable[[int, Mapping[str, float]], None]


class PairingConfig(BaseModel):
    """What :func:`fhemb_xr.train_pairing` is asked for; any key may be left out."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    method: Literal["linear", "r2plus1d"] = "linear"
    window_s: float = Field(default=10.0, ge=2)
    validation: float = Field(default=0.0, ge=0, lt=1)
    test: float = Field(default=0.0, ge=0, lt=1)
    """Share of the people who are put aside for the test: drawn by the seed, never read."""
    seed: int = Field(default=0, ge=0)
    n_filters: int = Field(default=4, ge=1)
    epochs: int = Field(default=35, ge=1)
    batch: int = Field(default=48, ge=2)
    learning_rate: float = Field(default=4e-3, gt=0)
    weight_decay: float = Field(default=2e-2, ge=0)
    noise: float = Field(default=0.2, ge=0)
    spatial: int = Field(default=8, ge=1)
    channels: int = Field(default=16, ge=1)

    def arguments(self) -> dict[str, Any]:
        """Of :func:`fhemb_xr.train_pairing`: those that the method takes."""
        own = pairing_training.OPTIONS[self.method]
        common = ("method", "window_s", "validation", "seed")
        return {k: v for k, v in self.model_dump().items() if k in common or k in own}


def read_config(file: str | Path) -> PairingConfig:
    """A configuration from YAML.

    Raises
    ------
    ConfigError
        The file is not there, is no YAML, or has a wrong key or value: every fault, by name.
    """
    import yaml

    path = Path(file)
    try:
        found = yaml.safe_load(path.read_text()) or {}
        return PairingConfig.model_validate(found)
    except FileNotFoundError:
        raise ConfigError(f"there is no file {path.name!r}: is the path right?") from None
    except yaml.YAMLError:
        raise ConfigError(f"{path.name!r} is not YAML: key: value, one a line") from None
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(map(str, e['loc'])) or 'the file'}: {e['msg']}" for e in error.errors()
        )
        keys = ", ".join(PairingConfig.model_fields)
        raise ConfigError(f"{path.name!r}: {faults}; the keys are {keys}") from None


def train(
    ds: xr.Dataset, trace: xr.DataArray, runs: str | Path, config: PairingConfig, *,
    tensorboard: str | Path | None = None,
) -> str:  # fmt: skip
    """Train, and keep the run: its name in ``runs``.

    Parameters
    ----------
    ds, trace
        As for :func:`fhemb_xr.train_pairing`.
    runs
        Folder of the group, made if it is not there.
    config
        Configuration of the training, which is stored with the model.
    tensorboard
        Folder for TensorBoard's event files, too.
    """
    import zarr

    ds, trace = _without_tested(ds, trace, config)
    with _curves(tensorboard) as report:
        model = pairing_training.train_pairing(ds, trace, report=report, **config.arguments())
    model.attrs[CONFIG] = config.model_dump_json()
    if provenance.UUID in ds.attrs:
        model.attrs[TRAINED_ON] = ds.attrs[provenance.UUID]
        model.attrs[FAMILY] = sorted(provenance.family(ds.attrs))
    name = f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:6]}"
    root = Path(runs).expanduser()
    root.mkdir(mode=0o700, parents=True, exist_ok=True)
    zarr.open_group(str(root), mode="a", zarr_format=3)
    store.save(model, root / name)
    return name


def _without_tested(
    ds: xr.Dataset, trace: xr.DataArray, config: PairingConfig
) -> tuple[xr.Dataset, xr.DataArray]:
    """Those who are not in the share of people for the test, whole persons.

    Raises
    ------
    ConfigError
        Fewer than two people would be left, or fewer than three put aside.
    """
    if not config.test:
        return ds, trace
    people = ds.indexes[schema.SUBJECT].to_numpy()
    n = round(config.test * len(people))
    if n < 3 or len(people) - n < 2:
        raise ConfigError(
            f"test: {config.test:g} puts {n} of {len(people)} people aside: two or more are "
            "needed to learn from, and three or more to test"
        )
    aside = np.random.default_rng(config.seed).permutation(people)[:n]
    kept = people[~np.isin(people, aside)]
    return tuple(x.sel({schema.SUBJECT: kept}) for x in (ds, trace))  # type: ignore[return-value]


def open_run(runs: str | Path, name: str = "latest") -> xr.Dataset:
    """A run's model, for :func:`fhemb_xr.pair`.

    Raises
    ------
    UnknownNameError
        There is no such run (a ``KeyError``), with the nearest.
    """
    there = names(runs)
    if name == "latest" and there:
        name = there[-1]
    if name not in there:
        raise unknown_name("run", name, there, personal=True)
    found = recording.open_result(Path(runs).expanduser() / name)
    assert isinstance(found, xr.Dataset)
    return found


def known_people(model: xr.Dataset) -> set[str]:
    """Labels of the people that a run was trained on."""
    return {str(p) for p in np.atleast_1d(model.attrs.get(pairing_windows.KNOWN, []))}


def trained_people(model: xr.Dataset, ds: xr.Dataset) -> tuple[list[str], bool]:
    """People of a recording who have the label of somebody a run was trained on.

    And whether it is the recording of the training, or was made from it, or the training's from
    it: then they are the same people.
    """
    known = known_people(model)
    people = [str(s) for s in ds.indexes[schema.SUBJECT]]
    trained = {str(uuid) for uuid in model.attrs.get(FAMILY, [model.attrs.get(TRAINED_ON)])}
    same = bool(trained & provenance.family(ds.attrs))
    if pairing_windows.KNOWN not in model.attrs:  # a run of an older version
        return (people if same else []), same
    return [p for p in people if p in known], same


def names(runs: str | Path) -> list[str]:
    """Of all runs, the oldest first."""
    root = Path(runs).expanduser()
    if not root.is_dir():
        return []
    return sorted(p.name for p in root.iterdir() if (p / "zarr.json").is_file())


@contextmanager
def _curves(folder: str | Path | None) -> Iterator[Report | None]:
    """A report that TensorBoard draws, or none."""
    if folder is None:
        yield None
        return
    from torch.utils.tensorboard import SummaryWriter

    writer = SummaryWriter(str(folder))

    def report(epoch: int, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            writer.add_scalar(name, value, epoch)

    try:
        yield report
    finally:
        writer.close()
