"""Deformation fields on a device, against NumPy."""

import numpy as np
import pytest
from dynamic_scenes import deformation, splats

from scenepress import dynamics
from scenepress.kernels import deformation as kernels

pytestmark = pytest.mark.skipif("cuda" not in kernels.BACKENDS, reason="no CUDA device, or no CUDA module")


@pytest.mark.parametrize("time", [0.0, 0.63])
@pytest.mark.parametrize("options", [{}, {"depth": 3, "width": 128, "scales": (1, 2, 4)}, {"heads": ()}])
def test_fields(options: dict[str, object], time: float) -> None:
    field = deformation(5, **options)  # type: ignore[arg-type]
    means = splats(10_001, 6).means
    found = dynamics.offsets(field, means, time, "cuda")
    expected = dynamics.offsets(field, means, time, "reference")
    assert list(found) == list(expected)
    for name in expected:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-4)


def test_no_splats() -> None:
    assert dynamics.offsets(deformation(), splats(3).means[:0], 0.5, "cuda")["position"].shape == (0, 3)
