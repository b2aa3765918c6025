// The inner loops of the CPU rasteriser, written once over a type of 8 float lanes: AVX2+FMA or portable.
// A row of a tile is two such vectors.
//
// Comparisons give masks of all ones or zeros; bits() gathers the sign bits, lane 0 lowest; fma(a, b, c) is a b +
// c and fnma(a, b, c) is c - a b, fused or not.
#pragma once

#include "core/blend.h"
#include "core/sensitivity.h"
#include "cpu/raster.h"

namespace scenepress {

constexpr int kTilePixels = kTile * kTile;

// The pixels of one tile, row by row. Transmittance is negative where the pixel is finished (its size remains that
// of the last splat blended) or lies outside the image.
struct TilePixels {
  alignas(32) float transmittance[kTilePixels];
  alignas(32) float r[kTilePixels];
  alignas(32) float g[kTilePixels];
  alignas(32) float b[kTilePixels];
};

// A tile on its way through measure_tile(): r, g, b hold the colour still to come, that is what lies behind, the
// background's mean included, times the transmittance.
struct MeasuredTile {
  TilePixels pixels;
  // What shows of the background in the end, times the root of the summed variances of its channels.
  alignas(32) float unsure[kTilePixels];
};

// Rows and halves of a tile that a footprint may touch.
struct TileSpan {
  int first_row, last_row, first_half, last_half;  // inclusive
};

static inline TileSpan span_in_tile(const Footprint& f, float left, float top) {
  const float low = f.y - f.reach_y - top - 0.5f, high = f.y + f.reach_y - top - 0.5f;
  TileSpan span;
  span.first_row = low > 0.f ? static_cast<int>(low) + (low > static_cast<float>(static_cast<int>(low))) : 0;
  span.last_row = high < kTile - 1 ? static_cast<int>(high + 1.f) - 1 : kTile - 1;  // high >= -1: the tile was hit
  span.first_half = f.x - f.reach_x > left + 7.5f;
  span.last_half = f.x + f.reach_x >= left + 8.5f;
  return span;
}

// The part of the exponent that a row shares, and where its ridge lies.
struct RowTerms {
  float peak;   // log2 alpha on the ridge
  float ridge;  // px, from the tile's left edge
  float dy;
};

static inline RowTerms row_terms(const Footprint& f, float left, float py) {
  const float dy = py - f.y;
  return {f.log2_opacity - f.across * dy * dy, (f.x - left) + f.shear * dy, dy};
}

template <typename Lanes>
static inline bool row_finished(const TilePixels& pixels, int row) {
  const Lanes a = Lanes::load(pixels.transmittance + row * kTile);
  const Lanes b = Lanes::load(pixels.transmittance + row * kTile + 8);
  return (Lanes::bits(a) & Lanes::bits(b)) == 0xffu;
}

// Bit r of the result: row r still has a pixel to draw.
template <typename Lanes>
static inline unsigned unfinished_rows(const TilePixels& pixels) {
  unsigned rows = 0;
  for (int row = 0; row < kTile; ++row)
    if (!row_finished<Lanes>(pixels, row)) rows |= 1u << row;
  return rows;
}

constexpr float kExp2[6] = {1.0000001192f, 0.6931469440f, 0.2402212024f,
                            0.0555071309f, 0.0096755419f, 0.0013276472f};

// 2^x for x in [-126, 126], relative error below 3e-7: round to the nearest integer by adding 1.5 * 2^23, then a
// least-maximum-error polynomial on [-1/2, 1/2].
template <typename Lanes>
static inline Lanes exp2_lanes(Lanes x) {
  const Lanes magic = Lanes::splat(12582912.f);
  const Lanes shifted = x + magic;
  const Lanes f = x - (shifted - magic);
  Lanes p = Lanes::splat(kExp2[5]);
  for (int i = 4; i >= 0; --i) p = Lanes::fma(p, f, Lanes::splat(kExp2[i]));
  return Lanes::scale_by_power(p, shifted);
}

// Blends footprints[ids[0..count)], nearest first, into a tile whose top left corner is (left, top) px.
template <typename Lanes>
static void blend_tile(const Footprint* footprints, const uint32_t* ids, int64_t count, float left, float top,
                       TilePixels* pixels) {
  const Lanes centres[2] = {Lanes::ramp(0.5f), Lanes::ramp(8.5f)};
  const Lanes threshold = Lanes::splat(kLog2MinAlpha), one = Lanes::splat(1.f);
  unsigned unfinished = unfinished_rows<Lanes>(*pixels);
  for (int64_t i = 0; i < count && unfinished; ++i) {
    if (i + 8 < count) __builtin_prefetch(footprints + ids[i + 8]);
    const Footprint& f = footprints[ids[i]];
    const TileSpan span = span_in_tile(f, left, top);
    const Lanes along = Lanes::splat(f.along);
    const Lanes red = Lanes::splat(f.rgb[0]), green = Lanes::splat(f.rgb[1]), blue = Lanes::splat(f.rgb[2]);
    for (int row = span.first_row; row <= span.last_row; ++row) {
      if (!(unfinished >> row & 1)) continue;
      const RowTerms terms = row_terms(f, left, top + static_cast<float>(row) + 0.5f);
      const Lanes peak = Lanes::splat(terms.peak), ridge = Lanes::splat(terms.ridge);
      bool finished_some = false;
      for (int half = span.first_half; half <= span.last_half; ++half) {
        const int at = row * kTile + half * 8;
        const Lanes across = centres[half] - ridge;
        const Lanes exponent = Lanes::fnma(along * across, across, peak);
        const Lanes before = Lanes::load(pixels->transmittance + at);
        const Lanes touched = Lanes::where_positive(Lanes::not_less(exponent, threshold), before);
        if (!Lanes::bits(touched)) continue;
        const Lanes alpha = Lanes::min(exp2_lanes(exponent), Lanes::splat(kMaxAlpha));
        const Lanes after = before * (one - alpha);
        const Lanes drawn = Lanes::both(touched, Lanes::less(Lanes::splat(kMinTransmittance), after));
        const Lanes weight = Lanes::both(alpha * before, drawn);
        Lanes::fma(weight, red, Lanes::load(pixels->r + at)).store(pixels->r + at);
        Lanes::fma(weight, green, Lanes::load(pixels->g + at)).store(pixels->g + at);
        Lanes::fma(weight, blue, Lanes::load(pixels->b + at)).store(pixels->b + at);
        Lanes::select(drawn, after, Lanes::negative_where(touched, before)).store(pixels->transmittance + at);
        finished_some |= Lanes::bits(touched) != Lanes::bits(drawn);
      }
      if (finished_some && row_finished<Lanes>(*pixels, row)) unfinished &= ~(1u << row);
    }
  }
}

// The sums of one splat over the pixels of one tile, lane by lane.
template <typename Lanes>
struct LaneSums {
  Lanes values[16];  // moments, then weight
  Lanes weight_squared, weight_max;

