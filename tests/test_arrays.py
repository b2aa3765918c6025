"""Products of tall arrays against NumPy's own, quantiles against sorting."""

from __future__ import annotations

import numpy as np
import pytest

from scenepress.arrays import gram, tall_product, weighted_quantile


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "k", "m"), [(0, 4, 24), (9, 0, 1), (1, 3, 3), (129, 45, 45), (40_000, 3, 3)])
def test_products(n: int, k: int, m: int, dtype: type) -> None:
    rng = np.random.default_rng(n + k)
    a, b = rng.standard_normal((n, k)).astype(dtype), rng.standard_normal((k, m)).astype(dtype)
    tolerance = 1e-4 if dtype is np.float32 else 1e-12
    product, square = tall_product(a, b), gram(a)
    assert product.dtype == square.dtype == dtype
    np.testing.assert_allclose(product, a @ b, atol=tolerance)
    np.testing.assert_allclose(square, a.T @ a, rtol=1e-3, atol=tolerance * max(n, 1))


@pytest.mark.parametrize("n", [1, 2, 1000, 50_000])
def test_weighted_quantiles(n: int) -> None:
    rng = np.random.default_rng(n)
    plain, heavy = rng.uniform(0.5, 1, n), np.exp(4 * rng.standard_normal(n))
    for values in (rng.standard_normal(n), np.round(rng.standard_normal(n)), np.sort(rng.standard_cauchy(n))):
        for weights in (plain, heavy, np.where(np.arange(n) == n // 3, 1.0, 1e-12)):
            order = np.argsort(values, kind="stable")
            total = np.cumsum(weights[order])
            for share in (0.02, 0.25, 0.5, 0.95):
                expected = values[order[np.searchsorted(total, share * total[-1])]]
                assert weighted_quantile(values, weights, share) == expected
