# make run:  classify the photographs in assets/images with the model that comes along.
# make test: lint, types and every test.

VENV := .venv
PYTHON ?= python3
BIN := $(VENV)/bin

run: $(VENV)/.installed
	$(BIN)/ghostnet predict assets/images --model ghostnet/cpu/2.10/ghostnet_v1.0_flowers

test: $(VENV)/.installed-test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest

# An editable installation: it compiles the kernels into ghostnet/kernels.
$(VENV)/.installed: pyproject.toml CMakeLists.txt $(shell find ghostnet/kernels/csrc -type f) | $(VENV)
	$(BIN)/pip install --quiet --editable .
	touch $@

$(VENV)/.installed-test: $(VENV)/.installed
	$(BIN)/pip install --quiet --editable '.[test]'
	touch $@

$(VENV):
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip

clean:
	rm -rf $(VENV) build dist ghostnet/kernels/*.so

.PHONY: run test clean
