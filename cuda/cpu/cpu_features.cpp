#include "cpu/cpu_features.h"

namespace scenepress {

#if defined(__x86_64__)
bool has_avx2() {
  static const bool yes = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi2");
  return yes;
}
bool has_avx2_fma() {
  static const bool yes = has_avx2() && __builtin_cpu_supports("fma");
  return yes;
}
#else
bool has_avx2() { return false; }
bool has_avx2_fma() { return false; }
#endif

}  // namespace scenepress
