// The inner loops over 8 plain floats; compilers turn most of it into the baseline's vectors.
#include <cmath>
#include <cstdint>
#include <cstring>

#include "cpu/raster.h"
#include "cpu/raster_gradient_kernels.h"
#include "cpu/raster_kernels.h"

namespace scenepress {
namespace {

struct PlainLanes {
  float v[8];

  template <typename Body>
  static inline PlainLanes each(Body body) {
    PlainLanes out;
    for (int i = 0; i < 8; ++i) out.v[i] = body(i);
    return out;
  }
  static inline uint32_t word(float value) {
    uint32_t out;
    std::memcpy(&out, &value, 4);
    return out;
  }
  static inline float value(uint32_t word) {
    float out;
    std::memcpy(&out, &word, 4);
    return out;
  }
  static inline PlainLanes load(const float* p) {
    return each([=](int i) { return p[i]; });
  }
  inline void store(float* p) const { std::memcpy(p, v, sizeof(v)); }
  // out[k] = the sum of the lanes of vectors[k], k < 8.
  static inline void sum_each(const PlainLanes* vectors, float* out) {
    for (int k = 0; k < 8; ++k) {
      const float* x = vectors[k].v;
      out[k] = ((x[0] + x[1]) + (x[2] + x[3])) + ((x[4] + x[5]) + (x[6] + x[7]));
    }
  }
  static inline float sum(const PlainLanes& a) {
    float out = 0.f;
    for (const float x : a.v) out += x;
    return out;
  }
  static inline float largest(const PlainLanes& a) {
    float out = a.v[0];
    for (const float x : a.v) out = larger(out, x);
    return out;
  }
  static inline PlainLanes splat(float x) {
    return each([=](int) { return x; });
  }
  static inline PlainLanes ramp(float first) {
    return each([=](int i) { return first + static_cast<float>(i); });
  }
  static inline PlainLanes fma(PlainLanes a, PlainLanes b, PlainLanes c) {
    return each([&](int i) { return a.v[i] * b.v[i] + c.v[i]; });
  }
  static inline PlainLanes fnma(PlainLanes a, PlainLanes b, PlainLanes c) {
    return each([&](int i) { return c.v[i] - a.v[i] * b.v[i]; });
  }
  static inline PlainLanes min(PlainLanes a, PlainLanes b) {
    return each([&](int i) { return a.v[i] < b.v[i] ? a.v[i] : b.v[i]; });
  }
  static inline PlainLanes max(PlainLanes a, PlainLanes b) {
    return each([&](int i) { return a.v[i] > b.v[i] ? a.v[i] : b.v[i]; });
  }
  static inline PlainLanes less(PlainLanes a, PlainLanes b) {
    return each([&](int i) { return value(a.v[i] < b.v[i] ? ~0u : 0u); });
  }
  static inline PlainLanes not_less(PlainLanes a, PlainLanes b) {
    return each([&](int i) { return value(a.v[i] >= b.v[i] ? ~0u : 0u); });
  }
  static inline PlainLanes both(PlainLanes a, PlainLanes b) {
    return each([&](int i) { return value(word(a.v[i]) & word(b.v[i])); });
  }
  // Lanes of the mask whose `sign` is not negative.
  static inline PlainLanes where_positive(PlainLanes mask, PlainLanes sign) {
    return each([&](int i) { return value(word(sign.v[i]) >> 31 ? 0u : word(mask.v[i])); });
  }
  static inline PlainLanes select(PlainLanes mask, PlainLanes yes, PlainLanes no) {
    return each(
        [&](int i) { return value((word(mask.v[i]) & word(yes.v[i])) | (~word(mask.v[i]) & word(no.v[i]))); });
  }
  static inline PlainLanes negative_where(PlainLanes mask, PlainLanes a) {
    return each([&](int i) { return value(word(a.v[i]) | (word(mask.v[i]) & 0x80000000u)); });
  }
  static inline unsigned bits(PlainLanes a) {
    unsigned out = 0;
    for (int i = 0; i < 8; ++i) out |= (word(a.v[i]) >> 31) << i;
    return out;
  }
  // p * 2^n, with n the low bits of `shifted`.
  static inline PlainLanes scale_by_power(PlainLanes p, PlainLanes shifted) {
    return each([&](int i) { return value(word(p.v[i]) + (word(shifted.v[i]) << 23)); });
  }
};

inline PlainLanes operator+(PlainLanes a, PlainLanes b) {
  return PlainLanes::each([&](int i) { return a.v[i] + b.v[i]; });
}
inline PlainLanes operator-(PlainLanes a, PlainLanes b) {
  return PlainLanes::each([&](int i) { return a.v[i] - b.v[i]; });
}
inline PlainLanes operator/(PlainLanes a, PlainLanes b) {
  return PlainLanes::each([&](int i) { return a.v[i] / b.v[i]; });
}
inline PlainLanes operator*(PlainLanes a, PlainLanes b) {
  return PlainLanes::each([&](int i) { return a.v[i] * b.v[i]; });
}
inline PlainLanes operator*(float a, PlainLanes b) {
  return PlainLanes::each([&](int i) { return a * b.v[i]; });
}

}  // namespace

const RasterKernels& portable_raster_kernels() {
  static const RasterKernels kernels{make_footprints<PlainLanes>, list_tiles<PlainLanes>,
                                     blend_tile<PlainLanes>,      measure_tile<PlainLanes>,
                                     add_sums<PlainLanes>,        differentiate_tile<PlainLanes>};
  return kernels;
}

}  // namespace scenepress
