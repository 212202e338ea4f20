"""Faces cut out of a film of a scene by a table of boxes."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

import fhemb_xr as fx
from fhemb_xr.errors import ConfigError, SourceError
from ingest import cli, stacks
from ingest.hints import Hints
from ingest.planning import plan
from ingest.run import ingest
from ingest.stacks import StackSource
from ingest.store.verification import verify

N, SCENE = 30, (20, 32)


@pytest.fixture
def film(tmp_path):
    """A film of counts in 0.01 K, and its temperatures."""
    counts = np.random.default_rng(0).integers(30400, 30900, (N, *SCENE)).astype("u2")
    (tmp_path / "opera").mkdir()
    np.save(tmp_path / "opera" / "don.npy", counts)
    return tmp_path / "opera" / "don.npy", counts / 100 - 273.15


def table(rng=None, people=("anna", "ben")):
    rng = rng or np.random.default_rng(1)
    rows = [
        (who, k, *rng.integers(-4, 18, 2), *rng.integers(5, 9, 2))
        for who in people
        for k in rng.permutation(N)[:20]
    ]
    return pd.DataFrame(rows, columns=["subject", "frame", "x", "y", "width", "height"])


def by_hand(celsius, boxes, grid):
    """Each face in the middle of the grid, as a loop over the table."""
    people = sorted(set(boxes.subject))
    out = np.full((len(people), N, *grid), np.nan)
    for row in boxes.itertuples():
        padded = np.pad(celsius[row.frame], 40, constant_values=np.nan)
        face = padded[row.y + 40 :, row.x + 40 :][: row.height, : row.width]
        top, left = (grid[0] - row.height) // 2, (grid[1] - row.width) // 2
        place = out[people.index(row.subject), row.frame]
        place[top : top + row.height, left : left + row.width] = face
    return out


def test_boxes__cut_the_faces_as_a_loop_does(tmp_path, film, monkeypatch):
    monkeypatch.setattr(stacks, "BATCH_BYTES", 4 * 8 * SCENE[0] * SCENE[1])  # four pictures
    path, celsius = film
    boxes = table()
    source = StackSource(path, hints=Hints(units="cK"), boxes=boxes)
    done = ingest(source, tmp_path / "a.zarr", rate_hz=9, shard_frames=7)
    ds = fx.open_recording(tmp_path / "a.zarr")
    wanted = by_hand(celsius, boxes, ds.heatmap.shape[-2:])
    np.testing.assert_allclose(ds.heatmap[:, 0], wanted, atol=0.0051)
    assert (ds.subject.values.tolist(), ds.session.item()) == (["anna", "ben"], "don")
    anna = boxes[boxes.subject == "anna"].set_index("frame")
    heights, centres = ds.height[0, 0].values, ds.position[0, 0].values
    for k in range(N):
        assert heights[k] == (anna.height.get(k, 0) if np.isfinite(wanted[0, k]).any() else 0)
        if k in anna.index:
            row = anna.loc[k]
            assert centres[k].tolist() == [row.x + row.width / 2, row.y + row.height / 2]
    assert "partly outside of the picture: pixels are missing" in " ".join(done.doubts)
    assert verify(tmp_path / "a.zarr", source).equal
    moved = boxes.copy()
    moved.loc[(moved.subject == "ben") & (moved.frame < 7), "x"] += 1
    again = ingest(StackSource(path, hints=Hints(units="cK"), boxes=moved), tmp_path / "a.zarr")
    assert (again.shards_read, again.shards_written) == (1, 1)


def written(tmp_path, boxes, **how):
    boxes.to_csv(tmp_path / "boxes.csv", index=False, **how)
    return tmp_path / "boxes.csv"


def test_cli__boxes_cut_a_film_and_the_plan_says_so(tmp_path, film, monkeypatch):
    monkeypatch.setenv("FHEMB_CONFIG_DIR", str(tmp_path / "config"))
    path, celsius = film
    boxes = table()
    more = ["--files", str(path), "--units", "cK", "--rate", "9"]
    more += ["--boxes", str(written(tmp_path, boxes, sep=";", decimal=","))]
    run = CliRunner().invoke
    said = " ".join(run(cli.app, ["plan", *more]).stdout.split())
    assert "40 of 2 people, 5 x 5 to 8 x 8 pixels" in said, said
    assert "the centres of the boxes" in said
    done = run(cli.app, ["run", str(tmp_path / "a.zarr"), *more, "--json"])
    assert json.loads(done.stdout)["subjects"] == 2, done.output
    ds = fx.open_recording(tmp_path / "a.zarr")
    wanted = by_hand(celsius, boxes, ds.heatmap.shape[-2:])
    np.testing.assert_allclose(ds.heatmap[:, 0], wanted, atol=0.0051)
    assert run(cli.app, ["verify", str(tmp_path / "a.zarr"), *more]).exit_code == 0
    assert run(cli.app, ["plan", *more[:-2], "--margin", "0.2"]).exit_code == 2
    assert run(cli.app, ["plan", "--schema", "dg", *more[-2:]]).exit_code == 2


def found(film, boxes, **how):
    return StackSource(film[0], hints=Hints(units="cK"), boxes=boxes, **how).found()


def changed(**columns):
    boxes = table().astype({"x": float, "width": float, "frame": float, "subject": object})
    for name, (row, value) in columns.items():
        boxes.loc[row, name] = value
    return boxes


@pytest.mark.parametrize(
    ("boxes", "said"),
    [
        (pd.concat([table(), table()[3:4]]), r"subject 'anna' has several boxes in frame \d+"),
        (changed(width=(4, -3)), "row 5 of the table, a box of 'anna', has a size below 0: -3"),
        (changed(frame=(2, 1.5)), "row 3 of the table of boxes has the frame 1.5"),
        (changed(frame=(2, np.inf)), "row 3 of the table of boxes has the frame inf"),
        (changed(frame=(2, np.nan)), "row 3 of the table of boxes has the frame nan"),
        (changed(subject=(2, np.nan)), "row 3 of the table of boxes has no subject"),
        (table().assign(x=500), "40 of 40 boxes are outside of the picture of 20 x 32 pixels"),
        (table().assign(frame=lambda t: t.frame + 900), "no box of the table lies in the film"),
        (table().drop(columns="frame"), "no column frame among subject, x"),
        (table().drop(columns="width"), "neither x, y, width, height nor landmarks"),
        (table().assign(x="left"), "column 'x' of the table is no number"),
        ("none.csv", "no table of boxes 'none.csv'"),
    ],
)
def test_boxes__that_are_wrong_are_refused(film, boxes, said):
    with pytest.raises(SourceError, match=said):
        found(film, boxes)


def test_boxes__that_are_odd_are_doubts(film):
    boxes = changed(x=(0, np.nan), width=(1, 0.0), frame=(2, 77.0))
    boxes.loc[3, "x"], boxes.loc[4, "x"], boxes.loc[5, "frame"] = 400.0, np.inf, 1e30
    doubts = " | ".join(found(film, boxes).doubts)
    assert "3 of 40 rows of the table have no box: no face there" in doubts
    assert "2 of 40 boxes are at frames that the film does not have; it has 30" in doubts
    assert "1 boxes are outside of the picture" in doubts
    every = pd.DataFrame({"frame": np.arange(N) + 1, "x": 2, "y": 3, "w": 5, "h": 6})
    assert "they are counted from 1" in " ".join(found(film, every).doubts)
    assert "all boxes are of one person" in " ".join(found(film, every).doubts)
    two = pd.concat([every.assign(person="a"), every.assign(person="b", x=3)])
    assert "'a' and 'b' overlap by more than half in 30" in " ".join(found(film, two).doubts)
    with pytest.raises(ConfigError, match="margin belongs to boxes"):
        StackSource(film[0], margin=0.1)


def first_face(film, boxes, **how):
    """Height, width and centre of the first person's first face."""
    source = StackSource(film[0], hints=Hints(units="cK"), boxes=boxes, **how)
    who = source.found().subjects[0]
    cut: Any = source.stack("don", who)  # noqa: PD013 (no pandas)
    assert cut.places[0] == 0
    return (*cut.sizes[0].tolist(), *cut.centres[0].tolist())


