import numpy as np
import pytest

from fhemb_xr.kernels.fields import Fields

FIELDS = Fields(matrix=(2, 3), number=(), row=(4,))


def test_fields__lie_end_to_end():
    assert FIELDS.size == 11
    assert [FIELDS[n] for n in FIELDS.shapes] == [slice(0, 6), 6, slice(7, 11)]


@pytest.mark.parametrize("lead", [(), (5,), (2, 5)])
def test_fields__come_back_as_they_were_packed(lead):
    rng = np.random.default_rng(0)
    parts = {n: rng.normal(size=(*lead, *shape)) for n, shape in FIELDS.shapes.items()}
    packed = FIELDS.pack(**parts)
    assert packed.shape == (*lead, 11)
    for name, part in parts.items():
        np.testing.assert_array_equal(FIELDS.part(packed, name), part)


def test_fields__of_a_vector_are_views_of_it():
    packed = np.zeros(11)
    FIELDS.part(packed, "matrix")[1, 2] = 7
    assert packed[5] == 7


def test_fields__of_an_unknown_name_are_none():
    with pytest.raises(KeyError, match="column"):
        FIELDS["column"]
