// The CUDA rasteriser: one block a tile, one thread a pixel, nearest splats first. No symbol depends on these
// floats, so contraction to FMA is on.
#include "gpu/raster.h"
#include "gpu/raster_tiles.cuh"

namespace scenepress {
namespace {

struct Rear {
  float r, g, b;
};

__global__ void blend_kernel(const Footprint* footprints, const uint32_t* ids, const longlong2* ranges,
                             int columns, int width, int height, Rear background, float* color, float* alpha) {
  __shared__ Footprint shared[kTilePixels];
  const int tile = blockIdx.x, thread = threadIdx.x;
  const int x = tile % columns * kTile + thread % kTile, y = tile / columns * kTile + thread / kTile;
  const float px = static_cast<float>(x) + 0.5f, py = static_cast<float>(y) + 0.5f;
  const bool inside = x < width && y < height;
  bool finished = !inside;
  float transmittance = 1.f, r = 0.f, g = 0.f, b = 0.f;
  const longlong2 range = ranges[tile];
  for (int64_t first = range.x; first < range.y; first += kTilePixels) {
    if (__syncthreads_count(finished) == kTilePixels) break;  // also: nobody still reads `shared`
    const int count = static_cast<int>(min(static_cast<long long>(kTilePixels), range.y - first));
    if (thread < count) shared[thread] = footprints[ids[first + thread]];
    __syncthreads();
    for (int i = 0; i < count && !finished; ++i) {
      const Footprint& f = shared[i];
      const float exponent = log2_alpha(f, px, py);
      if (exponent < kLog2MinAlpha) continue;
      const float opacity = smaller(exp2f(exponent), kMaxAlpha);
      const float after = transmittance * (1.f - opacity);
      if (after <= kMinTransmittance) {
        finished = true;
        break;
      }
      const float weight = opacity * transmittance;
      r += weight * f.rgb[0];
      g += weight * f.rgb[1];
      b += weight * f.rgb[2];
      transmittance = after;
    }
  }
  if (!inside) return;
  const int64_t at = static_cast<int64_t>(y) * width + x;
  color[3 * at] = r + transmittance * background.r;
  color[3 * at + 1] = g + transmittance * background.g;
  color[3 * at + 2] = b + transmittance * background.b;
  alpha[at] = 1.f - transmittance;
}

}  // namespace

int cuda_device_count() {
  int count = 0;
  return cudaGetDeviceCount(&count) == cudaSuccess ? count : 0;
}

void rasterize_cuda(const SplatArrays& host, const Pinhole& camera, const float* background, float* color,
                    float* alpha) {
  const int64_t pixels = static_cast<int64_t>(camera.width) * camera.height;
  const DeviceSplats splats(host);
  const DeviceTiles tiles = sort_into_tiles(splats, camera);
  DeviceArray<float> device_color(3 * pixels), device_alpha(pixels);
  blend_kernel<<<tiles.columns * tiles.rows, kTilePixels>>>(
      tiles.footprints.data(), tiles.ids.data(), tiles.ranges.data(), tiles.columns, camera.width, camera.height,
      {background[0], background[1], background[2]}, device_color.data(), device_alpha.data());
  check_cuda(cudaGetLastError());
  device_color.copy_to(color);
  device_alpha.copy_to(alpha);
}

}  // namespace scenepress
