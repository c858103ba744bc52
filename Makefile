# make demo   set up, build the web demo and serve it on PORT
# make test   set up, system packages too when root, then make check
# make check  the style and every test
# make docs   the API documentation, into docs/api
PORT ?= 8080
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test check docs

demo: .venv/ready
	@$(BIN)/python build_wasm.py --serve --port $(PORT)

test: .venv/ready
	@sh tools/system.sh test
	@$(MAKE) --no-print-directory check

check: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m pytest

docs: .venv/ready
	$(BIN)/python -m tools.docs

.venv/ready: pyproject.toml
	@sh tools/system.sh build
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test,web]'
	@touch $@
