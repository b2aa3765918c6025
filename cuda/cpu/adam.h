// Adam for the splats that a view shows: the others keep their values and their moments.
//
// Source: D. Kingma and J. Ba, "Adam: A Method for Stochastic Optimization", ICLR 2015; leaving out what is not
// seen follows S. Mallick et al., "Taming 3DGS: High-Quality Radiance Fields with Limited Resources", SIGGRAPH
// Asia 2024.
#pragma once

#include <cstdint>

namespace scenepress {

struct AdamSettings {
  float rate;          // learning rate
  float beta1, beta2;  // decay of the moments
  float epsilon;       // in units of the gradient
  int64_t step;        // of this update, from 1: both moments start at zero
};

// Rows of `width` floats: parameters, their gradient, and both moments.
struct AdamRows {
  float* values;
  const float* gradient;
  float *first, *second;
  int64_t count, width;
};

// Updates the rows with a non-zero in `seen` [count].
void adam(const AdamRows& rows, const uint8_t* seen, const AdamSettings& settings, int threads);

}  // namespace scenepress
