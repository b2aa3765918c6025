"""Decoding speed of rANS on one core, per backend, beside zstd and constriction on the same symbols.

    python tests/benchmarks/bench_entropy.py

A stream is 16 planes of 65,536 tokens of Laplacian residuals (a tile's worth each) in one payload of 32
ways; its table set is read and expanded within the timed call. Bytes are decoded symbols, one each. Besides the
median the fastest call is given, since other work on the machine only ever adds time (`load_average` above
the number of cores: do not trust the median); `target_gb_per_s` is what
issue 2 asks. Peers that are not installed are left out (`pip install constriction`); they are order-0 here.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import time
from collections.abc import Callable

import numpy as np
import zstandard
from harness import Timing, Value, measure, record
from numpy.typing import NDArray

from scenepress import kernels
from scenepress.stages import entropy
from scenepress.stages.entropy import Plane, PlaneDecoder, TableSet

PLANES, COUNT = 16, 65_536
SYMBOLS = PLANES * COUNT
TARGETS = {"cpu": 1.2, "portable": 0.5}


def timed(call: Callable[[], object], repeats: int) -> tuple[Timing, float]:
    """The usual timing, and the fastest of as many further calls in seconds."""
    timing = measure(call, repeats)
    samples = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        samples.append(time.perf_counter() - start)
    return timing, min(samples)


def draw(contexts: int) -> tuple[NDArray[np.int32], NDArray[np.uint8]]:
    """Residuals int32 and contexts uint8 [16, 65536]; the scale grows from 1.5 by 1.2 a context."""
    rng = np.random.default_rng(0)
    context = rng.integers(0, contexts, (PLANES, COUNT)).astype(np.uint8)
    values = np.rint(rng.laplace(size=context.shape) * 1.5 * 1.2**context)
    return values.astype(np.int32), context


def decode(
    backend: kernels.Backend,
    payload: bytes,
    table_bytes: bytes,
    contexts: NDArray[np.uint8],
    with_raw: bool,
) -> list[NDArray[np.uint8] | NDArray[np.int32]]:
    """All planes: tokens, or with their raw bits as values."""
    table_set, _ = TableSet.from_bytes(table_bytes)
    decoder = PlaneDecoder(payload, backend)
    read: Callable[..., NDArray[np.uint8] | NDArray[np.int32]] = (
        decoder.values if with_raw else decoder.plane
    )
    planes = [read(table_set, context) for context in contexts]
    decoder.finish()
    return planes


def ours(contexts: int) -> None:
    """Time every native backend; tokens only, then values."""
    values, context = draw(contexts)
    tokens, raw, lengths = entropy.tokenize(values.ravel())
    table_set = entropy.fit(entropy.histogram(tokens, context.ravel(), contexts))
    shape = (PLANES, COUNT)
    for with_raw in (False, True):
        planes = [
            Plane(t, c, table_set, r, n) if with_raw else Plane(t, c, table_set)
            for t, c, r, n in zip(
                tokens.reshape(shape), context, raw.reshape(shape), lengths.reshape(shape), strict=True
            )
        ]
        payload = entropy.encode_planes(planes, 32)
        for backend in ("cpu", "portable"):
            got = decode(backend, payload, table_set.to_bytes(), context, with_raw)
            assert np.array_equal(got, values if with_raw else tokens.reshape(shape)), (
                "wrong is not fast"
            )
            call = functools.partial(decode, backend, payload, table_set.to_bytes(), context, with_raw)
            timing, fastest = timed(call, 25)
            line: dict[str, Value | Timing] = {
                "case": "values" if with_raw else "tokens", "coder": "scenepress", "backend": backend,
                "contexts": contexts, "tables": len(table_set.frequencies), "symbols": SYMBOLS,
                "bytes": len(payload) + len(table_set.to_bytes()), "decode": timing,
                "gb_per_s": timing.per_second(SYMBOLS) / 1e9, "fastest_gb_per_s": SYMBOLS / fastest / 1e9,
            }  # fmt: skip
            if not with_raw and contexts == 1:
                line["target_gb_per_s"] = TARGETS[backend]
            record("entropy", line | {"load_average": os.getloadavg()[0]})


def small_planes() -> None:
    """What one plane of 30,000 values costs with everything around it: parse, expand, decode, check."""
    values, context = draw(8)
    values, context = values.ravel()[:30_000], context.ravel()[:30_000]
    tokens, raw, lengths = entropy.tokenize(values)
    table_set = entropy.fit(entropy.histogram(tokens, context, 8))
    payload = entropy.encode_planes([Plane(tokens, context, table_set, raw, lengths)])
    for backend in ("cpu", "portable"):
        call = functools.partial(decode, backend, payload, table_set.to_bytes(), context[None], True)
        timing, fastest = timed(call, 200)
        record("entropy", {
            "case": "one plane of values", "coder": "scenepress", "backend": backend, "contexts": 8,
            "tables": len(table_set.frequencies), "symbols": len(values), "decode": timing,
            "bytes": len(payload) + len(table_set.to_bytes()), "gb_per_s": timing.per_second(len(values)) / 1e9,
            "fastest_s": fastest, "load_average": os.getloadavg()[0],
        })  # fmt: skip


def peers() -> None:
    """The same order-0 tokens through other people's decoders."""
    tokens = entropy.tokenize(draw(1)[0].ravel())[0]

    def line(coder: str, size: int, call: Callable[[], object]) -> None:
        timing, fastest = timed(call, 15)
        record("entropy", {
            "case": "tokens", "coder": coder, "contexts": 1, "symbols": SYMBOLS, "bytes": size, "decode": timing,
            "gb_per_s": timing.per_second(SYMBOLS) / 1e9, "fastest_gb_per_s": SYMBOLS / fastest / 1e9,
            "load_average": os.getloadavg()[0],
        })  # fmt: skip

    for level in (1, 19):
        packed = zstandard.ZstdCompressor(level).compress(tokens.tobytes())
        decoder = zstandard.ZstdDecompressor()
        assert decoder.decompress(packed) == tokens.tobytes()
        line(f"zstd -{level}", len(packed), functools.partial(decoder.decompress, packed))
    if importlib.util.find_spec("constriction"):
        import constriction

        counts = np.bincount(tokens).astype(np.float64)
        model = constriction.stream.model.Categorical(
            np.maximum(counts, 1e-3) / counts.sum(), perfect=False
        )
        coder = constriction.stream.stack.AnsCoder()
        coder.encode_reverse(tokens.astype(np.int32), model)
        packed_words = coder.get_compressed()

        def run() -> NDArray[np.int32]:
            decoded: NDArray[np.int32] = constriction.stream.stack.AnsCoder(packed_words).decode(
                model, SYMBOLS
            )
            return decoded

        assert np.array_equal(run(), tokens)
        line("constriction", packed_words.nbytes, run)


if __name__ == "__main__":
    for contexts in (1, 8):
        ours(contexts)
    small_planes()
    peers()
