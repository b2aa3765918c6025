// Loops over splats; what each computes stands in core/shape.h. Arrays are [3, n] where three are given.
#pragma once

#include <cstdint>

#include "core/shape.h"

namespace scenepress {

void expand_scales(const int32_t* coded, int64_t n, const ScaleCurve& curve, int32_t* out);
void rotation_steps(const RotationSteps& s, const uint8_t* classes, const int32_t* scales, int64_t n,
                    int32_t* out);
void position_exponents(const PositionSteps& s, const uint8_t* classes, const int32_t* scales,
                        const int32_t* vectors, int64_t n, int64_t* exponents, int64_t* world);

// Lattice points [n, 3] below cells [n, 3] of 2^cell, from cell - exponents [3, n] bits each, at most 32, from bit
// `at` on: the middles of what is left. The bits are there.
void refine_positions(const uint8_t* bits, int64_t at, const uint32_t* cells, const int64_t* exponents, int64_t n,
                      int cell, int64_t* out);

}  // namespace scenepress
