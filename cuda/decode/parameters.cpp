#include "decode/parameters.h"

#include <algorithm>
#include <string>

#include "core/context.h"
#include "core/learned.h"
#include "core/table_set.h"

namespace scenepress {
namespace {

constexpr int kMaxLevels = 16, kMaxExponent = 126, kMaxCell = 40, kMaxWidth = 1024, kMaxBits = 40;
constexpr int64_t kMaxCorner = int64_t{1} << 44;
constexpr unsigned kKeptOrder = 1, kLearned = 2, kShPredicted = 4;
constexpr int kShiftUnit = 128, kUnitCount = kFeatures + kHidden, kOutputs = 2;
constexpr size_t kClassContexts = 1 + 4 * kMaxClasses, kChannelContexts = kMaxClasses * kPhases * kSpreads;
constexpr size_t kExtentContexts = kMaxClasses * 10, kShContexts = kMaxClasses * 6;
enum PlaneContext : uint8_t { kMisc, kStep, kWeight, kBias, kBasis, kHead };

[[noreturn]] void wrong(const std::string& what) { refuse("splat parameters: " + what); }

int weight_count(int channel, bool near) { return near ? 2 + 3 * kInputs[channel].count : kInputs[channel].count; }

// Which context every number of the plane has.
std::vector<uint8_t> plane_contexts(const SplatParameters& p, int heads) {
  std::vector<uint8_t> out;
  const auto add = [&](PlaneContext context, int count) {
    out.insert(out.end(), static_cast<size_t>(count), context);
  };
  add(kMisc, 1 + 2 * p.levels);
  add(kStep, 5 * p.classes + kKnots + kSizes);
  add(kBias, 1);
  add(kStep, kSizes);
  add(kBias, 3 * p.classes);
  add(kWeight, 9);
  add(kBias, 10);
  add(kBasis, 3 * p.sh_count * p.columns);
  add(kMisc, kExtentGroups);
  for (int near = 0; near < 2; ++near)
    for (int c = 0; c < kChannels; ++c) {
      add(kWeight, weight_count(c, near));
      add(kBias, p.classes);
    }
  if (p.sh_predicted) add(kWeight, 2 * p.columns);
  for (; heads; heads &= heads - 1) {
    add(kHead, kOutputs * kUnitCount);
    add(kBias, kOutputs);
  }
  return out;
}

// Hands out the numbers of the plane in order.
class Numbers {
 public:
  explicit Numbers(std::vector<int32_t> values) : values_(std::move(values)) {}

  std::vector<int32_t> take(const char* what, int count, int64_t low, int64_t high, bool delta = false) {
    std::vector<int32_t> out(static_cast<size_t>(count));
    int64_t value = 0;
    for (int32_t& number : out) {
      value = values_[at_++] + (delta ? value : 0);
      if (value < low || value > high)
        wrong(std::string(what) + " outside " + std::to_string(low) + ".." + std::to_string(high));
      number = static_cast<int32_t>(value);
    }
    return out;
  }
  int32_t one(const char* what, int64_t low, int64_t high) { return take(what, 1, low, high)[0]; }
  template <typename Out>
  void fill(Out begin, const char* what, int count, int64_t low, int64_t high) {
    const std::vector<int32_t> found = take(what, count, low, high);
    std::copy(found.begin(), found.end(), begin);
  }
  std::vector<uint8_t> codes(const char* what, int count) {
    const std::vector<int32_t> found = take(what, count, 0, 255, true);
    return std::vector<uint8_t>(found.begin(), found.end());
  }

