// The inner loops of the CPU rasteriser, written once over a type of 8 float lanes: AVX2+FMA or portable.
// A column of a tile is two such vectors: a lane keeps its row, and with it all that a row has of a splat, while
// the loops go from column to column.
//
// Comparisons give masks of all ones or zeros; bits() gathers the sign bits, lane 0 lowest; fma(a, b, c) is a b +
// c and fnma(a, b, c) is c - a b, fused or not.
#pragma once

#include "core/blend.h"
#include "core/sensitivity.h"
#include "cpu/raster.h"

namespace scenepress {

constexpr int kTilePixels = kTile * kTile;

// The pixels of one tile, column by column. Transmittance is negative where the pixel is finished (its size
// remains that of the last splat blended) or lies outside the image.
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

// Columns, and halves of a column, of a tile that a footprint may touch.
struct TileSpan {
  unsigned columns;           // bit c: column c
  int first_half, last_half;  // inclusive
};

static inline TileSpan span_in_tile(const Footprint& f, float left, float top) {
  const float low = f.x - f.reach_x - left - 0.5f, high = f.x + f.reach_x - left - 0.5f;
  const int first = low > 0.f ? static_cast<int>(low) + (low > static_cast<float>(static_cast<int>(low))) : 0;
  const int end = high < kTile - 1 ? static_cast<int>(high + 1.f) : kTile;  // high >= -1: the tile was hit
  return {(1u << end) - (1u << first), f.y - f.reach_y > top + 7.5f, f.y + f.reach_y >= top + 8.5f};
}

// What 8 rows of a tile have of a footprint: log2 alpha(column) = peak - along * (column - ridge)^2.
template <typename Lanes>
struct RowTerms {
  Lanes peak;
  Lanes ridge;  // px, from the tile's left edge
  Lanes dy;
};

// py: centres of the rows.
template <typename Lanes>
static inline RowTerms<Lanes> row_terms(const Footprint& f, float left, Lanes py) {
  const Lanes dy = py - Lanes::splat(f.y);
  return {Lanes::fnma(Lanes::splat(f.across) * dy, dy, Lanes::splat(f.log2_opacity)),
          Lanes::fma(Lanes::splat(f.shear), dy, Lanes::splat(f.x - left)), dy};
}

static inline float column_centre(int column) { return static_cast<float>(column) + 0.5f; }

template <typename Lanes>
static inline bool column_finished(const float* transmittance, int column) {
  const Lanes a = Lanes::load(transmittance + column * kTile);
  const Lanes b = Lanes::load(transmittance + column * kTile + 8);
  return (Lanes::bits(a) & Lanes::bits(b)) == 0xffu;
}

// Bit c of the result: column c still has a pixel to draw.
template <typename Lanes>
static inline unsigned unfinished_columns(const float* transmittance) {
  unsigned columns = 0;
  for (int column = 0; column < kTile; ++column)
    if (!column_finished<Lanes>(transmittance, column)) columns |= 1u << column;
  return columns;
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
  const Lanes rows[2] = {Lanes::ramp(top + 0.5f), Lanes::ramp(top + 8.5f)};
  const Lanes threshold = Lanes::splat(kLog2MinAlpha), one = Lanes::splat(1.f);
  unsigned unfinished = unfinished_columns<Lanes>(pixels->transmittance);
  for (int64_t i = 0; i < count && unfinished; ++i) {
    if (i + 8 < count) __builtin_prefetch(footprints + ids[i + 8]);
    const Footprint& f = footprints[ids[i]];
    const TileSpan span = span_in_tile(f, left, top);
    const Lanes along = Lanes::splat(f.along);
    const Lanes red = Lanes::splat(f.rgb[0]), green = Lanes::splat(f.rgb[1]), blue = Lanes::splat(f.rgb[2]);
    for (int half = span.first_half; half <= span.last_half; ++half) {
      const RowTerms<Lanes> terms = row_terms(f, left, rows[half]);
      for (unsigned columns = span.columns & unfinished; columns; columns &= columns - 1) {
        const int column = __builtin_ctz(columns), at = column * kTile + half * 8;
        const Lanes across = Lanes::splat(column_centre(column)) - terms.ridge;
        const Lanes exponent = Lanes::fnma(along * across, across, terms.peak);
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
        const bool finished_some = Lanes::bits(touched) != Lanes::bits(drawn);
        if (finished_some && column_finished<Lanes>(pixels->transmittance, column)) unfinished &= ~(1u << column);
      }
    }
  }
}

// The sums of one splat over 8 rows of a tile, a row a lane.
template <typename Lanes>
struct RowSums {
  Lanes powers[5];  // of squared changes times u1^p
  Lanes weight, weight_squared, weight_max;

