# make demo   the whole way on a PostgreSQL of its own; CLIP=file.npz adds a clip
# make test   style, types, tests, doctests, README
# make soak   the same with the long tests of faults; make bench  times beside the peers
# make calibrate  false positives of every null
# make docs   the site: tutorials, how-tos, reference, gallery
# make audit  known vulnerabilities of the pinned dependencies, asked of the network
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV ?= .venv
BIN := $(VENV)/bin
OUT ?= demo

# two processes of tests share two cores: threads of the linear algebra, of scikit-learn and of torch
# would only wait, and burn a core while they do; what the tests start would compile the package each
# time where the environment forbids to keep byte code
ALONE := OPENBLAS_NUM_THREADS=1 OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE=
PYTEST := $(ALONE) $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder # see conftest.py
PIP := $(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt

$(VENV)/.demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[demo]'
	touch $@

$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(PIP) -e '.[all]'
	touch $(VENV)/.demo $@ # all has what the demo needs

.PHONY: install demo test soak style lint bench calibrate notebooks docs audit clean
install: $(VENV)/.installed

demo: $(VENV)/.demo
	$(BIN)/fhemb demo --out $(OUT) $(if $(CLIP),--clip $(CLIP))

style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell fhemb_xr fhemb_cli ingest tests docs examples benchmarks *.md

lint: style
	$(BIN)/mypy

# types beside the tests: one process alone would leave a core idle
test: style
	@$(BIN)/mypy & types=$$!; $(PYTEST); tests=$$?; wait $$types && exit $$tests

soak: lint
	$(PYTEST) -m 'soak or not soak'

bench: install
	for file in benchmarks/bench_*.py; do $(BIN)/python $$file || exit 1; done

# false positives of every null on series of many kinds: the table of docs/nulls.md
calibrate: install
	$(BIN)/python benchmarks/calibrate.py

# the notebooks of examples/ with their outputs, figures as pictures
notebooks: install
	FHEMB_PLOTS=png PATH="$$PWD/$(BIN):$$PATH" $(BIN)/jupyter execute --inplace examples/*.ipynb

# the site, in docs/_build/html
docs: install
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build/html

# known vulnerabilities of what constraints.txt pins; asks the network, and fails if it cannot
audit:
	$(PYTHON) -m venv $(VENV)/audit
	$(VENV)/audit/bin/python -m pip install -q --disable-pip-version-check pip-audit==2.10.1
	$(VENV)/audit/bin/pip-audit --strict --no-deps --disable-pip -r constraints.txt

clean:
	rm -rf $(VENV) $(OUT) .pytest_cache .mypy_cache .ruff_cache .hypothesis *.egg-info