def landmarks(scale=1.0):
    """68 points of a face of 10 x 8 pixels at (6, 4)."""
    points = np.random.default_rng(2).uniform(0, 1, (68, 2)) * (8, 10) + (6, 4)
    points[:2] = (6, 4), (14, 14)
    names = [f"{a}_{i}" for i in range(68) for a in ("x", "y")]
    return pd.DataFrame([(points / scale).ravel()] * 3, columns=names)


def deeplabcut(tmp_path):
    points = [
        ("nose", 6, 4, 0.9),
        ("ear", 14, 14, 0.7),
        ("chin", 9, 9, 0.61),
        ("hat", 0, 0, 0.5),
    ]
    cells = [str(v) for _, *xyl in points for v in xyl]
    head = [[w] * 3 for w, *_ in points]
    lines = [
        ["scorer", *["net"] * 12], ["individuals", *["anna"] * 12],
        ["bodyparts", *[n for h in head for n in h]],
        ["coords", *["x", "y", "likelihood"] * 4], ["0", *cells], ["1", *cells],
    ]  # fmt: skip
    file = tmp_path / "dlc.csv"
    file.write_text("\n".join(",".join(line) for line in lines) + "\n")
    return file


def test_tables__of_trackers_are_understood(tmp_path, film):
    openface = landmarks().assign(frame=[1, 2, 3], face_id=0, success=[1, 1, 0])
    openface.columns = [f" {c}" for c in openface.columns]  # as OpenFace writes them
    tables = {
        "openface": written(tmp_path, openface),
        "mediapipe": landmarks(np.full((68, 2), (32, 20))).assign(frame=range(3)),
        "deeplabcut": deeplabcut(tmp_path),
        "py-feat": pd.DataFrame(
            {"frame": [0], "FaceRectX": 6.0, "FaceRectY": 4, "FaceRectWidth": 8,
             "FaceRectHeight": 10}
        ),
        "corners": pd.DataFrame({"frame": [0], "x1": 6, "y1": 4, "x2": 14, "y2": 14}),
        "centre": pd.DataFrame({"frame": [0], "cx": 10, "cy": 9, "w": 8, "h": 10}),
    }  # fmt: skip
    for name, boxes in tables.items():
        assert first_face(film, boxes) == (10, 8, 10, 9), name
    openface = StackSource(film[0], hints=Hints(units="cK"), boxes=tables["openface"])
    assert plan(openface).faces == {"don": {0: 2}}  # success is 0 in the third frame
    larger = first_face(film, tables["corners"], margin=0.25)
    assert larger == (14, 12, 10, 9)  # 2.5 and 2 pixels on each side, to whole pixels
    twice = tmp_path / "twice.csv"
    twice.write_text("frame,x,X,y,w,h\n0,1,2,3,4,5\n")
    with pytest.raises(SourceError, match="several columns 'x'"):
        found(film, twice)
    (tmp_path / "a.h5").touch()
    with pytest.raises(SourceError, match="export the table of boxes or points as CSV"):
        found(film, tmp_path / "a.h5")


def test_films__of_several_sessions_need_their_names(tmp_path, film):
    path, celsius = film
    np.save(path.with_name("giovanni.npy"), np.load(path)[::-1])
    source = StackSource(path.parent, hints=Hints(units="cK"), boxes=table())
    with pytest.raises(SourceError, match=r"cut 2 films .*a column session"):
        source.found()
    both = pd.concat([table().assign(session=s) for s in ("don", "giovanni")])
    source = StackSource(path.parent, hints=Hints(units="cK"), boxes=both)
    ingest(source, tmp_path / "a.zarr")
    ds = fx.open_recording(tmp_path / "a.zarr")
    assert ds.session.values.tolist() == ["don", "giovanni"]
    for k, scene in enumerate((celsius, celsius[::-1])):
        wanted = by_hand(scene, table(), ds.heatmap.shape[-2:])
        np.testing.assert_allclose(ds.heatmap[:, k], wanted, atol=0.0051)
    with pytest.raises(SourceError, match="boxes of session 'x' have no film"):
        StackSource(
            path.parent, hints=Hints(units="cK"), boxes=both.assign(session="x")
        ).found()
