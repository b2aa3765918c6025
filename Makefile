# Everything between a clean machine and a result. Every target does its own set-up: a virtual environment
# in .venv with the versions of constraints.txt, and the native module built in place. A second run is quick.
#
#   make demo [SCENE=path]    compress, decompress, render and measure a scene; writes out/demo/
#   make test [ARGS=...]      every test
#   make native               the native module only
#   make lint                 ruff, mypy --strict, clang-format, links of the docs
#   make fuzz [SECONDS=20]    every cuda/fuzz/fuzz_*.cpp for so many seconds (needs clang++)
#   make sanitize [ARGS=...]  tests with the native module built with AddressSanitizer and UBSan
#   make web                  decoder and viewer for the browser (needs clang++ with wasi-libc, and npm)
#   make cuda                 compile every CUDA kernel (needs nvcc)
#   make bench                every benchmark; appends to docs/results/ and tabulates it there
#   make gpu-check            GPU tests and benchmarks, for a machine with a device
#   make clean                remove what was built (not .venv)

PYTHON ?= python3
ARGS ?= -n auto
SCENE ?= data/samples/still_life.ply
FUZZ_SECONDS = $(if $(filter command line,$(origin SECONDS)),$(SECONDS),20)
CXX_FUZZ ?= $(firstword $(foreach name,clang++ clang++-19 clang++-18 clang++-17 clang++-16 clang++-15 clang++-14,$(shell command -v $(name))))

BIN := $(CURDIR)/.venv/bin
STAMPS := build/stamps
NATIVE := $(wildcard CMakeLists.txt cuda/core/* cuda/cpu/* cuda/bindings/*)
CXX_SOURCES = $(wildcard cuda/*/*.h cuda/*/*.cpp cuda/*/*.cu cuda/*/*.cuh)
BENCHMARKS := $(wildcard tests/benchmarks/bench_*.py)
GPU_BENCHMARKS := $(filter %_gpu.py,$(BENCHMARKS))
CMAKE := $(BIN)/cmake -Wno-unused-cli -S . -G Ninja -DCMAKE_MAKE_PROGRAM=$(BIN)/ninja -DPython_EXECUTABLE=$(BIN)/python

export PYTHONPATH := $(CURDIR)

.PHONY: web demo test native lint fuzz sanitize cuda bench gpu-check clean environment

environment: $(STAMPS)/environment
$(STAMPS)/environment: constraints.txt pyproject.toml .ci/environment.py
	@$(PYTHON) .ci/environment.py
	@mkdir -p $(@D) && touch $@

native: $(STAMPS)/native
ifeq ($(wildcard scenepress/kernels/_native.*.so),)
.PHONY: $(STAMPS)/native
endif
$(STAMPS)/native: $(NATIVE) $(STAMPS)/environment
	@command -v $${CXX:-c++} >/dev/null || { echo "make: no C++ compiler (on Debian: apt-get install g++)" >&2; exit 1; }
	$(CMAKE) -B build/dev -DCMAKE_BUILD_TYPE=Release -DSCENEPRESS_CUDA=OFF >/dev/null
	$(BIN)/cmake --build build/dev
	$(BIN)/cmake --install build/dev --prefix . >/dev/null
	@touch $@

demo: native
	$(BIN)/python -m pipelines.demo "$(SCENE)" -o out/demo

test: native
	$(BIN)/python -m pytest --dist loadgroup $(ARGS)

lint: $(STAMPS)/environment
	$(BIN)/ruff check .
	$(BIN)/mypy --strict scenepress
	$(if $(CXX_SOURCES),$(BIN)/clang-format --dry-run -Werror $(CXX_SOURCES))
	$(BIN)/python .ci/check_links.py

fuzz: $(STAMPS)/environment
	@test -n "$(CXX_FUZZ)" || { echo "make fuzz: no clang++ (on Debian: apt-get install clang libclang-rt-14-dev)" >&2; exit 1; }
	$(CMAKE) -B build/fuzz -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CXX_COMPILER=$(CXX_FUZZ) -DSCENEPRESS_CUDA=OFF -DSCENEPRESS_FUZZ=ON >/dev/null
	$(BIN)/cmake --build build/fuzz
	$(BIN)/python .ci/fuzz.py --seconds $(FUZZ_SECONDS)

# A copy of the tree with its own native module, so that the usual one stays as it is.
sanitize: $(STAMPS)/environment
	$(CMAKE) -B build/sanitize -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSCENEPRESS_CUDA=OFF -DSCENEPRESS_SANITIZE=ON >/dev/null
	$(BIN)/cmake --build build/sanitize
	rm -rf build/sanitize/tree && mkdir build/sanitize/tree
	git ls-files -co --exclude-standard -z -- ':!cuda' | xargs -0 ls -d 2>/dev/null | xargs cp --parents --no-dereference -t build/sanitize/tree
	$(BIN)/cmake --install build/sanitize --prefix build/sanitize/tree >/dev/null
	@echo 'import sys; sys.meta_path[:] = [f for f in sys.meta_path if "_editable_" not in type(f).__module__]' > build/sanitize/tree/sitecustomize.py
	cd build/sanitize/tree && PYTHONPATH=$$PWD ASAN_OPTIONS=detect_leaks=0 UBSAN_OPTIONS=print_stacktrace=1 \
	  LD_PRELOAD="$$($${CXX:-c++} -print-file-name=libasan.so) $$($${CXX:-c++} -print-file-name=libstdc++.so.6)" $(BIN)/python -m pytest -k "not browser" $(ARGS)

# cuda/wasm/build.py says what it needs.
web:
	$(PYTHON) cuda/wasm/build.py
	npm ci --silent --ignore-scripts --prefix viewers/web/decoder
	cd viewers/web/decoder && npx tsc -p .
	npm ci --silent --ignore-scripts --prefix viewers/web/viewer
	cd viewers/web/viewer && npm run --silent build

cuda: $(STAMPS)/environment
	$(CMAKE) -B build/cuda -DCMAKE_BUILD_TYPE=Release -DSCENEPRESS_CUDA=ON >/dev/null
	$(BIN)/cmake --build build/cuda
	$(BIN)/cmake --install build/cuda --prefix . >/dev/null
	@test ! -e cuda/bindings_cuda || $(BIN)/python -c "from scenepress.kernels import _native_cuda; print(_native_cuda.__file__)"

# Peers are measured in the same run; one that cannot be installed is left out.
$(STAMPS)/peers: tests/benchmarks/peers.txt $(STAMPS)/environment
	$(BIN)/python -m pip install -qq -r $< || echo "make bench: some peers are missing"
	command -v npm >/dev/null && npm ci --silent --ignore-scripts --prefix tests/oracle || echo "make bench: splat-transform is missing"
	@touch $@

bench: native $(STAMPS)/peers
	set -e; for script in $(filter-out $(GPU_BENCHMARKS),$(BENCHMARKS)); do echo "== $$script"; $(BIN)/python $$script; done
	$(BIN)/python tests/benchmarks/summarise.py

gpu-check: native cuda
	$(BIN)/python -m pytest tests/gpu -rs
	set -e; for script in $(GPU_BENCHMARKS); do echo "== $$script"; $(BIN)/python $$script; done

clean:
	rm -rf build out scenepress/kernels/_native*.so .pytest_cache .mypy_cache .ruff_cache .hypothesis
