// Encoder only, so floats decide here; what they decide is written down in integers.
#include "cpu/table_fit.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <mutex>
#include <numeric>

#include "core/table_set.h"

namespace scenepress {
namespace {

constexpr int kIndices = 256;          // parametric tables
constexpr float kSingleBits = 18;      // what a table of one symbol costs, about, in the context map too
constexpr float kParametricBits = 20;  // what one costs, its share of the context map too
constexpr float kExplicitBits = 28, kBitsPerSymbol = 2.5f;  // what other tables cost, about
constexpr int kMaxStep = 31;
constexpr int kPrecisions = 4;
constexpr double kInfinity = std::numeric_limits<double>::infinity();
constexpr float kImpossible = 1e30f;  // bits; a finite number, to be multiplied by 0

class BitString {
 public:
  void append(uint32_t value, int count) {
    for (int i = 0; i < count; ++i, ++size_) {
      if (size_ / 8 == bytes_.size()) bytes_.resize(bytes_.size() + 1);
      bytes_[size_ / 8] = static_cast<uint8_t>(bytes_[size_ / 8] | (value >> i & 1) << (size_ % 8));
    }
  }
  void append(const BitString& other) {
    for (size_t i = 0; i < other.size_; ++i) append(other.bytes_[i / 8] >> (i % 8) & 1u, 1);
  }
  void append_unary(uint32_t count) {
    for (; count > 0; --count) append(1, 1);
    append(0, 1);
  }
  void append_gamma(uint32_t number) {
    int width = 0;
    while (number >> (width + 1)) ++width;
    append_unary(static_cast<uint32_t>(width));
    append(number & ((1u << width) - 1), width);
  }
  size_t size() const { return size_; }
  const std::vector<uint8_t>& bytes() const { return bytes_; }

