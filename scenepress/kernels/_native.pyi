# What cuda/bindings/*.cpp define: one block per file.
import numpy as np
from numpy.typing import NDArray

# crc32c.cpp
def crc32c(data: NDArray[np.uint8], start: int) -> int: ...
def crc32c_portable(data: NDArray[np.uint8], start: int) -> int: ...
