"""Position refinement: the bits below the level's cell, as fine as the splat's shape and importance ask.

A flat splat must be placed finely across its plane and coarsely along it. The world axis nearest to the
normal gets the fine step, the other two the coarser ones; the encoder picks the lattice point whose error
lies in the plane. Normative text: docs/spec/refinement.md.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scenepress.errors import BitstreamError
from scenepress.kernels import splats as kernels
from scenepress.stages import context

exponents = kernels.position_exponents

def encode(offsets: NDArray[np.int64], exps: NDArray[np.int64], cell: int) -> bytes:
    """Bits cell - 1 .. exps of every offset, axis after axis of splat after splat, lowest bit first.

    offsets int64 [n, 3]: positions from the tile's corner, on the lattice of `exps` int64 [3, n].
    """
    lengths = (cell - exps.T).astype(np.uint8)
    fields = (offsets & ((1 << cell) - 1)) >> exps.T
    return kernels.pack_bits(fields.ravel().astype(np.uint32), np.ascontiguousarray(lengths.ravel()))


def decode(
    payload: bytes, cells: NDArray[np.uint32], exps: NDArray[np.int64], cell: int
) -> NDArray[np.int64]:
    """int64 [n, 3] positions from the tile's corner: middles of the refined cells.

    cells uint32 [n, 3]: coordinates of the level's cells; exps int64 [3, n], at most `cell`.

    Raises:
        BitstreamError: the payload is not exactly as long as the bits it must hold.
    """
    total = exps.size * cell - int(exps.sum())
    if len(payload) != (total + 7) // 8:
        raise BitstreamError(f"position refinement: {len(payload)} bytes for {total} bits")
    with context.damage():
        return kernels.refine(payload, cells, exps, cell)
