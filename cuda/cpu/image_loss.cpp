#include "cpu/image_loss.h"

#include <algorithm>
#include <cmath>
#include <memory>
#include <vector>

#include "cpu/cpu_features.h"
#include "cpu/parallel.h"

namespace scenepress {

namespace {

constexpr int64_t kRowsAtATime = 16;

const LossKernels& kernels_for(bool portable) {
  const LossKernels* fast = has_avx2_fma() && !portable ? avx2_loss_kernels() : nullptr;
  return fast ? *fast : portable_loss_kernels();
}

// Calls body(begin, end) for runs of rows, in no particular order.
template <typename Body>
void for_rows(int64_t rows, int threads, Body body) {
  const int64_t runs = (rows + kRowsAtATime - 1) / kRowsAtATime;
  parallel_for(
      runs, [&](int64_t run) { body(run * kRowsAtATime, std::min((run + 1) * kRowsAtATime, rows)); }, threads);
}

// One image as three planes of padded rows.
class Planes {
 public:
  Planes(const float* image, int64_t height, int64_t width, int64_t stride, int threads)
      : height_(height), stride_(stride), data_(new float[static_cast<size_t>(3 * height * stride)]) {
    for_rows(height, threads, [&](int64_t begin, int64_t end) {
      for (int64_t y = begin; y < end; ++y)
        for (int c = 0; c < 3; ++c) {
          float* out = row(c, y);
          for (int64_t x = 0; x < width; ++x) out[x] = image[3 * (y * width + x) + c];
          std::fill(out + width, out + stride, 0.f);
        }
    });
  }
  float* row(int channel, int64_t y) { return data_.get() + (channel * height_ + y) * stride_; }

 private:
  int64_t height_, stride_;
  std::unique_ptr<float[]> data_;
};

// Three numbers for every window of every channel.
class Windows {
 public:
  Windows(int64_t rows, int64_t stride)
      : rows_(rows), stride_(stride), data_(new float[static_cast<size_t>(9 * rows * stride)]) {}
  float* row(int kind, int channel, int64_t y) {
    return data_.get() + ((3 * kind + channel) * rows_ + y) * stride_;
  }
  WindowRow at(int channel, int64_t y) { return {row(0, channel, y), row(1, channel, y), row(2, channel, y)}; }
  int64_t rows() const { return rows_; }

 private:
  int64_t rows_, stride_;
  std::unique_ptr<float[]> data_;
};

// What the windows pass back to pixel row y of a channel, in by [3][stride].
void gather_windows(const LossKernels& kernels, Windows& windows, int channel, int64_t y, int64_t width,
                    int64_t stride, float* scratch, float* by) {
  for (int kind = 0; kind < 3; ++kind) {
    const float* rows[kWindow];
    for (int k = 0; k < kWindow; ++k) {
      const int64_t row = y - (kWindow - 1) + k;
      rows[k] = row >= 0 && row < windows.rows() ? windows.row(kind, channel, row) : nullptr;
    }
    kernels.spread_row(rows, width - (kWindow - 1), scratch, by + kind * stride);
  }
}

}  // namespace

ImageLoss image_loss(const ImagePair& pair, float weight, bool portable, int threads, float* gradient) {
  const LossKernels& kernels = kernels_for(portable);
  const int64_t height = pair.height, width = pair.width, rows = height - (kWindow - 1);
  const int64_t stride = (width + kLossPadding + kLossLanes - 1) / kLossLanes * kLossLanes;
  Planes image(pair.image, height, width, stride, threads), target(pair.target, height, width, stride, threads);
  Windows windows(rows, stride);
  std::vector<double> similar(static_cast<size_t>(rows)), apart(static_cast<size_t>(height));
  for_rows(rows, threads, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(4 * stride)]());
    for (int64_t y = begin; y < end; ++y)
      for (int c = 0; c < 3; ++c)
        similar[static_cast<size_t>(y)] += kernels.window_row(
            image.row(c, y), target.row(c, y), stride, width - (kWindow - 1), scratch.get(), windows.at(c, y));
  });
  const double window_count = 3. * static_cast<double>(rows * (width - (kWindow - 1)));
  const double value_count = 3. * static_cast<double>(height * width);
  const float by_ssim = static_cast<float>(-weight / window_count);
  const float by_l1 = static_cast<float>((1. - weight) / value_count);
  for_rows(height, threads, [&](int64_t begin, int64_t end) {
    const std::unique_ptr<float[]> scratch(new float[static_cast<size_t>(5 * stride + 2 * kLossPadding)]);
    float* const by = scratch.get() + stride + 2 * kLossPadding;
    for (int64_t y = begin; y < end; ++y)
      for (int c = 0; c < 3; ++c) {
        gather_windows(kernels, windows, c, y, width, stride, scratch.get(), by);
        const float *a = image.row(c, y), *b = target.row(c, y);
        double sum = 0;
        for (int64_t x = 0; x < width; ++x) {
          const float gap = a[x] - b[x];
          sum += std::fabs(gap);
          const float sign = gap > 0.f ? by_l1 : gap < 0.f ? -by_l1 : 0.f;
          gradient[3 * (y * width + x) + c] =
              sign + by_ssim * (by[x] + 2.f * a[x] * by[stride + x] + b[x] * by[2 * stride + x]);
        }
        apart[static_cast<size_t>(y)] += sum;
      }
  });
  ImageLoss loss{0, 0};
  for (double row : apart) loss.l1 += row / value_count;
  for (double row : similar) loss.ssim += row / window_count;
  return loss;
}

}  // namespace scenepress
