"""Every name of the contract is called with each of its parameters, and answers rightly."""

import pytest

pytest.importorskip("holoviews")
pytest.importorskip("av")
pytest.importorskip("torch")


def test_contract__every_name_is_called_with_every_parameter(don, tmp_path):
    from tests.legacy import checklist

    calls = checklist.run(don, tmp_path)
    assert not [name for name in checklist.CONTRACT if name not in calls.passed]
    assert not [name for name in calls.passed if name not in checklist.CONTRACT]
    assert calls.never_passed() == {}
