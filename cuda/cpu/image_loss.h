// The loss that scenes are trained with, and its derivative: (1 - weight) L1 + weight (1 - SSIM).
//
// SSIM: 11-tap Gaussian windows (sigma 1.5) that lie inside the image, as in scenepress.quality. Source: Wang et
// al., "Image quality assessment: from error visibility to structural similarity", IEEE TIP 13(4), 2004.
#pragma once

#include <cstdint>

namespace scenepress {

constexpr int kWindow = 11;
constexpr int kLossLanes = 8;
constexpr int kLossPadding = 24;  // floats beyond a row that loops may touch: a window and a vector, rounded up

struct ImagePair {
  const float* image;   // [height, width, 3]
  const float* target;  // the same
  int64_t height, width;
};

// Means over pixels and channels of |image - target|, and over windows and channels of SSIM.
struct ImageLoss {
  double l1, ssim;
};

// Writes the derivative of the loss with respect to the image to gradient [height, width, 3]. Sides are at least
// 11 pixels. Does not depend on the number of threads.
ImageLoss image_loss(const ImagePair& pair, float weight, bool portable, int threads, float* gradient);

// One row of windows of one channel: the derivatives of their SSIM with respect to the means of x, of x^2 and of x
// y.
struct WindowRow {
  float *by_mean, *by_squares, *by_products;
};

// The inner loops for one instruction set: image_loss_kernels.h.
struct LossKernels {
  // x, y: the first of kWindow rows, `stride` apart. Returns the sum of SSIM. scratch: 4 strides.
  double (*window_row)(const float* x, const float* y, int64_t stride, int64_t windows, float* scratch,
                       const WindowRow& out);
  // What the window rows around a row of windows + kWindow - 1 pixels pass back to it: rows[k], or null where
  // there is none, has the pixels as its row kWindow - 1 - k. scratch: windows + 2 kLossPadding.
  void (*spread_row)(const float* const* rows, int64_t windows, float* scratch, float* out);
};

const LossKernels& portable_loss_kernels();
const LossKernels* avx2_loss_kernels();  // null where the build has none

}  // namespace scenepress
