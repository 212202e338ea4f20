"""The notebooks of examples/, run as their readers run them; every output is looked at."""

import os
import re
import sys
from html import unescape
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbclient import NotebookClient

EXAMPLES = Path(__file__).parents[1] / "examples"
NAMES = sorted(p.stem for p in EXAMPLES.glob("*.ipynb"))
ADDRESS = re.compile(r"(?:src|href)=\\?[\"']https?://|cdn\.|unpkg|jsdelivr")
NO_REPR = re.compile(r"^(?:Row|Column)\(|^<[\w.]+ object at 0x|accessor\.Fhemb")


def outputs(notebook):
    return [o for cell in notebook.cells for o in cell.get("outputs", [])]


def is_figure(output):
    return "image/png" in output.get("data", {})


def pictures(notebook):
    return [sum(map(is_figure, cell.get("outputs", []))) for cell in notebook.cells]


@pytest.fixture(scope="module")
def kernel():
    """One kernel for all notebooks: each would import the same for seconds."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", path)
        patch.setenv("FHEMB_PLOTS", "inline")
        manager, client = start_new_kernel(kernel_name="python3", cwd=str(EXAMPLES))
    client.stop_channels()
    yield manager
    manager.shutdown_kernel(now=True)


@pytest.fixture(scope="module", params=NAMES)
def executed(request, kernel):
    notebook = nbformat.read(EXAMPLES / f"{request.param}.ipynb", as_version=4)
    forget = nbformat.v4.new_code_cell("%reset -f")  # the names of the one before
    notebook.cells.insert(0, forget)
    client = NotebookClient(notebook, km=kernel, timeout=300)
    client.execute()
    client.kc.stop_channels()
    del notebook.cells[0]
    return request.param, notebook


def test_outputs__are_whole_quiet_and_ask_the_network_for_nothing(executed):
    _, notebook = executed
    found = outputs(notebook)
    assert not [o["text"] for o in found if o.get("name") == "stderr"]
    assert not [o for o in found if NO_REPR.search(o.get("data", {}).get("text/plain", ""))]
    figures = [o for o in found if is_figure(o)]
    assert len(figures) >= 3
    for output in figures:
        page = unescape(output["data"]["text/html"])
        assert not ADDRESS.search(page)
        assert "<iframe" in page
        assert output["data"]["image/png"]


def test_committed__outputs_have_the_pictures_that_a_run_has(executed):
    name, notebook = executed
    committed = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    assert pictures(committed) == pictures(notebook)
    text = (EXAMPLES / f"{name}.ipynb").read_text()
    assert "stderr" not in text
    assert len(text) < 2e6  # pictures only
