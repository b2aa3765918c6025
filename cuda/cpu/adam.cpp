#include "cpu/adam.h"

#include <algorithm>
#include <cmath>

#include "cpu/parallel.h"

namespace scenepress {

namespace {

constexpr int64_t kFloatsAtATime = 1 << 16;

struct Rates {
  float beta1, beta2, rate, root, epsilon;  // `root`: what the second moment's root is multiplied with
};

void update(float* values, const float* gradient, float* first, float* second, int64_t count, const Rates& r) {
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    const float m = r.beta1 * first[i] + (1.f - r.beta1) * g;
    const float v = r.beta2 * second[i] + (1.f - r.beta2) * (g * g);
    first[i] = m;
    second[i] = v;
    values[i] -= r.rate * m / (std::sqrt(v) * r.root + r.epsilon);
  }
}

}  // namespace

void adam(const AdamRows& rows, const uint8_t* seen, const AdamSettings& s, int threads) {
  const double step = static_cast<double>(s.step);
  const Rates rates{s.beta1, s.beta2, static_cast<float>(s.rate / (1. - std::pow(double{s.beta1}, step))),
                    static_cast<float>(1. / std::sqrt(1. - std::pow(double{s.beta2}, step))), s.epsilon};
  const int64_t chunk = std::max<int64_t>(1, kFloatsAtATime / std::max<int64_t>(1, rows.width));
  parallel_for((rows.count + chunk - 1) / chunk,
               [&](int64_t c) {
                 const int64_t end = std::min((c + 1) * chunk, rows.count);
                 for (int64_t i = c * chunk; i < end;) {  // runs of seen rows: vectors want length
                   if (!seen[i]) {
                     ++i;
                     continue;
                   }
                   int64_t last = i + 1;
                   while (last < end && seen[last]) ++last;
                   const int64_t at = i * rows.width;
                   update(rows.values + at, rows.gradient + at, rows.first + at, rows.second + at,
                          (last - i) * rows.width, rates);
                   i = last;
                 }
               },
               threads);
}

}  // namespace scenepress
