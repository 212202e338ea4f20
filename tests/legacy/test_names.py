"""Every name of the contract: where it is imported from, and with which defaults."""

import importlib
import inspect

import pytest

import fhemb_xr.legacy as fhemb
from fhemb_xr.legacy import Datasource, DatasourceResized, Embedding, Piece, Wdecomposition
from fhemb_xr.legacy.embedding import EmbeddingCollection
from ingest import settings

PATHS = {
    "piece": "Piece",
    "embedding": "Embedding EmbeddingCollection",
    "dbms.db": "Datasource DatasourceResized",
    "utils.factories": "wfactory pca_factory wfactories ConcreteEmbFactory ConcretePcaFactory",
    "utils.cutils": "prepare_data split_scale_data calc_similarity calc_accuracies depict_DTW "
    "plot_pr_heatmap plot_dm_heatmap plot_clustered_pr_heatmap plot_clustered_dm_heatmap "
    "plot_pr_dendrogram plot_dm_dendrogram plot_pr_projection plot_dm_projection svd_pr "
    "svd_dmatrix dtw_clustering compute_silhouette_vs_k plot_silhouette_curves depict_clusters "
    "calc_and_save_pr_accuracy calc_dm_accuracy plot_accuracy_summary depict_accuracy "
    "calc_prototype_accuracy calc_shapelet",
    "utils.tutils": "makeVideo",
    "config.settings": "THERMO_SR FEATURE setup_logging set_log_levels set_logger_level",
    "dvae.classifier": "VAEClassifier",
    "logs": "setup_logging set_log_levels set_logger_level",
}
DEFAULTS = {
    Piece: {"subjs": "all", "temperature_threshold": None},
    Piece.percentiles_face: {"subjs": "all", "features": None, "factory": None, "fbands": None},
    Piece.max: {"subjs": "all", "factory": None, "fbands": None},
    Datasource: {"subjects": None, "piece_attributes": None, "position": None},
    Datasource.project: {
        "subjs": "all", "features": None, "heatmap": None, "fvector": None, "fbands": None,
        "pcfactory": None, "wdfactory": None,
    },
    Datasource.plot_pdf: {"bw_method": 1},
    Embedding: {
        "features": None, "subjects": None, "temperature_threshold": 30,
        "percentile_intv": None, "binedges": None, "periods": "All", "frequencies": "All",
    },
    Embedding.project: {
        "subjs": "all", "features": None, "heatmap": None, "fvector": None, "fbands": None,
        "factory": None,
    },
    Embedding.plot_signal: {
        "feature": None, "title": "", "label": "", "linestyle": "-", "show": True,
    },
    Embedding.get_ts_subjs: {"args": None},
    Embedding.plot_lagged_correlations: {"n_jobs": 4},
    Embedding.visualize_eigenfaces: {"subjs": None, "components": None, "cmap": "hot"},
    Embedding.bbootstrap: {
        "subjs": None, "err_ts": None, "block_length": None, "max_level": 8, "rseed": None,
    },
    Embedding.plot_temperaturebars: {"subjs": "all", "frms": None, "centralized": False},
    Embedding.plot_intvlhist: {"intvl": (0, 10), "feature": None},
    EmbeddingCollection.lagged_correlation_graph: {
        "lag": 0, "twin": 50, "step": 25, "max_lag": 200, "n_jobs": 4,
    },
    Wdecomposition: {"features": None, "wavelet": "db2", "level": 8},
    fhemb.wfactory: {"wtype": "db4", "level": 8},
    fhemb.pca_factory: {
        "name": None, "scaler": "Standard", "pca": "Kernel", "scaler_kwargs": None,
        "pca_kwargs": None,
    },
    fhemb.split_scale_data: {"test_size": 0.3, "random_state": 42, "normalize": None},
    fhemb.calc_similarity: {"sim_metric": "accuracy"},
    fhemb.depict_DTW: {"dist": "euclidean", "radius": 1},
    fhemb.plot_pr_heatmap: {
        "alignment_type": "fastdtw", "gamma": 1, "p": 3, "radius": 1, "normalize": None,
        "n_jobs": 4, "labels": None, "color_continuous_scale": "Viridis", "base_size": 20,
    },
    fhemb.plot_pr_dendrogram: {"method": "average"},
    fhemb.plot_pr_projection: {"projection": "mds", "transformation": "gauss", "dimensions": 2},
    fhemb.svd_pr: {"transformation": "gauss", "normalize": None},
    fhemb.dtw_clustering: {
        "interval": None, "normalize": False, "metric": "dtw", "n_clusters": 3, "max_iter": 10,
        "random_state": 0,
    },
    fhemb.compute_silhouette_vs_k: {"max_k": 10, "max_iter": 10, "n_jobs": -1},
    fhemb.plot_silhouette_curves: {"labels": None, "show_best": True},
    fhemb.depict_clusters: {"frame": None},
    fhemb.calc_and_save_pr_accuracy: {
        "alignment_type": "fastdtw", "gamma": 1.0, "normalize": False, "radius": 1,
        "feature": None, "n_jobs": 4, "random_states": 1,
    },
    fhemb.plot_accuracy_summary: {
        "features": None, "filename": "acc_summ.xlsx", "statistics": "median",
        "dtw_filter": None, "columns_filter": None, "verbose": False,
    },
    fhemb.calc_prototype_accuracy: {
        "normalize": None, "num_epochs": 10, "lr": 0.001, "opt_alg": "adamw",
        "random_states": 1,
    },
    fhemb.makeVideo: {
        "percentile_ts": None, "interval": (0, 200), "interval_shift": 0, "feature": None,
        "subj": 2, "title": "",
    },
    fhemb.setup_logging: {"force": False, "module_levels": None},
}  # fmt: skip
MEMBERS = {
    Piece: "face_t facebbox_t facebbox roi_t roi faceposition_t percentiles_face max min mean "
    "variance std median skew kurtosis entropy classinfo get_piece_attribute_values info api",
    Datasource: "project percentiles_ts binheights_ts features_ts create_pca_embedding "
    "rsfacebbox_t position plot_pdf features_tint subjects binedges facesizes_t sr",
    DatasourceResized: "create_pca_embedding normfacevec_ts bboxheatmap_ts",
    Embedding: "features_tint plot_signal create_wdecomposition project subjects features type "
    "sr frequencies periods get_ts_subjs get_df_ts_subjs plot_lagged_correlations "
    "lagged_correlations_df visualize_eigenfaces bbootstrap plot_temperaturebars "
    "plot_temperaturehist plot_intvlhist binedges",
    EmbeddingCollection: "add get_df_ts_subjs get_ts_subjs features_tint plot_signal "
    "bbootstrap visualize_eigenfaces plot_lagged_correlations lagged_correlation_graph "
    "lagged_correlations_df",
    Wdecomposition: "create_wreconstruction fband_embedding frequencies periods features "
    "subsignals subjects sr",
}