 private:
  std::vector<uint8_t> bytes_;
  size_t size_ = 0;
};

// Bits of each token in each parametric table of tokens 0..last, as [token][index].
struct ParametricCosts {
  std::vector<std::array<float, kIndices>> of_token;
};

const ParametricCosts& parametric_costs(int last) {
  static std::array<ParametricCosts, kTokens> all;
  static std::array<std::once_flag, kTokens> made;
  std::call_once(made[static_cast<size_t>(last)], [last] {
    ParametricCosts& costs = all[static_cast<size_t>(last)];
    costs.of_token.resize(static_cast<size_t>(last) + 1);
    uint8_t symbols[kTokens];
    int64_t levels[kTokens];
    uint16_t frequencies[kRansSymbols];
    for (int index = 0; index < kIndices; ++index) {
      for (int token = 0; token <= last; ++token) {
        symbols[token] = static_cast<uint8_t>(token);
        levels[token] = base_level(static_cast<uint32_t>(index), static_cast<uint32_t>(token));
      }
      frequencies_of(symbols, levels, last + 1, frequencies);
      for (int token = 0; token <= last; ++token)
        costs.of_token[static_cast<size_t>(token)][static_cast<size_t>(index)] =
            kRansPrecision - std::log2(static_cast<float>(frequencies[token]));
    }
  });
  return all[static_cast<size_t>(last)];
}

// x log2 x for x = 0 or x >= 1, to about 1e-7 of it. Plain arithmetic, so that loops over it become vector code.
inline float weighed_log(float x) {
  uint32_t bits;
  std::memcpy(&bits, &x, 4);
  const float exponent = static_cast<float>(static_cast<int32_t>(bits >> 23) - 127);
  bits = (bits & 0x007FFFFF) | 0x3F800000;
  float mantissa;
  std::memcpy(&mantissa, &bits, 4);
  constexpr float kRoot2 = 1.41421356f, kScale = 2.88539008f;  // 2 / ln 2
  const float t = (mantissa - kRoot2) / (mantissa + kRoot2), t2 = t * t;
  return x * (exponent + 0.5f + kScale * t * (1 + t2 * (1 / 3.0f + t2 * (1 / 5.0f + t2 * (1 / 7.0f)))));
}

constexpr size_t kLanes = 8;  // sums kept side by side: floats are not added in another order than written

// Contexts that share a table: their counts, and their bits in each parametric table.
struct Group {
  std::vector<float> counts;  // [a multiple of kLanes]
  std::array<float, kIndices> parametric;
  std::vector<size_t> contexts;
  float bits = 0;  // data and table
};

// About how many bits two groups would take as one. `b` may be null.
float estimate(const Group& a, const Group* b) {
  const float* const more = b ? b->counts.data() : a.counts.data();
  const float weight = b ? 1.0f : 0.0f;
  float totals[kLanes] = {}, sums[kLanes] = {}, used[kLanes] = {};
  for (size_t s = 0; s < a.counts.size(); s += kLanes)
    for (size_t k = 0; k < kLanes; ++k) {
      const float count = a.counts[s + k] + weight * more[s + k];
      totals[k] += count;
      sums[k] += weighed_log(count);
      used[k] += std::min(count, 1.0f);
    }
  const float symbols = std::accumulate(used, used + kLanes, 0.0f);
  if (symbols == 1) return kSingleBits;
  const float bits = weighed_log(std::accumulate(totals, totals + kLanes, 0.0f)) -
                     std::accumulate(sums, sums + kLanes, 0.0f) + kExplicitBits + kBitsPerSymbol * symbols;
  const float* const more_bits = b ? b->parametric.data() : a.parametric.data();
  float lowest[kLanes];
  std::fill_n(lowest, kLanes, std::numeric_limits<float>::max());
  for (size_t i = 0; i < kIndices; i += kLanes)
    for (size_t k = 0; k < kLanes; ++k)
      lowest[k] = std::min(lowest[k], a.parametric[i + k] + weight * more_bits[i + k]);
  return std::min(bits, kParametricBits + *std::min_element(lowest, lowest + kLanes));
}

std::vector<Group> make_groups(const int64_t* counts, size_t contexts, int last) {
  std::vector<Group> groups;
  for (size_t c = 0; c < contexts; ++c) {
    const int64_t* row = counts + c * kRansSymbols;
    if (std::all_of(row, row + last + 1, [](int64_t n) { return n == 0; })) continue;
    Group group;
    group.counts.assign(row, row + last + 1);
    group.counts.resize((group.counts.size() + kLanes - 1) / kLanes * kLanes);
    group.contexts = {c};
    group.parametric.fill(last < kTokens ? 0 : kImpossible);
    for (size_t s = 0; s <= static_cast<size_t>(last) && last < kTokens; ++s)
      if (const float n = group.counts[s]; n > 0) {
        const auto& costs = parametric_costs(last).of_token[s];
        for (size_t k = 0; k < kIndices; ++k) group.parametric[k] += n * costs[k];
      }
    group.bits = estimate(group, nullptr);
    groups.push_back(std::move(group));
  }
  return groups;
}

void merge_into(Group& kept, const Group& gone, float bits) {
  for (size_t s = 0; s < kept.counts.size(); ++s) kept.counts[s] += gone.counts[s];
  for (size_t k = 0; k < kIndices; ++k) kept.parametric[k] += gone.parametric[k];
  kept.contexts.insert(kept.contexts.end(), gone.contexts.begin(), gone.contexts.end());
  kept.bits = bits;
}

// Merges two groups at a time, those that save most first, while that saves bits.
std::vector<Group> cluster(std::vector<Group> groups) {
  const size_t stride = groups.size();
  std::vector<float> joint(stride * stride);  // bits of i and j as one, both ways round
  const auto compare = [&](size_t i, size_t j) {
    joint[i * stride + j] = joint[j * stride + i] = estimate(groups[i], &groups[j]);
  };
  for (size_t i = 0; i < stride; ++i)
    for (size_t j = 0; j < i; ++j) compare(i, j);
  while (groups.size() > 1) {
    size_t best_i = 0, best_j = 0;
    float best = std::numeric_limits<float>::lowest();
    for (size_t i = 0; i < groups.size(); ++i)
      for (size_t j = 0; j < i; ++j)
        if (const float gain = groups[i].bits + groups[j].bits - joint[i * stride + j]; gain > best)
          best = gain, best_i = i, best_j = j;
    if (best <= 0 && groups.size() <= kMaxTables) break;
    merge_into(groups[best_j], groups[best_i], joint[best_i * stride + best_j]);
    // The last group takes the place of the one that is gone.
    const size_t last = groups.size() - 1;
    if (best_i != last) {
      groups[best_i] = std::move(groups[last]);
      for (size_t k = 0; k < last; ++k)
        joint[best_i * stride + k] = joint[k * stride + best_i] = joint[last * stride + k];
    }
    groups.pop_back();
    for (size_t k = 0; k < groups.size(); ++k)
      if (k != best_j) compare(k, best_j);
  }
  return groups;
}

uint32_t step_code(int step) { return static_cast<uint32_t>(step > 0 ? 2 * step - 1 : -2 * step); }

void append_runs(BitString& bits, const std::vector<float>& counts) {
  bool used = false;
  uint32_t length = 1;  // the first run, of unused symbols, may be empty: one more than it has
  for (float count : counts) {
    if ((count > 0) != used) {
      bits.append_gamma(length);
      used = !used;
      length = 0;
    }
    ++length;
  }
  bits.append_gamma(length);
}

struct Shape {
  bool free;
  int index, precision;
};

// A table with a step for each used symbol. Returns an empty string if a step is too large to write.
BitString write_explicit(const Shape& shape, const std::vector<int>& steps, const std::vector<float>& counts,
                         bool sparse) {
  std::array<size_t, 4> cost{};
  for (int step : steps)
    for (uint32_t rice = 0; rice < 4; ++rice) {
      const uint32_t unary = step_code(step) >> rice;
      cost[rice] += unary > kMaxUnary ? size_t(1) << 32 : unary + 1 + rice;
    }
  const auto rice = static_cast<uint32_t>(std::min_element(cost.begin(), cost.end()) - cost.begin());
  BitString bits;
  if (cost[rice] >= size_t(1) << 32) return bits;
  bits.append(kFirstExplicitHead + (uint32_t(shape.free) | static_cast<uint32_t>(shape.precision) << 1 |
                                    rice << 3 | uint32_t(sparse) << 5),
              8);
  if (!shape.free) bits.append(static_cast<uint32_t>(shape.index), 8);
  bits.append(static_cast<uint32_t>(counts.size()) - 1, 8);
  if (sparse) append_runs(bits, counts);
  for (int step : steps) {
    bits.append_unary(step_code(step) >> rice);
    bits.append(step_code(step) & ((1u << rice) - 1), static_cast<int>(rice));
  }
  return bits;
}

// For each symbol the correction that gains most bits of data over its own cost, others being equal.
std::vector<int> corrections(const std::vector<float>& counts, int index, int precision) {
  std::vector<double> weights(counts.size());
  for (size_t s = 0; s < counts.size(); ++s)
    weights[s] = std::exp2(base_level(static_cast<uint32_t>(index), static_cast<uint32_t>(s)) / 65536.0);
  const double scale = std::accumulate(counts.begin(), counts.end(), 0.0) /
                       std::accumulate(weights.begin(), weights.end(), 0.0) / std::log(2.0);
  std::array<double, 2 * kMaxStep + 1> growth;
  for (int step = -kMaxStep; step <= kMaxStep; ++step)
    growth[static_cast<size_t>(step + kMaxStep)] = std::exp2(std::ldexp(step, -precision)) - 1;
  std::vector<int> chosen(counts.size());
  for (size_t s = 0; s < counts.size(); ++s) {
    double best = -kInfinity;
    for (int step = -kMaxStep; step <= kMaxStep; ++step) {
      const double gain = counts[s] * std::ldexp(step, -precision) -
                          scale * weights[s] * growth[static_cast<size_t>(step + kMaxStep)] -
                          0.5 * step_code(step);
      if (gain > best) best = gain, chosen[s] = step;
    }
  }
  return chosen;
}

// Steps of a table without a base: differences of the logarithms of the counts.
std::vector<int> free_steps(const std::vector<float>& counts, int precision) {
  std::vector<int> steps;
  int before = 0;
  for (float count : counts) {
    if (count == 0) continue;
    const int level = static_cast<int>(std::lround(std::ldexp(std::log2(count), precision)));
    steps.push_back(steps.empty() ? 0 : level - before);
    before = level;
  }
  return steps;
}

std::vector<BitString> candidates(const std::vector<float>& counts, int index) {
  const auto last = static_cast<uint32_t>(counts.size() - 1);
  const auto used = std::count_if(counts.begin(), counts.end(), [](float n) { return n > 0; });
  std::vector<BitString> found;
  BitString simple;
  if (used == 1) {
    simple.append(last ? kSingleHead : 0, 8);
    if (last) simple.append(last, 8);
    return {simple};
  }
  if (index >= 0) {
    simple.append(last, 8);
    simple.append(static_cast<uint32_t>(index), 8);
    found.push_back(simple);
  }
  const bool sparse = used < static_cast<long>(counts.size());
  for (int precision = 0; precision < kPrecisions; ++precision) {
    found.push_back(write_explicit({true, 0, precision}, free_steps(counts, precision), counts, sparse));
    if (index < 0) continue;
    std::vector<int> steps = corrections(counts, index, precision);
    found.push_back(write_explicit({false, index, precision}, steps, counts, false));
    if (!sparse) continue;
    size_t kept = 0;
    for (size_t s = 0; s < counts.size(); ++s)
      if (counts[s] > 0) steps[kept++] = steps[s];
    steps.resize(kept);
    found.push_back(write_explicit({false, index, precision}, steps, counts, true));
  }
  return found;
}

// Bits of a table and of the data it codes; infinite if it cannot.
double total_bits(const BitString& table, const std::vector<float>& counts) {
  uint16_t frequencies[kRansSymbols];
  BitReader reader{table.bytes().data(), table.bytes().size(), 0};
  read_table(reader, frequencies);
  if (reader.error) return kInfinity;
  double bits = static_cast<double>(table.size());
  for (size_t s = 0; s < counts.size(); ++s)
    if (counts[s] > 0)
      bits += counts[s] * (frequencies[s] ? kRansPrecision - std::log2(frequencies[s]) : kInfinity);
  return bits;
}

BitString best_table(const Group& group) {
  std::vector<float> counts = group.counts;
  while (counts.back() == 0) counts.pop_back();
  int index = -1;
  if (counts.size() <= kTokens) {
    std::array<float, kIndices> bits{};
    const ParametricCosts& costs = parametric_costs(static_cast<int>(counts.size()) - 1);
    for (size_t s = 0; s < counts.size(); ++s)
      for (size_t k = 0; k < kIndices && counts[s] > 0; ++k) bits[k] += counts[s] * costs.of_token[s][k];
    index = static_cast<int>(std::min_element(bits.begin(), bits.end()) - bits.begin());
  }
  BitString best;
  double least = kInfinity;
  for (const BitString& table : candidates(counts, index))
    if (const double bits = total_bits(table, counts); bits < least) {
      least = bits;
      best = table;
    }
  return best;
}

// Writes which table each context uses; returns the groups in the order of their first use.
std::vector<const Group*> write_map(BitString& bits, const std::vector<Group>& groups, size_t contexts) {
  std::vector<const Group*> group_of(contexts, nullptr);
  for (const Group& group : groups)
    for (size_t c : group.contexts) group_of[c] = &group;
  std::vector<const Group*> order;
  for (size_t c = 0, before = 0; c < contexts; ++c) {
    // A context without symbols does as the one before it; before the first, as the first.
    size_t table = before;
    if (group_of[c])
      table = static_cast<size_t>(std::find(order.begin(), order.end(), group_of[c]) - order.begin());
    if (c > 0 && groups.size() > 1) {
      bits.append(table == before, 1);
      const uint32_t choices =
          static_cast<uint32_t>(std::min(std::max<size_t>(order.size(), 1) + 1, groups.size()));
      int width = 0;
      while ((choices - 1) >> width) ++width;
      if (table != before) bits.append(static_cast<uint32_t>(table), width);
    }
    if (group_of[c] && table == order.size()) order.push_back(group_of[c]);
    before = table;
  }
  return order;
}

}  // namespace

std::vector<uint8_t> fit_table_set(const int64_t* counts, size_t contexts) {
  BitString bits;
  bits.append(static_cast<uint32_t>(contexts), 8);
  int last = -1;
  for (size_t i = 0; i < contexts * kRansSymbols; ++i)
    if (counts[i]) last = std::max(last, static_cast<int>(i % kRansSymbols));
  if (last < 0) {
    if (contexts > 1) bits.append(1, 8);
    bits.append(0, 8);
    return bits.bytes();
  }
  const std::vector<Group> groups = cluster(make_groups(counts, contexts, last));
  if (contexts > 1) bits.append(static_cast<uint32_t>(groups.size()), 8);
  for (const Group* group : write_map(bits, groups, contexts)) bits.append(best_table(*group));
  return bits.bytes();
}

}  // namespace scenepress
