# Two commands set everything up: `make demo` and `make test`. A second call does no set-up again.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
READY := $(VENV)/.ready
LOWEST := .venv-lowest
export TF_CPP_MIN_LOG_LEVEL ?= 2
# Many tests start Python, and test-full follows test: with this variable set each of them would compile every file anew.
unexport PYTHONDONTWRITEBYTECODE

PYTEST := $(VENV)/bin/python -m pytest --numprocesses 2 --dist worksteal

.PHONY: help demo test test-full test-all test-lowest check bench format setup clean

help:
	@echo "make demo         answer questions in PyTorch and Keras, compare and explain the answers (sets up first)"
	@echo "make test         run the tests that every change needs (sets up first; about 8 minutes on 2 cores)"
	@echo "make test-all     run all tests: those of make test, and the long ones (fuzz, kills, FSDP, full products)"
	@echo "make test-full    run the long ones alone"
	@echo "make test-lowest  run the core tests with the lowest declared versions, in an environment of its own"
	@echo "make check        check format, lint and types"
	@echo "make bench        measure speed and memory on this machine, beside its peers, which it installs (about half an hour)"
	@echo "make format       format the code"
	@echo "make clean        remove the environment and what the tools left"

demo: $(READY)
	$(VENV)/bin/lxmert demo

# Two workers: each holds both frameworks, and they use the cores between them. Each starts with one half of the files,
# and takes tests from the other when it is done.
test: $(READY)
	$(PYTEST)

test-full: $(READY)
	$(PYTEST) -m 'full and not hub'

test-all: test test-full

# What no other version of a dependency may change: models, optimizers, files, tokenizer. (The tests against
# transformers are left out: it needs newer versions.)
CORE := tests/equivalence/test_models.py tests/equivalence/test_visual_bert_models.py tests/equivalence/test_optimizers.py \
	tests/tf/test_saving.py tests/tf/test_fit.py tests/weights/test_formats.py \
	tests/weights/test_keras_archive.py tests/weights/test_torch_pickle.py tests/data/test_collate.py

test-lowest: $(LOWEST)/.ready
	$(LOWEST)/bin/python -m pytest --numprocesses 2 --dist worksteal $(CORE)

$(LOWEST)/.ready: pyproject.toml constraints-lowest.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints-lowest.txt \
		--editable ".[all]" pytest pytest-xdist hypothesis
	@touch $@

check: $(READY)
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy

# The peers: ONNX Runtime in the same environment, and TensorFlow's transformers in one of its own, which PEER replaces:
# make bench PEER=/path/to/its/python; PEER= leaves it out. ROUNDS: how often each side of a row runs.
PEER ?= $(VENV)-peer/bin/python
ROUNDS ?= 3

bench: $(READY) $(VENV)/.peers $(if $(filter $(VENV)-peer/%,$(PEER)),$(VENV)-peer/.ready)
	$(VENV)/bin/python benchmarks/speed.py --rounds $(ROUNDS) $(if $(PEER),--peer $(PEER))
	$(VENV)/bin/python benchmarks/linear_cost.py
	$(VENV)/bin/python benchmarks/detector.py
	$(VENV)/bin/python benchmarks/report.py

$(VENV)/.peers: $(READY)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[peers]"
	@touch $@

# Python 3.11 or 3.12: this TensorFlow has no later one.
$(VENV)-peer/.ready:
	$(PYTHON) -m venv $(VENV)-peer
	$(VENV)-peer/bin/python -m pip install --quiet --disable-pip-version-check \
		"transformers==4.49.0" "tensorflow-cpu==2.18.*" "tf-keras==2.18.*"
	@touch $@

format: $(READY)
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .

setup: $(READY)

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14) and "Python 3.11 to 3.13 is needed; %s is %s. Run: make PYTHON=python3.11 ..." % (sys.executable, sys.version.split()[0]))'
	@echo "Setting up $(VENV): about 3 GB and a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable ".[all,dev]"
	@touch $@

clean:
	rm -rf $(VENV) $(VENV)-peer $(LOWEST) .pytest_cache .ruff_cache .mypy_cache build dist *.egg-info lxmert-demo.html
