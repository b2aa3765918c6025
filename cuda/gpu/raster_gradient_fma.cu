// The backward pass of the CUDA rasteriser. A block blends its tile again, nearest splats first, as the CPU does
// (cpu/raster_gradient_kernels.h), and writes nine sums for every entry; then one thread a splat adds up its
// entries, in the order of its tiles, and follows the chain rule. No atomics: the result is the same every time.
#include "core/gradient.h"
#include "gpu/raster.h"
#include "gpu/raster_tiles.cuh"

namespace scenepress {
namespace {

constexpr int kBatch = 32;  // splats whose sums a block keeps before it adds up those of its warps
constexpr int kWarps = kTilePixels / 32;

struct PixelInputs {
  const float *color, *alpha, *by_color, *by_alpha;
};

// A pixel on its way through the splats.
struct Pixel {
  float x, y;
  float transmittance, behind;
  float r, g, b, a;  // dL / d colour, dL / d alpha
  bool finished;
};

__device__ Pixel first_state(const PixelInputs& in, int x, int y, int width, int height) {
  Pixel p = {};
  p.x = static_cast<float>(x) + 0.5f;
  p.y = static_cast<float>(y) + 0.5f;
  p.transmittance = 1.f;
  p.finished = x >= width || y >= height;
  if (p.finished) return p;
  const int64_t at = static_cast<int64_t>(y) * width + x;
  p.r = in.by_color[3 * at];
  p.g = in.by_color[3 * at + 1];
  p.b = in.by_color[3 * at + 2];
  p.a = in.by_alpha[at];
  p.behind = p.r * in.color[3 * at] + p.g * in.color[3 * at + 1] + p.b * in.color[3 * at + 2] + p.a * in.alpha[at];
  return p;
}

// What one splat is asked for by one pixel: kGradientSums, zeros if it is not drawn there. True if it is.
__device__ bool pixel_sums(const Footprint& f, Pixel& p, float* sums) {
  for (int k = 0; k < kGradientSums; ++k) sums[k] = 0.f;
  if (p.finished) return false;
  const float dy = p.y - f.y, across = p.x - (f.x + f.shear * dy);
  const float exponent = log2_alpha(f, p.x, p.y);
  if (exponent < kLog2MinAlpha) return false;
  const float free_alpha = exp2f(exponent), alpha = smaller(free_alpha, kMaxAlpha);
  const float through = 1.f - alpha, after = p.transmittance * through;
  if (after <= kMinTransmittance) {
    p.finished = true;
    return false;
  }
  const float weight = alpha * p.transmittance;
  const float own = weight * (p.a + p.r * f.rgb[0] + p.g * f.rgb[1] + p.b * f.rgb[2]);
  p.behind -= own;
  p.transmittance = after;
  const float s = free_alpha < kMaxAlpha ? own - alpha / through * p.behind : 0.f;
  sums[0] = s;
  sums[1] = s * across;
  sums[2] = s * across * across;
  sums[3] = s * dy;
  sums[4] = s * across * dy;
  sums[5] = s * dy * dy;
  sums[6] = weight * p.r;
  sums[7] = weight * p.g;
  sums[8] = weight * p.b;
  return true;
}

// sums: [entries, kGradientSums], zero on entry.
__global__ void differentiate_kernel(const Footprint* footprints, const uint32_t* ids, const longlong2* ranges,
                                     int columns, int width, int height, PixelInputs in, float* sums) {
  __shared__ Footprint shared[kBatch];
  __shared__ float parts[kBatch][kWarps][kGradientSums];
  const int tile = blockIdx.x, thread = threadIdx.x, lane = thread % 32, warp = thread / 32;
  Pixel pixel = first_state(in, tile % columns * kTile + thread % kTile, tile / columns * kTile + thread / kTile,
                            width, height);
  const longlong2 range = ranges[tile];
  for (int64_t first = range.x; first < range.y; first += kBatch) {
    if (__syncthreads_count(pixel.finished) == kTilePixels) break;  // also: nobody still reads what is shared
    const int count = static_cast<int>(min(static_cast<long long>(kBatch), range.y - first));
    if (thread < count) shared[thread] = footprints[ids[first + thread]];
    __syncthreads();
    for (int i = 0; i < count; ++i) {
      float own[kGradientSums];
      const bool drawn = pixel_sums(shared[i], pixel, own);
      if (__any_sync(0xffffffffu, drawn))
        for (int k = 0; k < kGradientSums; ++k)
          for (int apart = 16; apart > 0; apart /= 2) own[k] += __shfl_xor_sync(0xffffffffu, own[k], apart);
      for (int k = 0; k < kGradientSums; ++k)
        if (lane == k) parts[i][warp][k] = own[k];
    }
    __syncthreads();
    for (int at = thread; at < count * kGradientSums; at += kTilePixels) {
      float sum = 0.f;
      for (int w = 0; w < kWarps; ++w) sum += parts[at / kGradientSums][w][at % kGradientSums];
      sums[kGradientSums * first + at] = sum;
    }
  }
}

// places[e] = where unsorted entry e went.
__global__ void place_kernel(int64_t entries, const uint32_t* sources, uint32_t* places) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < entries) places[sources[i]] = static_cast<uint32_t>(i);
}

