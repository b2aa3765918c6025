// The inner loops of the training loss: compiled as they are, and for AVX2 with FMA. Rows are padded to whole
// vectors.
#pragma once

#include <cstdint>
#include <cstring>

#include "cpu/image_loss.h"

namespace scenepress {
namespace {

typedef float Vector __attribute__((vector_size(32)));  // compilers without such registers split it

constexpr float kTaps[kWindow] = {0.00102838f, 0.00759876f, 0.03600077f, 0.10936069f, 0.21300553f, 0.26601172f,
                                  0.21300553f, 0.10936069f, 0.03600077f, 0.00759876f, 0.00102838f};
constexpr float kSsim1 = 0.01f * 0.01f, kSsim2 = 0.03f * 0.03f;

inline void load(const float* p, Vector* v) { std::memcpy(v, p, sizeof(*v)); }
inline void store(float* p, const Vector* v) { std::memcpy(p, v, sizeof(*v)); }

double window_row(const float* x, const float* y, int64_t stride, int64_t windows, float* scratch,
                  const WindowRow& out) {
  const int64_t padded = stride;
  float* const sums[4] = {scratch, scratch + padded, scratch + 2 * padded, scratch + 3 * padded};
  for (int64_t at = 0; at < windows + kWindow - 1; at += kLossLanes) {
    Vector mean_x = {}, mean_y = {}, squares = {}, products = {};
    for (int k = 0; k < kWindow; ++k) {
      Vector a, b;
      load(x + k * stride + at, &a);
      load(y + k * stride + at, &b);
      mean_x += kTaps[k] * a;
      mean_y += kTaps[k] * b;
      squares += kTaps[k] * (a * a + b * b);
      products += kTaps[k] * (a * b);
    }
    store(sums[0] + at, &mean_x);
    store(sums[1] + at, &mean_y);
    store(sums[2] + at, &squares);
    store(sums[3] + at, &products);
  }
  double total = 0;
  for (int64_t at = 0; at < windows; at += kLossLanes) {
    Vector mean_x = {}, mean_y = {}, squares = {}, products = {};
    for (int k = 0; k < kWindow; ++k) {
      Vector v[4];
      for (int s = 0; s < 4; ++s) load(sums[s] + at + k, &v[s]);
      mean_x += kTaps[k] * v[0];
      mean_y += kTaps[k] * v[1];
      squares += kTaps[k] * v[2];
      products += kTaps[k] * v[3];
    }
    const Vector cross = mean_x * mean_y, power = mean_x * mean_x + mean_y * mean_y;
    const Vector a1 = 2.f * cross + kSsim1, a2 = 2.f * (products - cross) + kSsim2;
    const Vector b1 = power + kSsim1, b2 = squares - power + kSsim2;
    const Vector inverse = 1.f / (b1 * b2), ssim = a1 * a2 * inverse;
    const Vector by_squares = -ssim / b2, by_products = 2.f * a1 * inverse;
    const Vector by_mean = 2.f * (mean_y * (a2 - a1) * inverse + mean_x * ssim * (b1 - b2) * inverse);
    store(out.by_mean + at, &by_mean);
    store(out.by_squares + at, &by_squares);
    store(out.by_products + at, &by_products);
    for (int64_t lane = 0; lane < kLossLanes && at + lane < windows; ++lane) total += ssim[lane];
  }
  return total;
}

void spread_row(const float* const* rows, int64_t windows, float* scratch, float* out) {
  // Zeros on both sides: windows that are not there pass nothing back.
  std::memset(scratch, 0, sizeof(float) * static_cast<size_t>(windows + 2 * kLossPadding));
  float* const middle = scratch + kLossPadding;
  for (int64_t at = 0; at < windows; at += kLossLanes) {
    Vector sum = {};
    for (int k = 0; k < kWindow; ++k) {
      if (!rows[k]) continue;
      Vector v;
      load(rows[k] + at, &v);
      sum += kTaps[k] * v;
    }
    store(middle + at, &sum);
  }
  std::memset(middle + windows, 0, sizeof(float) * kLossPadding);  // the last vector may have reached beyond
  for (int64_t at = 0; at < windows + kWindow - 1; at += kLossLanes) {
    Vector sum = {};
    for (int k = 0; k < kWindow; ++k) {
      Vector v;
      load(middle + at - (kWindow - 1) + k, &v);
      sum += kTaps[k] * v;
    }
    store(out + at, &sum);
  }
}

}  // namespace
}  // namespace scenepress
