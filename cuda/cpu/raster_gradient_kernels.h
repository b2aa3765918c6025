// The inner loop of the rasteriser's backward pass, written once over 8 float lanes as in raster_kernels.h.
#pragma once

#include "core/gradient.h"
#include "cpu/raster_kernels.h"

namespace scenepress {

// The pixels of one tile on the way back. `behind` is dL / d pixel times what is still to come at the pixel: the
// colours behind, background included, and, for dL / d alpha, the opacity behind.
struct TileGradients {
  alignas(32) float transmittance[kTilePixels];  // as in TilePixels
  alignas(32) float behind[kTilePixels];
  alignas(32) float r[kTilePixels], g[kTilePixels], b[kTilePixels];  // dL / d colour
  alignas(32) float alpha[kTilePixels];                              // dL / d alpha
};

// Sums of one splat over half a tile, lane by lane: of s, s a, s a^2, and of weight times dL / d colour.
template <typename Lanes>
struct LaneGradients {
  Lanes powers[3];
  Lanes color[3];

  inline void clear() {
    for (int k = 0; k < 3; ++k) powers[k] = color[k] = Lanes::splat(0.f);
  }
  // Adds the kGradientSums to out; dy: of the rows, px.
  inline void add_to(Lanes dy, float* out) const {
    const Lanes all[8] = {powers[0],      powers[1],           powers[2], powers[0] * dy,
                          powers[1] * dy, powers[0] * dy * dy, color[0],  color[1]};
    float sums[8];
    Lanes::sum_each(all, sums);
    for (int k = 0; k < 8; ++k) out[k] += sums[k];
    out[8] += Lanes::sum(color[2]);
  }
};

// Blends 8 pixels again, and gathers what they ask of the splat. touched, drawn: bits of the pixels.
template <typename Lanes>
static inline void differentiate_pixels(const Footprint& f, Lanes across, Lanes peak, int at,
                                        TileGradients* pixels, LaneGradients<Lanes>* sums, unsigned* touched_bits,
                                        unsigned* drawn_bits) {
  const Lanes exponent = Lanes::fnma(Lanes::splat(f.along) * across, across, peak);
  const Lanes before = Lanes::load(pixels->transmittance + at);
  const Lanes touched = Lanes::where_positive(Lanes::not_less(exponent, Lanes::splat(kLog2MinAlpha)), before);
  *touched_bits = *drawn_bits = Lanes::bits(touched);
  if (!*touched_bits) return;
  const Lanes free_alpha = exp2_lanes(exponent);
  const Lanes alpha = Lanes::min(free_alpha, Lanes::splat(kMaxAlpha));
  const Lanes through = Lanes::splat(1.f) - alpha, after = before * through;
  const Lanes drawn = Lanes::both(touched, Lanes::less(Lanes::splat(kMinTransmittance), after));
  *drawn_bits = Lanes::bits(drawn);
  Lanes::select(drawn, after, Lanes::negative_where(touched, before)).store(pixels->transmittance + at);
  const Lanes weight = Lanes::both(alpha * before, drawn);
  const Lanes red = Lanes::load(pixels->r + at), green = Lanes::load(pixels->g + at),
              blue = Lanes::load(pixels->b + at);
  Lanes own = Lanes::fma(red, Lanes::splat(f.rgb[0]), Lanes::load(pixels->alpha + at));
  own = Lanes::fma(green, Lanes::splat(f.rgb[1]), own);
  own = weight * Lanes::fma(blue, Lanes::splat(f.rgb[2]), own);
  const Lanes behind = Lanes::load(pixels->behind + at) - own;
  behind.store(pixels->behind + at);
  sums->color[0] = Lanes::fma(weight, red, sums->color[0]);
  sums->color[1] = Lanes::fma(weight, green, sums->color[1]);
  sums->color[2] = Lanes::fma(weight, blue, sums->color[2]);
  // A little more ln alpha shows more of the splat, and less of what is behind; nothing where alpha is held.
  const Lanes free = Lanes::both(drawn, Lanes::less(free_alpha, Lanes::splat(kMaxAlpha)));
  const Lanes s = Lanes::both(Lanes::fnma(alpha / through, behind, own), free), first = s * across;
  sums->powers[0] = sums->powers[0] + s;
  sums->powers[1] = sums->powers[1] + first;
  sums->powers[2] = Lanes::fma(first, across, sums->powers[2]);
}

// Writes kGradientSums floats for each of ids[0..count) to sums, in that order.
template <typename Lanes>
static void differentiate_tile(const Footprint* footprints, const uint32_t* ids, int64_t count, float left,
                               float top, TileGradients* pixels, float* sums) {
  const Lanes rows[2] = {Lanes::ramp(top + 0.5f), Lanes::ramp(top + 8.5f)};
  unsigned unfinished = unfinished_columns<Lanes>(pixels->transmittance);
  for (float* out = sums; out < sums + kGradientSums * count; ++out) *out = 0.f;
  for (int64_t i = 0; i < count && unfinished; ++i) {
    if (i + 8 < count) __builtin_prefetch(footprints + ids[i + 8]);
    const Footprint& f = footprints[ids[i]];
    const TileSpan span = span_in_tile(f, left, top);
    for (int half = span.first_half; half <= span.last_half; ++half) {
      const RowTerms<Lanes> terms = row_terms(f, left, rows[half]);
      LaneGradients<Lanes> own;
      own.clear();
      unsigned drawn_some = 0;
      for (unsigned columns = span.columns & unfinished; columns; columns &= columns - 1) {
        const int column = __builtin_ctz(columns);
        unsigned touched, drawn;
        differentiate_pixels(f, Lanes::splat(column_centre(column)) - terms.ridge, terms.peak,
                             column * kTile + half * 8, pixels, &own, &touched, &drawn);
        drawn_some |= drawn;
        if (touched != drawn && column_finished<Lanes>(pixels->transmittance, column))
          unfinished &= ~(1u << column);
      }
      if (drawn_some) own.add_to(terms.dy, sums + kGradientSums * i);
    }
  }
}

}  // namespace scenepress
