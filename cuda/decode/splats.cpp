#include "decode/splats.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>

#include "core/bits.h"
#include "cpu/context.h"
#include "cpu/dequantise.h"
#include "cpu/learned.h"
#include "cpu/position.h"
#include "cpu/sh_planes.h"
#include "cpu/shape.h"
#include "cpu/splat_levels.h"
#include "decode/container.h"

namespace scenepress {
namespace {

constexpr int kDepth = 21, kMaxSpreads = 16, kLogits = 4096, kShiftBounds = kExtentGroups + 1;
constexpr int kShBounds[kShiftBounds] = {0, 1, 2, 3, 4, 5, 6, 8, 10, 12, 15, 19, 24, 30, 37, 45};

// Logit of opacity value -i: rounded once from doubles that are far from any tie.
const std::vector<float>& logits() {
  static const std::vector<float> table = [] {
    std::vector<float> made(kLogits);
    made[0] = 9.0f;
    for (int i = 1; i < kLogits; ++i) {
      const double opacity = std::exp2(-i / 256.0);
      made[static_cast<size_t>(i)] = static_cast<float>(std::log(opacity / (1 - opacity)));
    }
    return made;
  }();
  return table;
}

int depth_of(int bits, int cell) { return std::clamp(bits - cell, 0, kDepth); }

int width_of(uint32_t total) {
  int width = 0;
  for (uint32_t v = total ? total - 1 : 0; v; v >>= 1) ++width;
  return width;
}

void check_unused_bits(Bytes payload, uint64_t bits) {
  if (bits % 8 && payload.data[payload.size - 1] >> (bits % 8)) refuse("bits set after the last one");
}

// Room whose bytes are written before they are read.
template <typename T>
std::unique_ptr<T[]> room(size_t n) {
  return std::unique_ptr<T[]>(new T[n]);
}

void set_steps(const std::vector<uint8_t>& codes, const uint8_t* classes, size_t n, int32_t* steps) {
  int32_t by_class[kMaxClasses] = {};
  for (size_t c = 0; c < codes.size(); ++c) by_class[c] = step_of(codes[c]);
  for (size_t i = 0; i < n; ++i) steps[i] = by_class[classes[i]];
}

}  // namespace

ContextModel::ContextModel(Bytes file) {
  const size_t weights = size_t{kChannels} * kHidden * kFeatures, biases = size_t{kChannels} * kHidden;
  if (file.size != weights + 4 * biases) refuse("the learned context model has a wrong length");
  hidden.resize(weights);
  bias.resize(biases);
  std::memcpy(hidden.data(), file.data, weights);
  std::memcpy(bias.data(), file.data + weights, 4 * biases);
}

struct TileDecoder::Here {
  int level;
  size_t first, n;
  int cell;                       // log2 of the cells' edge
  int up;                         // from the bits of a cell's code to 63
  std::vector<uint64_t> codes;    // of 63 bits
  std::vector<int32_t> near;      // [n, 2], or none
  std::vector<int32_t> near_all;  // [n, kNearest], and the logarithms of their distances, for a learned model
  std::vector<int32_t> far;
  std::vector<int32_t> logs;     // [3, n]
  std::vector<int8_t> features;  // [kFeatures, n]

