"""Classifiers, relations and groups, by the original's path."""

from fhemb_xr.legacy.grouping import compute_silhouette_vs_k as compute_silhouette_vs_k
from fhemb_xr.legacy.grouping import depict_clusters as depict_clusters
from fhemb_xr.legacy.grouping import dtw_clustering as dtw_clustering
from fhemb_xr.legacy.grouping import plot_silhouette_curves as plot_silhouette_curves
from fhemb_xr.legacy.networks import calc_prototype_accuracy as calc_prototype_accuracy
from fhemb_xr.legacy.networks import calc_shapelet as calc_shapelet
from fhemb_xr.legacy.relations import depict_DTW as depict_DTW
from fhemb_xr.legacy.relations import plot_clustered_dm_heatmap as plot_clustered_dm_heatmap
from fhemb_xr.legacy.relations import plot_clustered_pr_heatmap as plot_clustered_pr_heatmap
from fhemb_xr.legacy.relations import plot_dm_dendrogram as plot_dm_dendrogram
from fhemb_xr.legacy.relations import plot_dm_heatmap as plot_dm_heatmap
from fhemb_xr.legacy.relations import plot_dm_projection as plot_dm_projection
from fhemb_xr.legacy.relations import plot_pr_dendrogram as plot_pr_dendrogram
from fhemb_xr.legacy.relations import plot_pr_heatmap as plot_pr_heatmap
from fhemb_xr.legacy.relations import plot_pr_projection as plot_pr_projection
from fhemb_xr.legacy.relations import svd_dmatrix as svd_dmatrix
from fhemb_xr.legacy.relations import svd_pr as svd_pr
from fhemb_xr.legacy.scores import calc_accuracies as calc_accuracies
from fhemb_xr.legacy.scores import calc_and_save_pr_accuracy as calc_and_save_pr_accuracy
from fhemb_xr.legacy.scores import calc_dm_accuracy as calc_dm_accuracy
from fhemb_xr.legacy.scores import calc_dtw_accuracy as calc_dtw_accuracy
from fhemb_xr.legacy.scores import calc_similarity as calc_similarity
from fhemb_xr.legacy.scores import depict_accuracy as depict_accuracy
from fhemb_xr.legacy.scores import plot_accuracy_summary as plot_accuracy_summary
from fhemb_xr.legacy.scores import prepare_data as prepare_data
from fhemb_xr.legacy.scores import split_scale_data as split_scale_data
