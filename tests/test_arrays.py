"""Products of tall arrays against NumPy's own."""

from __future__ import annotations

import numpy as np
import pytest

from scenepress.arrays import gram, tall_product


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k", "m"), [(0, 4, 24), (1, 3, 3), (129, 45, 45), (40_000, 3, 3)])
def test_products(n: int, k: int, m: int, dtype: type) -> None:
    rng = np.random.default_rng(n + k)
    a, b = rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((k, m)).astype(dtype)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    product, square = tall_product(a, b), gram(a)
    assert product.dtype == square.dtype == dtype
    np.testing.assert_allclose(product, a @ b, atol=tolerance)
    np.testing.assert_allclose(square, a.T @ a, rtol=1e-3, atol=tolerance * max(n, 1))
