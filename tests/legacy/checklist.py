"""The contract of the original's names: each is called with all its parameters, and compared.

``python -m tests.legacy.checklist`` makes the recording, calls them, and prints how many there
are. The comparisons are with numpy, scipy, PyWavelets, scikit-learn and tslearn.
"""

import inspect
import sys
import tempfile
import warnings
from pathlib import Path

import fhemb_xr as fx
import fhemb_xr.legacy as fhemb

FACELESS = [45, 46, 55, 72, 76]
START, STOP = 10000, 10200
OURS = {"store", "session", "sound", "offset_s", "self"}
"""Parameters that the original does not have."""
NAMES = {
    "Piece": "Piece title time_interval face_t facebbox_t facebbox roi_t roi faceposition_t "
    "percentiles_face max min mean variance std median skew kurtosis entropy classinfo "
    "get_piece_attribute_values info api",
    "Datasource": "Datasource project percentiles_ts binheights_ts features_ts "
    "create_pca_embedding rsfacebbox_t position plot_pdf features_tint piece_attributes "
    "subjects binedges facesizes_t sr",
    "DatasourceResized": "create_pca_embedding normfacevec_ts bboxheatmap_ts features_tint",
    "Embedding": "Embedding features_tint plot_signal create_wdecomposition project subjects "
    "features type sr frequencies periods get_ts_subjs get_df_ts_subjs "
    "plot_lagged_correlations lagged_correlations_df visualize_eigenfaces bbootstrap "
    "plot_temperaturebars plot_temperaturehist plot_intvlhist binedges",
    "EmbeddingCollection": "EmbeddingCollection add features get_df_ts_subjs get_ts_subjs "
    "features_tint plot_signal bbootstrap visualize_eigenfaces binedges subjects frequencies "
    "periods plot_lagged_correlations lagged_correlation_graph lagged_correlations_df",
    "Wdecomposition": "create_wreconstruction fband_embedding frequencies periods features "
    "subsignals subjects wavelet level sr decomposed_embedding",
    "factories": "wfactory pca_factory wfactories ConcreteEmbFactory ConcretePcaFactory",
    "cutils": "prepare_data split_scale_data calc_similarity calc_accuracies depict_DTW "
    "plot_pr_heatmap plot_clustered_pr_heatmap plot_pr_dendrogram plot_pr_projection svd_pr "
    "plot_dm_heatmap plot_clustered_dm_heatmap plot_dm_dendrogram plot_dm_projection "
    "svd_dmatrix dtw_clustering compute_silhouette_vs_k plot_silhouette_curves depict_clusters "
    "calc_and_save_pr_accuracy plot_accuracy_summary calc_prototype_accuracy calc_shapelet",
    "others": "makeVideo setup_logging set_log_levels set_logger_level THERMO_SR FEATURE "
    "VAEClassifier",
}
CONTRACT = [f"{of}.{name}" for of, names in NAMES.items() for name in names.split()]


class Calls:
    """What was called, and with which parameters."""

    def __init__(self):
        self.passed, self.wanted = {}, {}

    def __call__(self, name, target, /, *args, **kwargs):
        signature = inspect.signature(target)
        bound = signature.bind(*args, **kwargs).arguments
        idle = bound.pop("idle", {})
        self.passed.setdefault(name, set()).update(bound, idle)
        kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
        self.wanted[name] = {
            p.name for p in signature.parameters.values() if p.kind not in kinds
        } - OURS
        return target(*args, **kwargs)

    def read(self, of, *names):
        """Names that are attributes: nothing is passed."""
        for name in names:
            self.passed.setdefault(f"{of}.{name}", set())
            self.wanted.setdefault(f"{of}.{name}", set())

    def never_passed(self):
        """Parameters of the contract that no call had."""
        return {n: sorted(w - self.passed[n]) for n, w in self.wanted.items()
                if w - self.passed[n]}  # fmt: skip


class World:
    """The recording, the piece of it that all rows use, and a folder to write to."""

    def __init__(self, store, folder):
        self.store, self.folder = store, Path(folder)
        self.piece = fhemb.Piece("Don Giovanni", (START, STOP), (40, 76), store=store)
        ds = fx.open_recording(store).fhemb.select(frames=(START, STOP))
        ds = ds.isel(session=0).load()
        self.raw = ds.assign(heatmap=ds.heatmap.where(ds.heatmap >= 25))

    def pixels(self, person, frame):
        """Visible pixels of a frame, as numpy sees them."""
        x = self.raw.heatmap.sel(subject=person).values[frame].ravel()
        return x[x == x].astype("f8")


def recording(path):
    """People 40 to 76, five of them without a face, 10 s."""
    ds = fx.testing.audience(
        subjects=range(40, 77),
        seconds=10,
        shape=(15, 10),
        start_frame=START,
        faceless=FACELESS,
        title="Don Giovanni",
        chunk_frames=250,
        gap=(START + 230, START + 240),  # beyond the pieces
    )
    fx.save(ds, path)
    return path


def run(store, folder):
    """Call everything, and stop at the first answer that is wrong."""
    from tests.legacy import checklist_faces, checklist_samples

    calls, world = Calls(), World(store, folder)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        checklist_faces.run(calls, world)
        checklist_samples.run(calls, world)
    return calls


def main():
    """Print the count."""
    with tempfile.TemporaryDirectory() as folder:
        calls = run(recording(Path(folder) / "don.zarr"), folder)
    called = [name for name in CONTRACT if name in calls.passed]
    n = sum(len(p) for p in calls.passed.values())
    sys.stdout.write(
        f"{len(called)} of {len(CONTRACT)} names of the contract are called, with {n} "
        "parameters, and give what numpy, scipy, PyWavelets, scikit-learn and tslearn give\n"
    )
    return len(called) != len(CONTRACT) or bool(calls.never_passed())


if __name__ == "__main__":
    sys.exit(main())