  inline void clear() {
    const Lanes zero = Lanes::splat(0.f);
    for (Lanes& value : values) value = zero;
    weight_squared = weight_max = zero;
  }

  inline void add_to(PixelSums* out) const {
    float sums[16], squares[8], largest[8];
    Lanes::sum_each(values, sums);
    Lanes::sum_each(values + 8, sums + 8);
    weight_squared.store_anywhere(squares);
    weight_max.store_anywhere(largest);
    for (int m = 0; m < kMoments; ++m) out->moments[m] += sums[m];
    out->weight += sums[kMoments];
    for (int lane = 0; lane < 8; ++lane) {
      out->weight_squared += squares[lane];
      if (largest[lane] > out->weight_max) out->weight_max = largest[lane];
    }
  }
};

// Blends 8 pixels and gathers what they say about the splat. Powers of u1 go to row[0..5). False if nothing was
// drawn.
template <typename Lanes>
static inline bool measure_pixels(const Footprint& f, Lanes across, Lanes peak, float u1_scale, int at,
                                  MeasuredTile* tile, Lanes* row, LaneSums<Lanes>* sums) {
  TilePixels* pixels = &tile->pixels;
  const Lanes exponent = Lanes::fnma(Lanes::splat(f.along) * across, across, peak);
  const Lanes before = Lanes::load(pixels->transmittance + at);
  const Lanes touched = Lanes::where_positive(Lanes::not_less(exponent, Lanes::splat(kLog2MinAlpha)), before);
  if (!Lanes::bits(touched)) return false;
  const Lanes free_alpha = exp2_lanes(exponent);
  const Lanes alpha = Lanes::min(free_alpha, Lanes::splat(kMaxAlpha));
  const Lanes after = before * (Lanes::splat(1.f) - alpha);
  const Lanes drawn = Lanes::both(touched, Lanes::less(Lanes::splat(kMinTransmittance), after));
  Lanes::select(drawn, after, Lanes::negative_where(touched, before)).store(pixels->transmittance + at);
  const Lanes weight = Lanes::both(alpha * before, drawn);
  // d colour / d ln alpha = weight * (colour - colour behind); none where alpha is held at its limit.
  const Lanes uncover = Lanes::both(weight / after, drawn);
  float* const planes[3] = {pixels->r, pixels->g, pixels->b};
  // What shows of the background in the end holds 1 - alpha as a factor, so it falls by this part of itself.
  const Lanes unsure = uncover * Lanes::load(tile->unsure + at);
  Lanes square = unsure * unsure;
  for (int c = 0; c < 3; ++c) {
    const Lanes own = weight * Lanes::splat(f.rgb[c]);
    const Lanes behind = Lanes::load(planes[c] + at) - own;
    behind.store(planes[c] + at);
    const Lanes change = Lanes::fnma(uncover, behind, own);
    square = Lanes::fma(change, change, square);
  }
  square = Lanes::both(square, Lanes::less(free_alpha, Lanes::splat(kMaxAlpha)));
  const Lanes u1 = across * Lanes::splat(u1_scale);
  for (int power = 0; power < 5; ++power) {
    row[power] = row[power] + square;
    square = square * u1;
  }
  sums->values[kMoments] = sums->values[kMoments] + weight;
  sums->weight_squared = Lanes::fma(weight, weight, sums->weight_squared);
  sums->weight_max = Lanes::max(sums->weight_max, weight);
  return true;
}

// Adds to sums[ids[i]] what this tile says about each splat. Transmittances are as blend_tile() starts, r, g, b
// the finished colours of the tile.
template <typename Lanes>
static void measure_tile(const Footprint* footprints, const uint32_t* ids, int64_t count, float left, float top,
                         MeasuredTile* tile, PixelSums* sums) {
  const Lanes centres[2] = {Lanes::ramp(0.5f), Lanes::ramp(8.5f)};
  unsigned unfinished = unfinished_rows<Lanes>(tile->pixels);
  for (int64_t i = 0; i < count && unfinished; ++i) {
    if (i + 8 < count) __builtin_prefetch(footprints + ids[i + 8]);
    const Footprint& f = footprints[ids[i]];
    const TileSpan span = span_in_tile(f, left, top);
    const Whitening scale = whitening(f);
    LaneSums<Lanes> total;
    total.clear();
    bool drawn = false;
    for (int row = span.first_row; row <= span.last_row; ++row) {
      if (!(unfinished >> row & 1)) continue;
      const RowTerms terms = row_terms(f, left, top + static_cast<float>(row) + 0.5f);
      const Lanes peak = Lanes::splat(terms.peak), ridge = Lanes::splat(terms.ridge);
      Lanes powers[5] = {Lanes::splat(0.f), Lanes::splat(0.f), Lanes::splat(0.f), Lanes::splat(0.f),
                         Lanes::splat(0.f)};
      bool row_drawn = false;
      for (int half = span.first_half; half <= span.last_half; ++half)
        row_drawn |=
            measure_pixels(f, centres[half] - ridge, peak, scale.u1, row * kTile + half * 8, tile, powers, &total);
      if (!row_drawn) continue;
      drawn = true;
      Lanes u2_power = Lanes::splat(1.f);
      const Lanes u2 = Lanes::splat(scale.u2 * terms.dy);
      for (int j = 0, m = 0; j < 5; ++j, u2_power = u2_power * u2)
        for (int p = 0; p + j < 5; ++p, ++m) total.values[m] = Lanes::fma(powers[p], u2_power, total.values[m]);
      if (row_finished<Lanes>(tile->pixels, row)) unfinished &= ~(1u << row);
    }
    if (drawn) total.add_to(sums + ids[i]);
  }
}

// Footprints of splats [begin, end), each at its own index; those that can be seen are listed in `visible`.
template <typename Lanes>
static VisibleCount make_footprints(const SplatArrays& splats, int64_t begin, int64_t end, const Pinhole& camera,
                                    Footprint* footprints, DepthKey* visible) {
  VisibleCount found{0, 0};
  for (int64_t i = begin; i < end; ++i) {
    if (!make_footprint(splats, i, camera, footprints + i)) continue;
    DepthKey& key = visible[found.splats++];
    __builtin_memcpy(&key.depth, &footprints[i].depth, 4);
    key.splat = static_cast<uint32_t>(i);
    found.tiles += footprints[i].tiles;
  }
  return found;
}

// Lists the tiles that each of `splats` touches, in the same order; counts[t] grows by those of tile t. The list
// must have room for the sum of Footprint::tiles. Returns its length.
template <typename Lanes>
static int64_t list_tiles(const Footprint* footprints, const uint32_t* splats, int64_t count, int columns,
                          int rows, TileEntry* list, int64_t* counts) {
  int64_t length = 0;
  for (int64_t i = 0; i < count; ++i) {
    if (i + 8 < count) __builtin_prefetch(footprints + splats[i + 8]);
    const Footprint& f = footprints[splats[i]];
    const TileRange row_range = tile_rows(f, rows), box = tile_columns(f, columns);
    const bool exact = row_range.end - row_range.begin > 1 && box.end - box.begin > 1;
    for (int row = row_range.begin; row < row_range.end; ++row) {
      const TileRange range = exact ? tile_columns_in_row(f, row, columns) : box;
      for (int column = range.begin; column < range.end; ++column) {
        const uint32_t tile = static_cast<uint32_t>(row * columns + column);
        ++counts[tile];
        list[length++] = {tile, splats[i]};
      }
    }
  }
  return length;
}

}  // namespace scenepress