@pytest.mark.parametrize("path", PATHS)
def test_path__has_its_names_and_they_are_flat_too(path):
    module = importlib.import_module(f"fhemb_xr.legacy.{path}")
    for name in PATHS[path].split():
        assert getattr(module, name) is getattr(fhemb, name), name


def test_names__have_the_originals_defaults():
    for function, defaults in DEFAULTS.items():
        found = inspect.signature(function).parameters
        assert {k: found[k].default for k in defaults} == defaults, function


def test_classes__have_every_member():
    for cls, names in MEMBERS.items():
        assert not [n for n in names.split() if not hasattr(cls, n)], cls


def test_keys__of_both_configuration_files_are_read():
    database = (
        "SSH_PASSPHRASE REMOTE_HOST REMOTE_PORT SSH_USERNAME SSH_PKEY REMOTE_BIND_HOST "
        "REMOTE_BIND_PORT DB_NAME DB_USERNAME DB_PASSWORD DB_HOST DB_PORT"
    )
    paths = "NODENAME LOCALROOT MOUNT AUDIOFILES MOUNT_NAS2 REMOTE_PATH_NAS2"
    assert {*database.lower().split()} <= {*settings.Database.model_fields}
    assert {*paths.lower().split()} <= {*settings.Paths.model_fields}
    assert fhemb.THERMO_SR == 25
