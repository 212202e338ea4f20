"""NoXi-Re's scripts by their names: files written and read, embeddings, networks of theirs."""

import h5py
import numpy as np
import pytest
import torch
from torch import nn

from fhemb_xr import noxi
from fhemb_xr.errors import SchemaError, SourceError, StoreError, UnknownNameError
from tests.ingest.streams.test_readers import table
from tests.ingest.test_video import model as model  # a tiny vision transformer, as a fixture

SESSIONS = ("010.a", "002.b")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Tables and embeddings in the folders of the scripts, and the list of sessions."""
    folder = tmp_path_factory.mktemp("noxi")
    (folder / "openface").mkdir()
    (folder / "vit").mkdir()
    printed = {}
    for k, name in enumerate(SESSIONS):
        for person in ("expert", "novice"):
            frames = range(1, 21 + 5 * k)
            path = folder / "openface" / f"{name}_{person}.csv"
            printed[name, person] = table(path, frames=frames)
            values = np.random.default_rng(k).normal(size=(len(frames), 8)).astype("f4")
            np.save(folder / "vit" / f"{name}_{person}.npy", values)
    (folder / "list.csv").write_text(
        ",name\n" + "".join(f"{k},{n}\n" for k, n in enumerate(SESSIONS))
    )
    return folder, printed


def saved(folder, name, **how):
    given = {"data_folder": folder / "openface", "sample_list": folder / "list.csv"}
    return noxi.save_to_hdf5(folder / name, **{**given, **how})


def test_save__has_the_layout_and_the_scale_of_the_scripts(data):
    folder, printed = data
    path = saved(folder, "mixed.h5", feature_type="mixed", vit_features_path=folder / "vit")
    with h5py.File(path) as file:
        assert [n.decode() for n in file["sample_names"][:]] == list(SESSIONS)
        assert (file.attrs["num_samples"], file.attrs["feature_type"]) == (2, "mixed")
        one = file["sample_001/novice"]
        assert one.attrs["num_frames"] == 25
        numbers = printed[SESSIONS[1], "novice"]
        aus = np.stack([numbers[f"AU{u:02}_r"] for u in (1, 2)], axis=1) / 5
        np.testing.assert_allclose(one["aus"][:, :2], aus, rtol=1e-5)
        x = np.stack([numbers[f"x_{k}"] for k in range(68)], axis=1)
        low, high = x.min(axis=1, keepdims=True), x.max(axis=1, keepdims=True)
        np.testing.assert_allclose(one["face"][:, :, 0], (x - low) / (high - low), atol=1e-5)
        turn = numbers["pose_Rx"]  # the scripts scaled it across the three angles of a frame
        wanted = (turn - turn.min()) / np.ptp(turn)
        np.testing.assert_allclose(one["head"][:, 3], wanted, atol=1e-5)
        np.testing.assert_array_equal(
            one["vit"][:], np.load(folder / "vit" / f"{SESSIONS[1]}_novice.npy")
        )
    info = noxi.get_feature_info(path)
    assert info["feature_type"] == "mixed"
    assert info["features"]["expert"]["vit"] == {
        "shape": (20, 8), "dtype": "float32", "normalization": "none", "embedding_dim": 8,
    }  # fmt: skip
    assert noxi.load_sample(path, 0)["face"].shape == (20, 68, 2)


def test_save__of_one_kind_or_of_what_is_not_there(data):
    folder, _ = data
    path = saved(folder, "face.h5")
    assert noxi.get_feature_info(path)["feature_type"] == "openface"
    how = {"feature_type": "vit", "vit_features_path": folder / "vit"}
    path = saved(folder, "vit.h5", vit_normalization="standardize", **how)
    vit = noxi.load_sample(path, 0)["vit"]
    np.testing.assert_allclose(vit.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(vit.std(axis=0), 1, atol=1e-5)
    with pytest.raises(StoreError, match="mode='w' replaces it"):
        saved(folder, "vit.h5", **how)
    with pytest.raises(SchemaError, match="'mixed' needs embeddings: give vit_features_path"):
        saved(folder, "no.h5", feature_type="mixed")
    with pytest.raises(UnknownNameError, match="no kind of features 'audio': there are open"):
        saved(folder, "no.h5", feature_type="audio")
    (folder / "other.csv").write_text(",name\n0,099\n")
    with pytest.raises(UnknownNameError, match="no session '099' among 2"):
        saved(folder, "no.h5", sample_list=folder / "other.csv")
    with pytest.raises(SourceError, match=r"no file in .nothing. ends in _expert\.csv"):
        saved(folder, "no.h5", data_folder=folder / "nothing")
    assert not (folder / "no.h5").exists()


def test_embeddings__are_those_of_the_model_in_colour(model, data):
    from transformers import ViTModel

    frames = np.random.default_rng(0).integers(0, 255, (3, 40, 30, 3)).astype(np.uint8)
    extractor = noxi.ViTFeatureExtractor(model)
    assert extractor.embedding_dim == 16
    got = {cls: extractor.extract_from_frames(frames, cls) for cls in (True, False)}
    network = ViTModel.from_pretrained(model).eval()
    image = torch.from_numpy(frames[1] / np.float32(255)).permute(2, 0, 1)[None]
    image = nn.functional.interpolate(image, 32, mode="bilinear", antialias=True)
    with torch.no_grad():
        tokens = network(pixel_values=(image - 0.5) / 0.5).last_hidden_state[0]
    np.testing.assert_allclose(got[True][1], tokens[0], atol=2e-6)
    np.testing.assert_allclose(got[False][1], tokens[1:].mean(0), atol=2e-6)
    grey = extractor.extract_from_frames(frames[..., 0])
    assert (grey.shape, grey.dtype) == ((3, 16), np.float32)
    with pytest.raises(SchemaError, match=r"or \(T, H, W, 3\), found \(3, 40\)"):
        extractor.extract_from_frames(frames[:, :, 0, 0])
    with pytest.raises(ValueError, match="found device='cuda'"):
        noxi.ViTFeatureExtractor(model, "cuda")


def test_inspect__has_a_statistic_of_each_dimension(data):
    folder, _ = data
    path = folder / "vit" / f"{SESSIONS[0]}_expert.npy"
    found, x = noxi.inspect_vit_features(path), np.load(path).astype("f8")
    np.testing.assert_allclose(found["mean"], x.mean(axis=0), rtol=1e-6)
    np.testing.assert_allclose(found["std"], x.std(axis=0), rtol=1e-6)
    size = np.linalg.norm(x, axis=1)
    likeness = (x[1:] * x[:-1]).sum(axis=1) / (size[1:] * size[:-1])
    np.testing.assert_allclose(found["likeness"], likeness.mean(), rtol=1e-6)
    with pytest.raises(SourceError, match=r"'no.npy' cannot be read: No such file"):
        noxi.inspect_vit_features(folder / "no.npy")


class TheirMixed(nn.Module):
    """The layers of the scripts' network, by their names."""

    def __init__(self, n_a, n_b, h, classes):
        super().__init__()

        def branch(n, out):
            return nn.Sequential(nn.Linear(n, h), nn.ReLU(), nn.Dropout(0.3), nn.Linear(h, out))

        self.openface_branch, self.vit_branch = branch(n_a, h), branch(n_b, h)
        self.lstm = nn.LSTM(2 * h, h, batch_first=True, num_layers=2)
        self.fusion = branch(h, classes)

    def forward(self, a, b):
        both = torch.cat([self.openface_branch(a), self.vit_branch(b)], dim=-1)
        return self.fusion(self.lstm(both)[0][:, -1])


