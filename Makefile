# make quickstart   set up, make toy data, train, test, draw: the whole way in minutes on a CPU
# make test         set up, lint, run all tests
# make clean        remove what these two made

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
CONFIG := configs/mllmseg/internvl_tiny_toy.py
WORK := work_dirs/internvl_tiny_toy
LAST := $(WORK)/iter_$(shell sed -n 's/.*max_iters=\([0-9]*\).*/\1/p' configs/_base_/schedules/toy_mllmseg.py).pth

# Threads that wait spin for a moment only: spinning long, they starve one another on a machine with other work.
export GOMP_SPINCOUNT ?= 50000

.PHONY: env quickstart test lint clean

env: $(VENV)/done

$(VENV)/done: requirements/pinned.txt requirements/no_deps.txt setup.py tools/make_env.sh
	PYTHON=$(PYTHON) tools/make_env.sh $(VENV)

quickstart: env
	@$(BIN)/python tools/dataset_converters/make_toy_refcoco.py --out data/toy_refcoco --seed 0
	@test -f $(LAST) && echo "$(LAST): trained already" || \
	    $(BIN)/python tools/train.py $(CONFIG) $(if $(wildcard $(WORK)/last_checkpoint),--resume)
	@$(BIN)/python tools/test.py $(CONFIG) $(LAST) --shuffle-expressions --by need \
	    --out $(WORK)/predictions.json --show-dir $(WORK)/pictures

lint: env
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

# A process for each core, up to four (each grows to 2 GB); each takes whole files, whose fixtures are made once.
test: lint
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

clean:
	rm -rf $(VENV) data/toy_refcoco $(WORK)
