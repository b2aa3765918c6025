// Which instruction sets this machine has, asked once at run time.
#pragma once

namespace scenepress {

bool has_avx2();      // AVX2 and BMI2
bool has_avx2_fma();  // AVX2, BMI2 and FMA

}  // namespace scenepress