class TheirOne(nn.Module):
    def __init__(self, n, h, classes):
        super().__init__()
        self.lstm = nn.LSTM(n, h, batch_first=True, num_layers=2)
        self.fc = nn.Linear(h, classes)

    def forward(self, x):
        return self.fc(self.lstm(x)[0][:, -1])


def test_state_dicts__of_the_scripts_give_the_same_scores():
    torch.manual_seed(0)
    a, b = torch.randn(2, 5, 6), torch.randn(2, 5, 4)
    theirs, mine = TheirMixed(6, 4, 8, 3).eval(), noxi.MixedModel(6, 4, 8, 3).eval()
    mine.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(mine(a, b), theirs(a, b))
    theirs = TheirOne(6, 8, 3).eval()
    for made in (noxi.OpenFaceModel(6, 8, 3), noxi.ViTModel(6, 8, 3)):
        made.load_state_dict(theirs.state_dict())
        torch.testing.assert_close(made.eval()(a), theirs(a))
        made.load_state_dict(made.state_dict())  # and its own
    with pytest.raises(RuntimeError, match=r"size mismatch for scores\.weight"):
        noxi.ViTModel(6, 8, 4).load_state_dict(theirs.state_dict())
    pair = nn.ModuleDict({"a": noxi.ViTModel(6, 8, 3)})  # as a part of another network
    pair.load_state_dict({f"a.{k}": v for k, v in theirs.state_dict().items()})
    torch.testing.assert_close(pair["a"].eval()(a), theirs(a))
