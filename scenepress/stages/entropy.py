"""Entropy coding, the layer that the other stages share: integers to few bytes, and back.

A value becomes a token (a symbol of a small alphabet) and, if it is large, some raw bits. The tokens of
a plane are coded by interleaved rANS, each with the table that its context selects. The tables are
static: fitted to exactly the tokens that will be coded, and sent before them. Bitstream:
docs/spec/entropy.md. Arithmetic: kernels/reference (NumPy, normative) and cuda/core/rans.h.

    tokens, raw_values, raw_lengths = tokenize(values)
    table_set = fit(histogram(tokens, contexts, 8))
    payload = encode_planes([Plane(tokens, contexts, table_set, raw_values, raw_lengths)])

    decoder = PlaneDecoder(payload)
    values = decoder.values(table_set, contexts)
    decoder.finish()

Sources: J. Duda, arXiv:1311.2540 (rANS); F. Giesen, arXiv:1402.3392 (interleaving).
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from scenepress import kernels
from scenepress.arrays import require
from scenepress.errors import BitstreamError

ALPHABET = 256
"""Symbols a table may hold. Tokens are 0..103; a plane of plain bytes may use all."""
TOKENS = 104
"""Symbols that tokenize() makes."""
MAX_CONTEXTS = 255
"""Contexts a table set may map."""


@contextlib.contextmanager
def _damage() -> Iterator[None]:
    """Kernels say ValueError when bytes are damaged; callers are told BitstreamError."""
    try:
        yield
    except ValueError as error:
        raise BitstreamError(str(error)) from None


@dataclasses.dataclass(frozen=True, eq=False)
class TableSet:
    """Probability tables, and which of them each context uses. Made by fit() or from_bytes()."""

    context_map: NDArray[np.uint8]
    """uint8 [C]: context -> table, 1 <= C <= 255."""
    frequencies: NDArray[np.uint16]
    """uint16 [T, 256], T <= 64: probabilities in 1/4096; each row sums to 4096, 0 is impossible."""
    serialised: bytes
    """What to_bytes() returns: the frequencies are derived from it."""
    _expanded: dict[str, object] = dataclasses.field(default_factory=dict, repr=False)
    """Backend -> what its decoders take: 16 kB a table, kept because planes often share a set."""

    def to_bytes(self) -> bytes:
        """The bytes that from_bytes() reads: 2 or 3 for the simplest sets."""
        return self.serialised

    def expanded(self, backend: str) -> object:
        """The tables as decoders of this backend take them, made on first use."""
        tables = self._expanded.get(backend)
        if tables is None:
            tables = kernels.select(backend).rans_tables(self.frequencies, self.context_map)
            self._expanded[backend] = tables
        return tables

    @staticmethod
    def from_bytes(
        data: bytes, offset: int = 0, backend: kernels.Backend = "auto"
    ) -> tuple[TableSet, int]:
        """Read the set that starts at `offset`. Returns it and the offset after it.

        Raises:
            BitstreamError: the bytes are no table set, or end inside it.
        """
        if not 0 <= offset <= len(data):
            raise ValueError(f"offset {offset} is outside the {len(data)} bytes of data")
        with _damage():
            context_map, frequencies, end = kernels.select(backend).parse_table_set(data, offset)
        return TableSet(context_map, frequencies, bytes(data[offset:end])), end


@dataclasses.dataclass(frozen=True, eq=False)
class Plane:
    """N symbols to code with one table set; `contexts` says which table for each."""

    tokens: NDArray[np.uint8]
    """uint8 [N]."""
    contexts: NDArray[np.uint8]
    """uint8 [N], each less than the contexts of the table set."""
    table_set: TableSet
    """Must give every (context, token) here a frequency; a set fitted to them does."""
    raw_values: NDArray[np.uint32] = dataclasses.field(default_factory=lambda: np.zeros(0, np.uint32))
    """uint32 [N] from tokenize(), or empty if the tokens are the values."""
    raw_lengths: NDArray[np.uint8] = dataclasses.field(default_factory=lambda: np.zeros(0, np.uint8))
    """uint8 [N] from tokenize(), or empty."""

    def __post_init__(self) -> None:
        """Raise ValueError if the arrays do not fit together."""
        n = len(self.tokens)
        require("tokens", self.tokens, "uint8", (n,))
        require("contexts", self.contexts, "uint8", (n,))
        if len(self.raw_values) or len(self.raw_lengths):
            require("raw_values", self.raw_values, "uint32", (n,))
            require("raw_lengths", self.raw_lengths, "uint8", (n,))
        if n and self.contexts.max() >= len(self.table_set.context_map):
            raise ValueError(f"context {self.contexts.max()} of {len(self.table_set.context_map)}")


def tokenize(
    values: NDArray[np.int32], signed: bool = True, backend: kernels.Backend = "auto"
) -> tuple[NDArray[np.uint8], NDArray[np.uint32], NDArray[np.uint8]]:
    """Split values into tokens and raw bits.

    Args:
        values: int32 [N] in (-2^25, 2^25] if signed, else in [0, 2^26).
        signed: small distances from zero get small tokens; else small values do.
        backend: see kernels.BACKENDS.

    Returns:
        tokens uint8 [N] below 104; raw values uint32 [N]; lengths of those in bits uint8 [N].

    Raises:
        ValueError: wrong dtype or shape; a value out of range.
    """
    require("values", values, "int32", (None,))
    tokens, raw, lengths, first = kernels.select(backend).tokenize(np.ascontiguousarray(values), signed)
    if first < len(values):
        limits = "(-2^25, 2^25]" if signed else "[0, 2^26)"
        raise ValueError(f"values[{first}] = {values[first]} is not in {limits}")
    return tokens, raw, lengths


def detokenize(
    tokens: NDArray[np.uint8],
    raw_values: NDArray[np.uint32],
    signed: bool = True,
    backend: kernels.Backend = "auto",
) -> NDArray[np.int32]:
    """Undo tokenize(): tokens uint8 [N] and raw values uint32 [N] to values int32 [N].

    Raises:
        ValueError: wrong dtype or shape; a token of 104 or more.
    """
    require("tokens", tokens, "uint8", (None,))
    require("raw_values", raw_values, "uint32", (len(tokens),))
    if len(tokens) and tokens.max() >= TOKENS:
        raise ValueError(f"{tokens.max()} is not a token")
    kernel = kernels.select(backend)
    return kernel.detokenize(np.ascontiguousarray(tokens), np.ascontiguousarray(raw_values), signed)


def histogram(
    tokens: NDArray[np.uint8],
    contexts: NDArray[np.uint8],
    count_of_contexts: int,
    backend: kernels.Backend = "auto",
) -> NDArray[np.int64]:
    """How often each symbol occurs in each context: int64 [count_of_contexts, 256].

    Raises:
        ValueError: wrong dtype or shape; a context of count_of_contexts or more.
    """
    require("tokens", tokens, "uint8", (None,))
    require("contexts", contexts, "uint8", (len(tokens),))
    if len(contexts) and contexts.max() >= count_of_contexts:
        raise ValueError(f"context {contexts.max()} of {count_of_contexts}")
    kernel = kernels.select(backend)
    return kernel.histogram(
        np.ascontiguousarray(tokens), np.ascontiguousarray(contexts), count_of_contexts
    )


def fit(counts: NDArray[np.int64], backend: kernels.Backend = "auto") -> TableSet:
    """The table set that codes these symbols in the fewest bits, its own bytes included.

    Contexts that are much alike, or rare, come to share a table. A symbol whose count is 0 in all
    contexts of a table may get no frequency there: fit to all that will be coded.

    Args:
        counts: int64 [C, A], C <= 255, A <= 256, each >= 0: see histogram(). May be all zero.
        backend: see kernels.BACKENDS. The tables chosen, unlike all else, may depend on it.

    Raises:
        ValueError: wrong dtype or shape; a negative count.
    """
    require("counts", counts, "int64", (None, None))
    contexts, symbols = counts.shape
    if not 1 <= contexts <= MAX_CONTEXTS or symbols > ALPHABET:
        raise ValueError(
            f"counts must be at most [{MAX_CONTEXTS}, {ALPHABET}], got {list(counts.shape)}"
        )
    if (counts < 0).any():
        raise ValueError("a count is negative")
    padded = np.zeros((contexts, ALPHABET), np.int64)
    padded[:, :symbols] = counts
    return TableSet.from_bytes(kernels.select(backend).fit_table_set(padded), 0, backend)[0]


def encode_planes(planes: Sequence[Plane], ways: int = 0, backend: kernels.Backend = "auto") -> bytes:
    """Code planes into one payload; a decoder reads them in this order.

    Args:
        planes: their table sets are not part of the payload.
        ways: interleaved states, a power of two up to 32, 4 bytes each; more decode faster.
            0 takes as many as cost less than 1% of the payload.
        backend: see kernels.BACKENDS. All give the same bytes.

    Raises:
        ValueError: a symbol that its table holds impossible; `ways` out of range.
    """
    if ways not in (0, 1, 2, 4, 8, 16, 32):
        raise ValueError(f"ways must be 0 or a power of two up to 32, got {ways}")
    arrays = [
        (
            np.ascontiguousarray(plane.tokens),
            np.ascontiguousarray(plane.contexts),
            plane.table_set.context_map,
            plane.table_set.frequencies,
            np.ascontiguousarray(plane.raw_values),
            np.ascontiguousarray(plane.raw_lengths),
        )
        for plane in planes
    ]
    return kernels.select(backend).rans_encode(arrays, ways)


class PlaneDecoder:
    """Reads the planes of one payload, in the order they were encoded. Safe on untrusted bytes.

    Nothing read may be trusted before finish() has returned: only then is the payload known to hold
    exactly these planes. One decoder belongs to one thread at a time; it works without the GIL.
    """

    def __init__(self, payload: bytes, backend: kernels.Backend = "auto") -> None:
        """Check the payload's header and lengths.

        Raises:
            BitstreamError: they do not fit together.
        """
        self._backend = kernels.resolve(backend)
        with _damage():
            self._decoder = kernels.select(self._backend).rans_decoder(bytes(payload))

    def parts(self, *table_sets: TableSet | None) -> tuple[object, list[object]]:
        """The backend's own decoder and tables, for kernels that do more than decode in one call."""
        expanded = [t.expanded(self._backend) if t is not None else None for t in table_sets]
        return self._decoder, expanded

    def _contexts(self, table_set: TableSet, contexts: NDArray[np.uint8] | int) -> NDArray[np.uint8]:
        if isinstance(contexts, int):
            return np.zeros(contexts, np.uint8)
        require("contexts", contexts, "uint8", (None,))
        if len(contexts) and contexts.max() >= len(table_set.context_map):
            raise ValueError(f"context {contexts.max()} of {len(table_set.context_map)}")
        return np.ascontiguousarray(contexts)

    def plane(self, table_set: TableSet, contexts: NDArray[np.uint8] | int) -> NDArray[np.uint8]:
        """The tokens of the next plane, which has no raw bits.

        Args:
            table_set: the one the plane was encoded with.
            contexts: uint8 [N], or N itself if every context is 0. The caller bounds N.

        Returns:
            uint8 [N].

        Raises:
            BitstreamError: the payload holds fewer symbols.
            ValueError: wrong dtype or shape; a context the table set does not have.
        """
        known = self._contexts(table_set, contexts)
        with _damage():
            return self._decoder.plane(table_set.expanded(self._backend), known)

    def values(
        self, table_set: TableSet, contexts: NDArray[np.uint8] | int, signed: bool = True
    ) -> NDArray[np.int32]:
        """The values of the next plane: its tokens, completed by its raw bits.

        Args and errors as for plane(); `signed` as it was given to tokenize().

        Returns:
            int32 [N].
        """
        known = self._contexts(table_set, contexts)
        with _damage():
            return self._decoder.values(table_set.expanded(self._backend), known, signed)

    def finish(self) -> None:
        """Check that the planes read are all there is.

        Raises:
            BitstreamError: something is left over, or the states do not end where they must.
        """
        with _damage():
            self._decoder.finish()
