"""Names of NoXi-Re's scripts, so that their snippets run with the import line changed.

Everything is delegated: :func:`fhemb_xr.open_streams` gives the same, labelled and lazy. Paths
may be HDF5 of the scripts, or a Zarr store. What the scripts print is returned.
"""

from fhemb_xr.noxi.embedding import ViTFeatureExtractor as ViTFeatureExtractor
from fhemb_xr.noxi.embedding import inspect_vit_features as inspect_vit_features
from fhemb_xr.noxi.loading import get_dataset_info as get_dataset_info
from fhemb_xr.noxi.loading import get_feature_info as get_feature_info
from fhemb_xr.noxi.loading import load_sample as load_sample
from fhemb_xr.noxi.loading import load_sample_by_name as load_sample_by_name
from fhemb_xr.noxi.loading import load_slice as load_slice
from fhemb_xr.noxi.loading import search_samples_by_frame_count as search_samples_by_frame_count
from fhemb_xr.noxi.training import MixedModel as MixedModel
from fhemb_xr.noxi.training import NoXiReHDF5Dataset as NoXiReHDF5Dataset
from fhemb_xr.noxi.training import OpenFaceModel as OpenFaceModel
from fhemb_xr.noxi.training import ViTModel as ViTModel
from fhemb_xr.noxi.writing import save_to_hdf5 as save_to_hdf5