 private:
  std::vector<int32_t> values_;
  size_t at_ = 0;
};

void read_shape(ByteReader& reader, SplatParameters* p, int* heads) {
  struct Limit {
    const char* what;
    uint64_t most;
  };
  constexpr Limit kLimits[] = {
      {"flags", 7}, {"SH count", 15}, {"columns", 45}, {"classes", kMaxClasses}, {"levels", kMaxLevels}};
  int shape[5];
  for (int i = 0; i < 5; ++i) {
    const uint64_t value = reader.varint();
    if (value > kLimits[i].most) wrong(std::string(kLimits[i].what) + " is " + std::to_string(value));
    shape[i] = static_cast<int>(value);
  }
  const auto flags = static_cast<unsigned>(shape[0]);
  p->sh_count = shape[1], p->columns = shape[2], p->classes = shape[3], p->levels = shape[4];
  const bool degree = p->sh_count == 0 || p->sh_count == 3 || p->sh_count == 8 || p->sh_count == 15;
  if (!degree || p->columns > 3 * p->sh_count || p->levels < 1 || p->levels > p->classes)
    wrong("its numbers of SH coefficients, columns, levels and classes do not fit together");
  p->kept_order = flags & kKeptOrder, p->sh_predicted = flags & kShPredicted;
  if (flags & kLearned) {
    const uint64_t model = reader.varint(), present = reader.varint();
    if (model != 1 || present >> kChannels) wrong("a context model that is unknown");
    p->model = static_cast<int>(model), *heads = static_cast<int>(present);
  }
  if (p->sh_predicted && !p->columns) wrong("a prediction of no SH columns");
}

void check_contexts(const RansTables* tables, size_t most) {
  if (tables && tables->contexts > most)
    wrong("a table set of " + std::to_string(tables->contexts) + " contexts, not at most " + std::to_string(most));
}

void read_tables(ByteReader& reader, SplatParameters* p) {
  const uint64_t present = reader.varint();
  constexpr int kSets = 2 + kChannels + kExtentGroups;
  const size_t group_contexts = p->sh_predicted ? 2 * kShContexts : kShContexts;
  for (int i = 0; i < kSets; ++i) {
    if (!(present >> i & 1)) continue;
    TablesPointer set = read_table_set(reader);
    if (i == 0) {
      check_contexts(set.get(), kClassContexts);
      p->order_tables = std::move(set);
    } else if (i <= kChannels) {
      check_contexts(set.get(), kChannelContexts);
      p->channel_tables[static_cast<size_t>(i - 1)] = std::move(set);
    } else if (i == kChannels + 1) {
      check_contexts(set.get(), kExtentContexts);
      p->extent_tables = std::move(set);
    } else {
      check_contexts(set.get(), group_contexts);
      p->group_tables[static_cast<size_t>(i - kChannels - 2)] = std::move(set);
    }
  }
  if (present >> kSets) wrong("tables of unknown planes");
}

std::vector<int32_t> read_plane(Bytes payload, const RansTables& tables, const std::vector<uint8_t>& contexts) {
  if (*std::max_element(contexts.begin(), contexts.end()) >= tables.contexts)
    refuse("a plane needs an entropy table that the splat parameters do not have");
  RansDecoder decoder(payload.data, payload.size, false);
  std::vector<int32_t> values(contexts.size());
  decoder.values(tables, contexts.data(), contexts.size(), true, values.data());
  decoder.finish();
  return values;
}

void read_levels(Numbers& numbers, SplatParameters* p) {
  p->exponent = numbers.one("grid exponent", -kMaxExponent, kMaxExponent);
  p->bounds = numbers.take("level bounds", p->levels, 0, p->classes - 1);
  for (size_t i = 1; i < p->bounds.size(); ++i)
    if (p->bounds[i] <= p->bounds[i - 1]) wrong("level bounds do not rise");
  if (p->bounds.back() != p->classes - 1) wrong("level bounds do not end at the last class");
  p->cells = numbers.take("cell exponents", p->levels, 1, kMaxCell);
}

void read_steps(Numbers& numbers, SplatParameters* p) {
  p->scale = numbers.codes("scale steps", p->classes);
  p->opacity = numbers.codes("opacity steps", p->classes);
  p->rotation = numbers.codes("rotation steps", p->classes);
  p->gain = numbers.codes("rotation gains", kKnots);
  p->lift = numbers.codes("rotation lifts", kSizes);
  p->color = numbers.codes("colour steps", p->classes);
  p->sh = numbers.codes("SH steps", p->classes);
  p->curve.origin = numbers.one("scale origin", -(1 << 15), 1 << 15);
  numbers.fill(p->curve.width, "scale widths", kSizes, 1, kMaxWidth);
  for (int i = 0; i < kSizes; ++i) p->curve.start[i + 1] = p->curve.start[i] + p->curve.width[i];
  for (int k = 0; k < 3; ++k) {
    const auto row = numbers.take("position offsets", p->classes, -(1 << 20), 1 << 20, true);
    p->offset.insert(p->offset.end(), row.begin(), row.end());
  }
  numbers.fill(p->slope.begin(), "position slopes", 9, -32767, 32767);
  p->reach = numbers.one("position reach", -(1 << 20), 1 << 20);
}

void read_transforms(Numbers& numbers, SplatParameters* p) {
  numbers.fill(p->color_matrix.begin(), "colour matrix", 9, -32768, 32767);
  p->basis = numbers.take("SH basis", 3 * p->sh_count * p->columns, -127, 127);
  numbers.fill(p->shift.begin(), "SH shifts", kExtentGroups, 0, kShiftUnit / 2);
  for (size_t near = 0; near < 2; ++near)
    for (int c = 0; c < kChannels; ++c) {
      Predictor& predictor = p->predictors[near][static_cast<size_t>(c)];
      predictor.weights = numbers.take("weights", weight_count(c, near), -32767, 32767);
      predictor.bias = numbers.take("biases", p->classes, -(1 << 24), 1 << 24);
    }
  if (p->sh_predicted) p->sh_weights = numbers.take("SH weights", 2 * p->columns, -32767, 32767);
}

void read_heads(Numbers& numbers, int present, SplatParameters* p) {
  for (int c = 0; c < kChannels; ++c) {
    if (!(present >> c & 1)) continue;
    Head& head = p->heads[static_cast<size_t>(c)];
    const auto weights = numbers.take("head weights", kOutputs * kUnitCount, -127, 127);
    head.weights.assign(weights.begin(), weights.end());
    head.bias = numbers.take("head biases", kOutputs, -(1 << 24), 1 << 24);
  }
}

}  // namespace

TablesPointer read_table_set(ByteReader& reader) {
  const auto set = std::make_unique<TableSet>();
  const Bytes rest = reader.rest();
  size_t offset = 0;
  if (const char* error = parse_table_set(rest.data, rest.size, &offset, set.get())) refuse(error);
  reader.skip(offset);
  return std::make_unique<RansTables>(&set->frequencies[0][0], static_cast<size_t>(set->tables), set->context_map,
                                      static_cast<size_t>(set->contexts));
}

bool SplatParameters::listens(int channel) const {
  for (int c = channel; c < kChannels; ++c)
    if (!heads[static_cast<size_t>(c)].bias.empty()) return true;
  return false;
}

SplatParameters read_parameters(Bytes payload) {
  SplatParameters p;
  int heads = 0;
  ByteReader reader(payload);
  read_shape(reader, &p, &heads);
  const TablesPointer own = read_table_set(reader);
  read_tables(reader, &p);
  Numbers numbers(read_plane(reader.rest(), *own, plane_contexts(p, heads)));
  read_levels(numbers, &p);
  read_steps(numbers, &p);
  read_transforms(numbers, &p);
  read_heads(numbers, heads, &p);
  return p;
}

std::vector<TileBox> read_tiles(Bytes payload, uint32_t count) {
  if (count > payload.size)  // A box has at least four bytes.
    refuse("tile table: " + std::to_string(count) + " tiles in " + std::to_string(payload.size) + " bytes");
  ByteReader reader(payload);
  std::vector<TileBox> boxes(count);
  for (uint32_t i = 0; i < count; ++i) {
    const uint64_t bits = reader.varint();
    bool fits = bits >= 1 && bits <= kMaxBits;
    for (int64_t& value : boxes[i].corner) {
      value = reader.signed_varint();
      fits = fits && value >= -kMaxCorner && value <= kMaxCorner;
    }
    if (!fits) refuse("tile table: tile " + std::to_string(i) + " is out of range");
    boxes[i].bits = static_cast<int>(bits);
  }
  if (reader.left()) refuse("tile table: " + std::to_string(reader.left()) + " bytes too many");
  return boxes;
}

}  // namespace scenepress
