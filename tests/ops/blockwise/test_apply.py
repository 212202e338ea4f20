import dask.array as da
import numpy as np
import pytest
import xarray as xr

from fhemb_xr.ops.blockwise.apply import apply_kernel

X = xr.DataArray(
    np.arange(12.0).reshape(3, 4),
    dims=("subject", "time"),
    coords={"subject": [7, 8, 9]},
    attrs={"units": "degC"},
)


def ends(x, shift=0.0):
    """``(..., t) -> (..., 2)``."""
    return np.stack([x[..., 0], x[..., -1]], axis=-1) + shift


def test_apply_kernel__of_chunks_is_that_of_the_whole_and_computes_nothing(computes):
    with computes(0):
        out = apply_kernel(ends, X.chunk(subject=1), core=[["time"]], new={"end": 2}, shift=1.0)
    assert isinstance(out.data, da.Array)
    expected = apply_kernel(ends, X, core=[["time"]], new={"end": 2}, shift=1.0)
    xr.testing.assert_identical(out.compute(), expected)
    assert expected.values.tolist() == [[1, 4], [5, 8], [9, 12]]


def test_apply_kernel__drops_attributes_and_keeps_labels():
    out = apply_kernel(ends, X, core=[["time"]], new={"end": 2})
    assert out.attrs == {}
    assert out["subject"].values.tolist() == [7, 8, 9]


def test_apply_kernel__without_core_dimensions_works_sample_by_sample():
    out = apply_kernel(np.add, X.chunk(time=2), 1, dtype="float64")
    assert out.dims == X.dims
    np.testing.assert_array_equal(out, X + 1)


def test_apply_kernel__gives_the_result_the_dtype_that_is_asked_for():
    lazy = apply_kernel(np.isfinite, X.chunk(), dtype=bool)
    assert lazy.dtype == lazy.compute().dtype == bool


def test_apply_kernel__refuses_a_core_dimension_in_several_chunks():
    with pytest.raises(ValueError, match="multiple chunks"):
        apply_kernel(ends, X.chunk(time=1), core=[["time"]], new={"end": 2})


def test_apply_kernel__refuses_other_labels():
    other = X.assign_coords(subject=[7, 8, 10])
    with pytest.raises(ValueError, match="align"):
        apply_kernel(np.add, X, other)


def test_apply_kernel__adds_one_task_per_block_and_a_layer_of_the_kernels_name():
    lazy = X.chunk(subject=1)
    out = apply_kernel(ends, lazy, core=[["time"]], new={"end": 2})
    assert len(out.__dask_graph__()) - len(lazy.__dask_graph__()) == 3
    assert any("ends" in name for name in out.__dask_graph__().layers)
