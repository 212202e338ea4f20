"""``fhemb pair``: find the face that a heart belongs to; train, predict, evaluate."""

from pathlib import Path
from typing import Annotated, Any

import typer

from fhemb_cli.console import reporting
from fhemb_cli.options import Json, Out, Overwrite, Recording, Scheduler, workers_of

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,  # a traceback would print local variables
    help="Find the face that a heart belongs to: train, predict, evaluate.",
)
Trace = Annotated[
    Path | None, typer.Option(help="Store of the traces; default: `trace` of the recording.")
]
Runs = Annotated[Path, typer.Option(help="Folder of the runs.")]
Run = Annotated[str, typer.Option(help="Name of a run.")]
Blind = Annotated[bool, typer.Option(help="Use the method without training; reads no run.")]


@app.command(epilog="Example: fhemb pair train known.zarr --runs runs --config pair.yaml")
def train(
    recording: Recording,
    runs: Runs = Path("runs"),
    config: Annotated[Path | None, typer.Option(help="Settings in YAML.")] = None,
    trace: Trace = None,
    tensorboard: Annotated[Path | None, typer.Option(help="Folder of event files.")] = None,
    as_json: Json = False,
) -> None:
    """Train on people whose hearts are known; the run keeps weights and configuration."""
    with reporting(as_json) as say:
        from fhemb_xr import training_runs as keeping

        asked = keeping.PairingConfig() if config is None else keeping.read_config(config)
        ds, hearts = _opened(recording, trace)
        name = keeping.train(ds, hearts, runs, asked, tensorboard=tensorboard)
        model = keeping.open_run(runs, name)
        say(
            run=name,
            method=asked.method,
            people=model.attrs["people"],
            clips=model.attrs["clips"],
        )


