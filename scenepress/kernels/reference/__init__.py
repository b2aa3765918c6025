"""NumPy kernels: the normative arithmetic of docs/spec, written to be read. No dispatch, no speed.

Bad bytes raise a plain ValueError that says what is wrong; the stage turns it into a BitstreamError.
"""

from scenepress.kernels.reference.rans import RansDecoder as rans_decoder
from scenepress.kernels.reference.rans import RansTables as rans_tables
from scenepress.kernels.reference.rans import rans_encode
from scenepress.kernels.reference.table_fit import fit_table_set
from scenepress.kernels.reference.table_set import parse_table_set
from scenepress.kernels.reference.tokens import detokenize, histogram, tokenize

__all__ = [
    "detokenize",
    "fit_table_set",
    "histogram",
    "parse_table_set",
    "rans_decoder",
    "rans_encode",
    "rans_tables",
    "tokenize",
]