__global__ void splat_kernel(SplatArrays splats, Pinhole camera, const int64_t* ends, const uint32_t* places,
                             const float* sums, GradientArrays out) {
  const int64_t i = static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i >= splats.count) return;
  float own[kGradientSums] = {};
  const int64_t begin = i == 0 ? 0 : ends[i - 1];
  for (int64_t e = begin; e < ends[i]; ++e)
    for (int k = 0; k < kGradientSums; ++k) own[k] += sums[kGradientSums * static_cast<int64_t>(places[e]) + k];
  const int extra = (splats.sh_degree + 1) * (splats.sh_degree + 1) - 1;
  float* shN = out.shN + 3 * extra * i;
  SplatGradient g = {};
  if (begin == ends[i] || !splat_gradient(splats, i, camera, own, &g, shN))
    for (int k = 0; k < 3 * extra; ++k) shN[k] = 0.f;
  write_gradient(g, i, out);
}

// Device arrays of GradientArrays' shapes, and the way back to the host's.
struct DeviceGradients {
  DeviceArray<float> means, quats, log_scales, opacity_logits, sh0, shN, centers;

  DeviceGradients(int64_t count, int64_t extra)
      : means(3 * count),
        quats(4 * count),
        log_scales(3 * count),
        opacity_logits(count),
        sh0(3 * count),
        shN(3 * extra * count),
        centers(2 * count) {}
  GradientArrays arrays() {
    return {means.data(), quats.data(), log_scales.data(), opacity_logits.data(),
            sh0.data(),   shN.data(),   centers.data()};
  }
  void copy_to(const GradientArrays& host) const {
    means.copy_to(host.means);
    quats.copy_to(host.quats);
    log_scales.copy_to(host.log_scales);
    opacity_logits.copy_to(host.opacity_logits);
    sh0.copy_to(host.sh0);
    shN.copy_to(host.shN);
    centers.copy_to(host.centers);
  }
};

}  // namespace

void differentiate_cuda(const SplatArrays& host, const Pinhole& camera, const RasterImage& image,
                        const RasterImage& by, const GradientArrays& out) {
  const int64_t pixels = static_cast<int64_t>(camera.width) * camera.height;
  const DeviceSplats splats(host);
  const DeviceTiles tiles = sort_into_tiles(splats, camera);
  const DeviceArray<float> color(image.color, 3 * pixels), alpha(image.alpha, pixels),
      by_color(by.color, 3 * pixels), by_alpha(by.alpha, pixels);
  DeviceArray<float> sums(kGradientSums * tiles.entries);
  DeviceArray<uint32_t> places(tiles.entries);
  if (tiles.entries > 0) {
    check_cuda(cudaMemset(sums.data(), 0, sizeof(float) * static_cast<size_t>(sums.size())));
    differentiate_kernel<<<tiles.columns * tiles.rows, kTilePixels>>>(
        tiles.footprints.data(), tiles.ids.data(), tiles.ranges.data(), tiles.columns, camera.width, camera.height,
        {color.data(), alpha.data(), by_color.data(), by_alpha.data()}, sums.data());
    place_kernel<<<blocks_for(tiles.entries), kThreads>>>(tiles.entries, tiles.sources.data(), places.data());
    check_cuda(cudaGetLastError());
  }
  DeviceGradients gradients(host.count, (host.sh_degree + 1) * (host.sh_degree + 1) - 1);
  if (host.count > 0) {
    splat_kernel<<<blocks_for(host.count), kThreads>>>(splats.arrays, camera, tiles.ends.data(), places.data(),
                                                       sums.data(), gradients.arrays());
    check_cuda(cudaGetLastError());
  }
  gradients.copy_to(out);
}

}  // namespace scenepress