  const int32_t* neighbours() const { return near.empty() ? nullptr : near.data(); }
};

TileDecoder::TileDecoder(const SplatParameters& parameters, const ContextModel& model, const TileBox& box,
                         size_t capacity)
    : p_(parameters), model_(model), box_(box), capacity_(capacity), sh_(parameters.columns ? capacity : 0) {
  if (capacity > kPositionMaxCount)
    refuse("a tile claims " + std::to_string(capacity) + " splats; the limit is " +
           std::to_string(kPositionMaxCount));
  values_ = room<int32_t>(kChannels * capacity);
  logs_ = room<int32_t>(p_.model ? 3 * capacity : 0);
  classes_ = room<uint8_t>(capacity);
  extents_ = room<uint8_t>(capacity);
}

void TileDecoder::level(int level, size_t n, const LevelPayloads& payloads, uint32_t kept,
                        const SplatArrays& out) {
  if (n > capacity_ - filled_ || level < 0 || level >= p_.levels) refuse("a level that the tile has no room for");
  Here here{level, filled_, n, 0, 0, {}, {}, {}, {}, {}, {}};
  place(here, payloads.stages[kPosition - kOrder]);
  order(here, payloads.stages[0], kept, out.indices);
  attributes(here, payloads, out);
  harmonics(here, payloads.stages[kSh - kOrder], out.shN);
  if (filled_ + n < capacity_) merge(here);  // Nobody asks for the neighbours of the last.
  filled_ += n;
}

void TileDecoder::place(Here& here, Bytes payload) {
  const int depth = depth_of(box_.bits, p_.cells[static_cast<size_t>(here.level)]), up = 3 * (kDepth - depth);
  here.cell = box_.bits - depth, here.up = up;
  std::vector<uint64_t> coarse(codes_.size());
  for (size_t i = 0; i < coarse.size(); ++i) coarse[i] = codes_[i] >> up;
  here.codes.resize(here.n);
  const PositionResult result = decode_positions_cpu(payload.data, payload.size, here.codes.data(), here.n,
                                                     coarse.data(), coarse.size(), 3 * depth);
  if (result != PositionResult::kExact)
    refuse("position payload of " + std::to_string(payload.size) + " bytes does not hold exactly its " +
           std::to_string(here.n) + " codes: damaged or cut off");
  const uint64_t middle = depth < kDepth ? uint64_t{7} << (up - 3) : 0;
  for (uint64_t& code : here.codes) code = code << up | middle;
  if (codes_.empty()) return;
  const auto known = static_cast<int64_t>(codes_.size()), n = static_cast<int64_t>(here.n);
  here.near.resize(2 * here.n);
  if (!p_.model) {
    neighbours(here.codes.data(), n, codes_.data(), known, here.near.data());
    for (int32_t& at : here.near) at = columns_[static_cast<size_t>(at)];
    return;
  }
  here.far.resize(kNearest * here.n);
  here.near_all.resize(kNearest * here.n);
  nearest(here.codes.data(), n, codes_.data(), known, here.near_all.data(), here.far.data());
  for (int32_t& at : here.near_all) at = columns_[static_cast<size_t>(at)];
  for (size_t i = 0; i < here.n; ++i)
    for (size_t k = 0; k < 2; ++k) here.near[2 * i + k] = here.near_all[kNearest * i + k];
  here.features.resize(kFeatures * here.n);
}

void TileDecoder::order(Here& here, Bytes payload, uint32_t kept, int32_t* indices) {
  const auto level = static_cast<size_t>(here.level);
  const int lowest = level ? p_.bounds[level - 1] + 1 : 0, highest = p_.bounds[level];
  uint8_t* classes = classes_.get() + here.first;
  ByteReader reader(payload);
  const uint64_t length = reader.varint();
  if (length > reader.left()) refuse("order: its classes end after its payload");
  const Bytes coded{reader.rest().data, static_cast<size_t>(length)};
  reader.skip(coded.size);
  if (highest > lowest) {
    std::vector<uint8_t> contexts(here.n);
    for (size_t i = 0; i < here.n && !here.near.empty(); ++i) {
      const int a = classes_[static_cast<size_t>(here.near[2 * i])];
      const int b = classes_[static_cast<size_t>(here.near[2 * i + 1])];
      contexts[i] = static_cast<uint8_t>(1 + 4 * a + std::min(std::abs(a - b), 3));
    }
    const uint8_t top = *std::max_element(contexts.begin(), contexts.end());
    if (!p_.order_tables || top >= p_.order_tables->contexts)
      refuse("a plane needs an entropy table that the splat parameters do not have");
    RansDecoder decoder(coded.data, coded.size, false);
    std::vector<int32_t> values(here.n);
    decoder.values(*p_.order_tables, contexts.data(), here.n, false, values.data());
    decoder.finish();
    for (size_t i = 0; i < here.n; ++i) {
      if (values[i] > highest - lowest) refuse("order: a class beyond the last of its level");
      classes[i] = static_cast<uint8_t>(lowest + values[i]);
    }
  } else {
    if (length) refuse("order: classes coded in a level that has only one");
    std::memset(classes, lowest, here.n);
  }
  const Bytes rest = reader.rest();
  if (!p_.kept_order) {
    if (rest.size) refuse("order: " + std::to_string(rest.size) + " bytes too many");
    return;
  }
  const int width = width_of(kept);
  const uint64_t bits = uint64_t{here.n} * static_cast<uint64_t>(width);
  if (rest.size != (bits + 7) / 8) refuse("order: its source indices have a wrong length");
  check_unused_bits(rest, bits);
  for (size_t i = 0; i < here.n; ++i) {
    const uint32_t index = get_bits(rest.data, static_cast<int64_t>(i) * width, width);
    if (index >= kept) refuse("order: source index " + std::to_string(index) + " of " + std::to_string(kept));
    indices[i] = static_cast<int32_t>(index);
  }
}

void TileDecoder::channels(Here& here, Bytes payload, int first, int count, const int32_t* const* steps) {
  RansDecoder decoder(payload.data, payload.size, false);
  for (int k = 0; k < count; ++k) channel(here, decoder, first + k, steps[k]);
  decoder.finish();
}

void TileDecoder::channel(Here& here, RansDecoder& decoder, int channel, const int32_t* steps) {
  const auto c = static_cast<size_t>(channel);
  const RansTables* tables = p_.channel_tables[c].get();
  if (!tables) refuse("a plane needs an entropy table that the splat parameters do not have");
  const bool near = !here.near.empty();
  const Predictor& predictor = p_.predictors[near][c];
  const Prediction p{values_.get(),
                     static_cast<int64_t>(capacity_),
                     static_cast<int64_t>(here.first),
                     here.neighbours(),
                     channel,
                     kInputs[channel].channels,
                     kInputs[channel].count,
                     predictor.weights.data(),
                     predictor.bias.data(),
                     classes_.get() + here.first,
                     steps};
  if (!p_.model || !p_.listens(channel))
    decode_channel(decoder, *tables, p, static_cast<int64_t>(here.n), values_.get());
  else
    listened(here, decoder, channel, p, *tables);
}

// A channel that the learned model codes, or watches for the sake of later ones.
void TileDecoder::listened(Here& here, RansDecoder& decoder, int channel, const Prediction& p,
                           const RansTables& tables) {
  const auto n = static_cast<int64_t>(here.n);
  const auto c = static_cast<size_t>(channel);
  const Head& head = p_.heads[c];
  const bool near = !here.near.empty(), headed = !head.bias.empty();
  const int spreads = std::min(kMaxSpreads, 80 / p_.classes);
  const LearnedKernels& kernels = learned_kernels(false);
  const SeenLevel seen{n, here.near_all.data(), here.features.data()};
  const auto base = room<int32_t>(here.n), symbols = room<int32_t>(here.n), prediction = room<int32_t>(here.n);
  const auto contexts = room<uint8_t>(here.n), flip = room<uint8_t>(here.n);
  if (near && headed) {
    const Network network{model_.hidden.data() + c * kHidden * kFeatures, model_.bias.data() + c * kHidden,
                          head.weights.data(), head.bias.data(), spreads};
    kernels.predict(p, seen, network, {base.get(), contexts.get(), flip.get(), prediction.get()});
  } else {
    if (near) kernels.linear(p, seen, prediction.get());
    predict(p, n, false, base.get(), contexts.get(), flip.get());
    if (headed)
      for (size_t i = 0; i < here.n; ++i)
        contexts[i] = static_cast<uint8_t>(contexts[i] / kSpreads * spreads + spreads - 1);
  }
  if (*std::max_element(contexts.get(), contexts.get() + here.n) >= tables.contexts)
    refuse("a plane needs an entropy table that the splat parameters do not have");
  decoder.values(tables, contexts.get(), here.n, true, symbols.get());
  int32_t* own = values_.get() + c * capacity_ + here.first;
  reconstruct(base.get(), flip.get(), symbols.get(), p.steps, n, false, own);
  if (near) kernels.residuals(seen, channel, own, prediction.get(), p.steps);
}

// Positions, and all floats but those of SH: in blocks that stay in the nearest cache.
void TileDecoder::finish(const Here& here, Bytes payload, const SplatArrays& out) const {
  constexpr size_t kBlock = 128;
  uint64_t codes[kBlock], bits = 0;
  uint32_t cells[3 * kBlock];
  int32_t logs[3 * kBlock], vectors[3 * kBlock];
  int64_t exponents[3 * kBlock], world[3 * kBlock], offsets[3 * kBlock];
  for (size_t begin = 0; begin < here.n; begin += kBlock) {
    const size_t count = std::min(kBlock, here.n - begin), column = here.first + begin;
    const auto n = static_cast<int64_t>(count);
    for (size_t i = 0; i < count; ++i) codes[i] = here.codes[begin + i] >> here.up;
    morton_cells_cpu(codes, cells, count);
    for (size_t k = 0; k < 3; ++k) {
      std::copy_n(here.logs.data() + k * here.n + begin, count, logs + k * count);
      std::copy_n(values_.get() + (4 + k) * capacity_ + column, count, vectors + k * count);
    }
    position_exponents({p_.offset.data(), p_.classes, p_.slope.data(), p_.reach, here.cell},
                       classes_.get() + column, logs, vectors, n, exponents, world);
    const uint64_t at = bits;
    for (size_t i = 0; i < 3 * count; ++i) {
      if (here.cell - exponents[i] > 32) refuse("position refinement: a field of more than 32 bits");
      bits += static_cast<uint64_t>(here.cell - exponents[i]);
    }
    if (payload.size < (bits + 7) / 8) break;
    refine_positions(payload.data, static_cast<int64_t>(at), cells, exponents, n, here.cell, offsets);
    dequantise_level(
        {values_.get(), static_cast<int64_t>(capacity_), static_cast<int64_t>(column), n, logs, offsets,
         box_.corner, std::ldexp(1.0, p_.exponent), p_.color_matrix.data(), logits().data(), kLogits},
        {out.means + 3 * begin, out.quats + 4 * begin, out.log_scales + 3 * begin, out.opacity_logits + begin,
         out.sh0 + 3 * begin});
  }
  if (payload.size != (bits + 7) / 8)
    refuse("position refinement: " + std::to_string(payload.size) + " bytes for " + std::to_string(bits) +
           " bits or more");
  check_unused_bits(payload, bits);
}

// All but SH.
void TileDecoder::attributes(Here& here, const LevelPayloads& payloads, const SplatArrays& out) {
  const auto n = static_cast<int64_t>(here.n);
  const size_t count = here.n;
  const uint8_t* classes = classes_.get() + here.first;
  const SeenLevel seen{n, here.near_all.data(), here.features.data()};
  const bool watching = p_.model && !here.near.empty();
  if (watching) {
    const TileArrays tile{values_.get(),
                          logs_.get(),
                          classes_.get(),
                          static_cast<int64_t>(capacity_),
                          static_cast<int64_t>(here.first),
                          static_cast<int32_t>(p_.curve.origin)};
    level_features(tile, here.far.data(), seen);
  }
  const auto steps = room<int32_t>(3 * count);
  const int32_t* const same[] = {steps.get(), steps.get(), steps.get()};
  set_steps(p_.scale, classes, count, steps.get());
  channels(here, payloads.stages[kScale - kOrder], 0, 3, same);
  here.logs.resize(3 * count);
  for (size_t k = 0; k < 3; ++k)
    expand_scales(values_.get() + k * capacity_ + here.first, n, p_.curve, here.logs.data() + k * count);
  for (size_t k = 0; k < 3 && p_.model; ++k)
    std::copy_n(here.logs.data() + k * count, count, logs_.get() + k * capacity_ + here.first);
  if (watching) shape_features(here.logs.data(), static_cast<int32_t>(p_.curve.origin), seen);
  set_steps(p_.opacity, classes, count, steps.get());
  channels(here, payloads.stages[kOpacity - kOrder], 3, 1, same);
  rotation_steps({p_.rotation.data(), p_.gain.data(), p_.lift.data(), p_.curve.origin}, classes, here.logs.data(),
                 n, steps.get());
  const int32_t* const rotation[] = {steps.get(), steps.get() + count, steps.get() + 2 * count};
  channels(here, payloads.stages[kRotation - kOrder], 4, 3, rotation);
  set_steps(p_.color, classes, count, steps.get());
  channels(here, payloads.stages[kColour - kOrder], 7, 3, same);
  finish(here, payloads.stages[kPositionRefinement - kOrder], out);
}

void TileDecoder::harmonics(Here& here, Bytes payload, float* out) {
  if (!p_.columns) {
    std::fill_n(out, 3 * static_cast<size_t>(p_.sh_count) * here.n, 0.0f);
    return;
  }
  const auto n = static_cast<int64_t>(here.n), first = static_cast<int64_t>(here.first);
  const uint8_t* classes = classes_.get() + here.first;
  const auto steps = room<int32_t>(here.n);
  set_steps(p_.sh, classes, here.n, steps.get());
  int32_t bounds[kShiftBounds], shift[kMaxShCount] = {};
  for (int g = 0; g < kShiftBounds; ++g) bounds[g] = std::min(kShBounds[g], p_.columns);
  const RansTables* groups[kExtentGroups];
  for (size_t g = 0; g < kExtentGroups; ++g) {
    groups[g] = p_.group_tables[g].get();
    for (int j = bounds[g]; j < bounds[g + 1]; ++j) shift[j] = p_.shift[g];
  }
  if (!p_.extent_tables) refuse("a plane needs an entropy table that the splat parameters do not have");
  RansDecoder decoder(payload.data, payload.size, false);
  decode_sh_rows(decoder, *p_.extent_tables, groups,
                 {nullptr, static_cast<int64_t>(capacity_), p_.columns, first, n, here.neighbours(), classes,
                  steps.get(), extents_.get(), bounds, p_.sh_predicted ? p_.sh_weights.data() : nullptr},
                 extents_.get() + here.first, &sh_);
  decoder.finish();
  sh_inverse_rows({sh_.splats.data() + here.first, extents_.get() + here.first, bounds, p_.columns,
                   3 * p_.sh_count, steps.get(), shift, p_.basis.data()},
                  n, false, out);
}

void TileDecoder::merge(const Here& here) {
  std::vector<uint64_t> codes(codes_.size() + here.n);
  std::vector<int32_t> columns(codes.size());
  merge_codes({codes_.data(), columns_.data(), static_cast<int64_t>(codes_.size())}, here.codes.data(),
              static_cast<int64_t>(here.n), static_cast<int32_t>(here.first), codes.data(), columns.data());
  codes_.swap(codes);
  columns_.swap(columns);
}

}  // namespace scenepress