  inline void clear() {
    for (Lanes& power : powers) power = Lanes::splat(0.f);
    weight = weight_squared = weight_max = Lanes::splat(0.f);
  }

  inline void add_to(Lanes u2, PixelSums* out) const {
    Lanes values[16];  // moments, then weight
    Lanes u2_power = Lanes::splat(1.f);
    for (int j = 0, m = 0; j < 5; ++j, u2_power = u2_power * u2)
      for (int p = 0; p + j < 5; ++p, ++m) values[m] = powers[p] * u2_power;
    values[kMoments] = weight;
    float sums[16];
    Lanes::sum_each(values, sums);
    Lanes::sum_each(values + 8, sums + 8);
    for (int m = 0; m < kMoments; ++m) out->moments[m] += sums[m];
    out->weight += sums[kMoments];
    out->weight_squared += Lanes::sum(weight_squared);
    out->weight_max = larger(Lanes::largest(weight_max), out->weight_max);
  }
};

// Blends 8 pixels and gathers what they say about the splat. `across`: px from the ridge; u1_scale: what makes u1
// of it. Sets *touched and *drawn to the pixels that the splat would draw and to those it did, a bit each.
template <typename Lanes>
static inline void measure_pixels(const Footprint& f, Lanes across, Lanes peak, float u1_scale, int at,
                                  MeasuredTile* tile, RowSums<Lanes>* sums, unsigned* touched_bits,
                                  unsigned* drawn_bits) {
  TilePixels* pixels = &tile->pixels;
  const Lanes exponent = Lanes::fnma(Lanes::splat(f.along) * across, across, peak);
  const Lanes before = Lanes::load(pixels->transmittance + at);
  const Lanes touched = Lanes::where_positive(Lanes::not_less(exponent, Lanes::splat(kLog2MinAlpha)), before);
  *touched_bits = *drawn_bits = Lanes::bits(touched);
  if (!*touched_bits) return;
  const Lanes free_alpha = exp2_lanes(exponent);
  const Lanes alpha = Lanes::min(free_alpha, Lanes::splat(kMaxAlpha));
  const Lanes after = before * (Lanes::splat(1.f) - alpha);
  const Lanes drawn = Lanes::both(touched, Lanes::less(Lanes::splat(kMinTransmittance), after));
  *drawn_bits = Lanes::bits(drawn);
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
  const Lanes u1 = Lanes::both(across * Lanes::splat(u1_scale), drawn);  // far from the ellipse it may be infinite
  for (Lanes& power : sums->powers) {
    power = power + square;
    square = square * u1;
  }
  sums->weight = sums->weight + weight;
  sums->weight_squared = Lanes::fma(weight, weight, sums->weight_squared);
  sums->weight_max = Lanes::max(sums->weight_max, weight);
}

// Adds to sums[ids[i]] what this tile says about each splat. Transmittances are as blend_tile() starts, r, g, b
// the finished colours of the tile.
template <typename Lanes>
static void measure_tile(const Footprint* footprints, const uint32_t* ids, int64_t count, float left, float top,
                         MeasuredTile* tile, PixelSums* sums) {
  const Lanes rows[2] = {Lanes::ramp(top + 0.5f), Lanes::ramp(top + 8.5f)};
  unsigned unfinished = unfinished_columns<Lanes>(tile->pixels.transmittance);
  for (int64_t i = 0; i < count && unfinished; ++i) {
    if (i + 8 < count) {
      __builtin_prefetch(footprints + ids[i + 8]);
      __builtin_prefetch(&sums[ids[i + 8]].moments, 1);
      __builtin_prefetch(&sums[ids[i + 8]].weight_max, 1);
    }
    const Footprint& f = footprints[ids[i]];
    const TileSpan span = span_in_tile(f, left, top);
    const Whitening scale = whitening(f);
    for (int half = span.first_half; half <= span.last_half; ++half) {
      const RowTerms<Lanes> terms = row_terms(f, left, rows[half]);
      RowSums<Lanes> own;
      own.clear();
      unsigned drawn_some = 0;
      for (unsigned columns = span.columns & unfinished; columns; columns &= columns - 1) {
        const int column = __builtin_ctz(columns);
        unsigned touched, drawn;
        measure_pixels(f, Lanes::splat(column_centre(column)) - terms.ridge, terms.peak, scale.u1,
                       column * kTile + half * 8, tile, &own, &touched, &drawn);
        drawn_some |= drawn;
        if (touched != drawn && column_finished<Lanes>(tile->pixels.transmittance, column))
          unfinished &= ~(1u << column);
      }
      if (drawn_some) own.add_to(Lanes::splat(scale.u2) * terms.dy, sums + ids[i]);
    }
  }
}

// Adds what one view says about splats [begin, end) to their rows of out[kSensitivities].
template <typename Lanes>
static void add_sums(const SplatArrays& splats, const SplatShape* shapes, int64_t begin, int64_t end,
                     const Pinhole& camera, const PixelSums* sums, double* out) {
  ShapeChanges changes{};
  for (int64_t i = begin; i < end; ++i) {
    const PixelSums& own = sums[i];
    if (!(own.weight > 0.f)) continue;
    double* row = out + i * kSensitivities;
    row[0] += own.weight;
    row[1] += own.weight_squared;
    if (own.weight_max > row[2]) row[2] = own.weight_max;
    row[3] += own.moments[0];
    Ellipse ellipse;
    if (!shape_changes(shapes[i], splats.means + 3 * i, camera, &ellipse, &changes)) continue;
    alignas(32) float squares[kShapeLanes];
    for (int k = 0; k < kShapeLanes; k += 8) {
      const EllipseChange<Lanes> some{Lanes::load(changes.x + k), Lanes::load(changes.y + k),
                                      Lanes::load(changes.c00 + k), Lanes::load(changes.c01 + k),
                                      Lanes::load(changes.c11 + k)};
      const LogAlphaSlope<Lanes> slopes = log_alpha_slope(ellipse, camera.low_pass, splats.antialiased, some);
      Lanes::max(square_against_moments(slopes, own.moments), Lanes::splat(0.f)).store(squares + k);
    }
    for (int slot = 0; slot < kShapeSlots; ++slot) row[4 + slot] += squares[slot];
  }
}

// Footprints of splats [begin, end), each at its own index; those that can be seen are listed in `visible`.
// shapes: of all splats, or null: then they are made here.
template <typename Lanes>
static VisibleCount make_footprints(const SplatArrays& splats, const SplatShape* shapes, int64_t begin,
                                    int64_t end, const Pinhole& camera, Footprint* footprints, DepthKey* visible) {
  VisibleCount found{0, 0};
  for (int64_t i = begin; i < end; ++i) {
    double point[3];
    if (!to_camera(camera, splats.means + 3 * i, point)) continue;
    SplatShape own;
    if (!shapes) shape_of(splats, i, &own);
    if (!make_footprint(splats, i, shapes ? shapes[i] : own, point, camera, footprints + i)) continue;
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
