# `make native` builds the native module in place for development; see CONTRIBUTING.md.
PYTHON ?= .venv/bin/python

.PHONY: native
native:
	cmake -S . -B build/dev -G Ninja -DPython_EXECUTABLE=$(abspath $(PYTHON)) -DCMAKE_BUILD_TYPE=Release >/dev/null
	cmake --build build/dev
	cp build/dev/_native*.so scenepress/kernels/
