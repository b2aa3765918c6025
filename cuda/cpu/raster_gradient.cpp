#include "cpu/raster_gradient.h"

#include <algorithm>
#include <new>

#include "cpu/parallel.h"
#include "cpu/raster_gradient_kernels.h"

namespace scenepress {

namespace {

constexpr int64_t kChunk = 1024;  // splats a thread takes at a time

}  // namespace

RasterFrame::RasterFrame(const SplatArrays& splats, const Pinhole& camera, const float* background,
                         const RasterOptions& options, float* color, float* alpha)
    : camera_(camera),
      count_(splats.count),
      grid_(camera),
      visible_(find_visible(splats, nullptr, camera, options.kernels, options.threads)) {
  if (visible_.tiles > options.tile_budget) throw std::bad_alloc();
  const auto count = static_cast<int64_t>(visible_.order.size());
  bins_ = sort_into_tiles(visible_, 0, count, grid_, options.kernels, options.threads);
  parallel_for(
      grid_.count(),
      [&](int64_t tile) {
        TilePixels pixels;
        const int left = grid_.left(tile), top = grid_.top(tile);
        clear_tile(camera_, left, top, &pixels);
        const int64_t first = bins_.first[static_cast<size_t>(tile)];
        options.kernels.blend_tile(visible_.footprints.get(), bins_.ids.get() + first,
                                   bins_.first[static_cast<size_t>(tile) + 1] - first, static_cast<float>(left),
                                   static_cast<float>(top), &pixels);
        write_tile(pixels, camera_, left, top, background, color, alpha);
      },
      options.threads);
}

void RasterFrame::differentiate_tile(int64_t tile, const RasterImage& image, const RasterImage& by,
                                     const RasterOptions& options, float* sums) const {
  TileGradients pixels;
  const int left = grid_.left(tile), top = grid_.top(tile);
  for (int i = 0; i < kTilePixels; ++i) {
    const int x = left + i / kTile, y = top + i % kTile;  // column by column, as the kernels go
    const bool inside = x < camera_.width && y < camera_.height;
    const int64_t at = static_cast<int64_t>(y) * camera_.width + x;
    pixels.transmittance[i] = inside ? 1.f : -1.f;
    pixels.r[i] = inside ? by.color[3 * at] : 0.f;
    pixels.g[i] = inside ? by.color[3 * at + 1] : 0.f;
    pixels.b[i] = inside ? by.color[3 * at + 2] : 0.f;
    pixels.alpha[i] = inside ? by.alpha[at] : 0.f;
    pixels.behind[i] = inside ? pixels.r[i] * image.color[3 * at] + pixels.g[i] * image.color[3 * at + 1] +
                                    pixels.b[i] * image.color[3 * at + 2] + pixels.alpha[i] * image.alpha[at]
                              : 0.f;
  }
  const int64_t first = bins_.first[static_cast<size_t>(tile)];
  options.kernels.differentiate_tile(visible_.footprints.get(), bins_.ids.get() + first,
                                     bins_.first[static_cast<size_t>(tile) + 1] - first, static_cast<float>(left),
                                     static_cast<float>(top), &pixels, sums + kGradientSums * first);
}

std::vector<uint32_t> RasterFrame::places(std::vector<int64_t>* first) const {
  const int64_t total = bins_.first.back();
  first->assign(static_cast<size_t>(count_) + 1, 0);
  for (int64_t at = 0; at < total; ++at) ++(*first)[bins_.ids[static_cast<size_t>(at)] + 1];
  for (size_t i = 1; i < first->size(); ++i) (*first)[i] += (*first)[i - 1];
  std::vector<int64_t> next(first->begin(), first->end() - 1);
  std::vector<uint32_t> out(static_cast<size_t>(total));  // the tile budget is below 2^32
  for (int64_t at = 0; at < total; ++at) out[static_cast<size_t>(next[bins_.ids[static_cast<size_t>(at)]]++)] = at;
  return out;
}

void RasterFrame::backward(const SplatArrays& splats, const RasterImage& image, const RasterImage& by,
                           const RasterOptions& options, const GradientArrays& out) const {
  const auto total = static_cast<size_t>(bins_.first.back());
  const std::unique_ptr<float[]> sums(new float[kGradientSums * total]);
  parallel_for(
      grid_.count(), [&](int64_t tile) { differentiate_tile(tile, image, by, options, sums.get()); },
      options.threads);
  // A splat's tiles are summed in one order, whichever threads they were on.
  std::vector<int64_t> first;
  const std::vector<uint32_t> places_of = places(&first);
  const int extra = (splats.sh_degree + 1) * (splats.sh_degree + 1) - 1;
  parallel_for((count_ + kChunk - 1) / kChunk,
               [&](int64_t chunk) {
                 for (int64_t i = chunk * kChunk; i < std::min((chunk + 1) * kChunk, count_); ++i) {
                   const int64_t begin = first[static_cast<size_t>(i)], end = first[static_cast<size_t>(i) + 1];
                   float own[kGradientSums] = {}, *shN = out.shN + 3 * extra * i;
                   for (int64_t k = begin; k < end; ++k)
                     for (int s = 0; s < kGradientSums; ++s)
                       own[s] += sums[kGradientSums * static_cast<size_t>(places_of[static_cast<size_t>(k)]) + s];
                   SplatGradient g{};
                   if (begin == end || !splat_gradient(splats, i, camera_, own, &g, shN))
                     std::fill(shN, shN + 3 * extra, 0.f);
                   write_gradient(g, i, out);
                 }
               },
               options.threads);
}

}  // namespace scenepress