@app.command(epilog="Example: fhemb pair predict new.zarr out.zarr --candidates 65,66")
def predict(
    recording: Recording,
    out: Out,
    candidates: Annotated[
        str, typer.Option(help="Subjects separated by commas, or all.")
    ] = "all",
    runs: Runs = Path("runs"),
    run: Run = "latest",
    blind: Blind = False,
    trace: Trace = None,
    overwrite: Overwrite = False,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Score every heart with every candidate's face, window by window."""
    with reporting(as_json) as say:
        import fhemb_xr as fx

        ds, hearts = _opened(recording, trace)
        scores = fx.pair(ds, hearts, _subjects(candidates, ds), **_method(runs, run, blind))
        with workers_of(0, "", scheduler):
            fx.save(scores, out, mode="w" if overwrite else "w-")
        saved = fx.open_result(out)
        rest = [d for d in saved["score"].dims if d not in ("heart", "candidate")]
        total = saved["score"].sum(rest).load()
        best = total.candidate[total.argmax("candidate")]
        chosen = {
            str(h): str(c) for h, c in zip(_names(total), best.values.ravel(), strict=True)
        }
        say(store=str(out), **({"chosen": chosen} if as_json else {}), sizes=dict(saved.sizes))


@app.command(epilog="Example: fhemb pair evaluate unseen.zarr --runs runs --json")
def evaluate(
    recording: Recording,
    runs: Runs = Path("runs"),
    run: Run = "latest",
    blind: Blind = False,
    trace: Trace = None,
    trials: Annotated[int, typer.Option(min=1, help="Number of choices drawn.")] = 1000,
    shift: Annotated[float, typer.Option(help="Shift of the trace, a control [s].")] = 5.0,
    unseen: Annotated[
        bool, typer.Option(help="Only people whose labels the run was not trained on.")
    ] = False,
    scheduler: Scheduler = None,
    as_json: Json = False,
) -> None:
    """Measure the share of right choices for unseen people, with intervals and controls."""
    with reporting(as_json) as say:
        import fhemb_xr as fx

        ds, hearts = _opened(recording, trace)
        method = _method(runs, run, blind)
        if unseen:
            ds, hearts = _unseen(method.get("model"), ds, hearts)
        known = _known(method.get("model"), ds)
        rate = ds.get("heart_rate")
        frames = round(shift * fx.schema.sampling_rate(ds))
        with workers_of(0, "", scheduler):
            scores = fx.pair(ds, hearts, **method).compute()
            late = fx.pair(ds, hearts.roll(time=frames), **method).compute()
        by_difference = fx.pairing_accuracy(scores, rate, n_trials=trials)
        accuracy = {
            str(d): _figures(by_difference.sel(difference=d))
            for d in by_difference.difference.values
        }
        third = fx.pairing_accuracy(scores, heart="third", n_trials=trials)
        accuracy["third person's trace"] = _figures(third.isel(difference=0))
        shifted = fx.pairing_accuracy(late, n_trials=trials)
        accuracy[f"own trace shifted by {shift:g} s"] = _figures(shifted.isel(difference=0))
        if as_json:
            known |= {"synthetic": bool(ds.attrs.get("synthetic", 0))}
            say(accuracy=accuracy, chance=0.5, **known)
        else:
            synthetic = " of synthetic faces" if ds.attrs.get("synthetic") else ""
            lines = {f"{k}{synthetic}": _sentence(v) for k, v in accuracy.items()}
            say(**lines, chance=0.5, **known)


def _known(model: Any, ds: Any) -> dict[str, Any]:
    """What must be said where the run may have learnt from people of this recording."""
    if model is None:
        return {}
    from fhemb_xr.training_runs import trained_people

    people, same = trained_people(model, ds)
    if not people:
        return {}
    some = f"{', '.join(people[:8])}{', …' if len(people) > 8 else ''}"
    who = f"{len(people)} of {ds.sizes['subject']} people ({some})"
    if same:
        return {"trained_on": f"{who}: the accuracy is that of people already known"}
    return {"labels_trained_on": f"{who}: if they are the same, they are already known"}


def _unseen(model: Any, ds: Any, hearts: Any) -> tuple[Any, Any]:
    """The people that a run was not trained on, e.g. those of its share ``test``."""
    if model is None:
        return ds, hearts
    from fhemb_xr.errors import EmptySelectionError
    from fhemb_xr.training_runs import known_people

    known = known_people(model)
    rest = [s for s in ds.indexes["subject"] if str(s) not in known]
    if len(rest) < 3:  # two faces, and a third person's trace
        raise EmptySelectionError(
            f"choices need three people whom the run was not trained on, found {len(rest)}: "
            "train with a share of people for the test, `test: 0.2` in the configuration"
        )
    return ds.sel(subject=rest), hearts.sel(subject=rest)


def _opened(recording: Recording, trace: Path | None) -> tuple[Any, Any]:
    import fhemb_xr as fx
    from fhemb_xr.errors import SchemaError

    ds = fx.open_recording(recording)
    if trace is not None:
        return ds, fx.open_result(trace)
    if "trace" not in ds:
        raise SchemaError("the recording has no variable 'trace': give the store with --trace")
    return ds, ds["trace"]


def _method(runs: Path, run: str, blind: bool) -> dict[str, Any]:
    if blind:
        return {"method": "blind"}
    from fhemb_xr.training_runs import open_run

    model = open_run(runs, run).load()
    return {
        "method": model.attrs["pairing_method"], "model": model,
        "window_s": model.attrs["window_s"],
    }  # fmt: skip


def _subjects(text: str, ds: Any) -> Any:
    if text == "all":
        return text
    number = ds.subject.dtype.kind in "iu"
    return [int(t) if number and t.strip().isdigit() else t.strip() for t in text.split(",")]


def _names(total: Any) -> list[Any]:
    return list(total["heart"].values) if "heart" in total.dims else ["trace"]


def _figures(row: Any) -> dict[str, Any]:
    out: dict[str, Any] = {
        str(n): round(float(v), 4) for n, v in row.data_vars.items() if not v.ndim
    }
    return out | {"confusion": row["confusion"].values.tolist()}


def _sentence(row: dict[str, Any]) -> str:
    return (
        f"{row['accuracy']:.3f}, people drawn again [{row['person_low']:.3f}, "
        f"{row['person_high']:.3f}], F1 {row['f1']:.3f}, {row['trials']:.0f} trials"
    )
