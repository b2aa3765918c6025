#include "decode/lossless.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "cpu/lossless.h"
#include "decode/parameters.h"

namespace scenepress {
namespace {

constexpr int kPlain = 14, kQuat = 3, kMaxTokens = 255, kMaxNodes = 1 << 14, kMaxViews = 8, kMaxReferences = 16;
constexpr int kMaxShift = 63;
constexpr uint32_t kSign = 0x80000000u;
enum Map : uint8_t { kBits, kOrdered, kLattice, kDictionary };

using Words = std::vector<uint32_t>;
using Tokens = std::vector<uint8_t>;

[[noreturn]] void wrong(const std::string& what) { refuse("lossless: " + what); }
std::string number(uint64_t value) { return std::to_string(value); }

struct Alphabet {
  uint32_t bases[256] = {};
  uint8_t lengths[256] = {};
  size_t size = 0;
};

struct Lut {
  uint8_t at[256];
};

struct Reference {
  uint8_t view, column;
};

// Columns that share a map, an alphabet and tables.
struct Group {
  std::vector<int> columns;
  uint8_t map = kBits;
  bool differences = false, squashed = false;
  int shift = 0;
  uint64_t entries = 0;  // of the dictionary
  std::unique_ptr<Group> dictionary;
  Words values;  // of the dictionary
  Alphabet alphabet;
  std::vector<Lut> views;
  Lut squash;
  std::vector<std::vector<Reference>> references;  // by column of the group
  TablesPointer tables;
};

uint8_t byte_of(ByteReader& reader) {
  if (!reader.left()) wrong("payload ends inside its header");
  return static_cast<uint8_t>(reader.fixed(1));
}

Lut read_lut(ByteReader& reader) {
  const uint64_t runs = reader.varint();
  if (runs < 1 || runs > 256 || 2 * runs > reader.left()) wrong("a table of " + number(runs) + " runs");
  Lut lut;
  size_t covered = 0;
  for (uint64_t run = 0; run < runs; ++run) {
    const auto value = static_cast<uint8_t>(reader.fixed(1));
    const size_t length = static_cast<size_t>(reader.fixed(1)) + 1;
    if (covered + length <= 256) std::fill_n(lut.at + covered, length, value);
    covered += length;
  }
  if (covered != 256) wrong("the runs of a table cover " + number(covered) + " of 256 entries");
  return lut;
}

// The leaves of a binary tree over all words, in preorder.
void read_tree(ByteReader& reader, Alphabet* alphabet) {
  struct Node {
    uint64_t base;
    int length;
  };
  const Bytes bytes = reader.rest();
  const size_t end = 8 * std::min<size_t>(bytes.size, kMaxNodes / 8);
  size_t position = 0;
  const auto bit = [&] {
    if (position >= end) wrong("an alphabet's tree has no end");
    const bool set = bytes.data[position >> 3] >> (position & 7) & 1;
    ++position;
    return set;
  };
  std::vector<Node> stack{{0, 32}};
  size_t leaves = 0;
  while (!stack.empty()) {
    const Node node = stack.back();
    stack.pop_back();
    if (node.length && bit()) {
      stack.push_back({node.base + (uint64_t{1} << (node.length - 1)), node.length - 1});
      stack.push_back({node.base, node.length - 1});
    } else if (bit()) {
      if (leaves < kMaxTokens) {
        alphabet->bases[leaves] = static_cast<uint32_t>(node.base);
        alphabet->lengths[leaves] = static_cast<uint8_t>(node.length);
      }
      ++leaves;  // Too many are refused with the single values.
    }
  }
  alphabet->size = leaves;
  reader.skip((position + 7) / 8);
}

void read_alphabet(ByteReader& reader, Alphabet* alphabet) {
  read_tree(reader, alphabet);
  const uint64_t singles = reader.varint(), tokens = alphabet->size + singles;
  if (!tokens || singles > kMaxTokens || tokens > kMaxTokens)
    wrong("an alphabet of " + number(alphabet->size) + " + " + number(singles) + " tokens");
  uint64_t value = 0;
  for (uint64_t i = 0; i < singles; ++i) {
    const uint64_t step = reader.varint();
    if (step >> 32 || (value += step) >> 32) wrong("a single value exceeds 32 bits");
    alphabet->bases[alphabet->size++] = static_cast<uint32_t>(value);
  }
}

void read_contexts(ByteReader& reader, int groups, Group* group) {
  const int head = byte_of(reader), views = head & 0x7F;
  if (views > kMaxViews) wrong(number(static_cast<uint64_t>(views)) + " views; the limit is 8");
  for (int i = 0; i < views; ++i) {
    const int seen = byte_of(reader);
    if (seen >= groups) wrong("a view of group " + std::to_string(seen) + " of " + std::to_string(groups));
    group->views.push_back(read_lut(reader));
  }
  group->squashed = head & 0x80;
  if (group->squashed) group->squash = read_lut(reader);
  group->references.resize(group->columns.size());
  for (size_t k = 0; k < group->columns.size() && views; ++k) {
    const size_t count = byte_of(reader);
    if (count > kMaxReferences || 2 * count > reader.left()) wrong(number(count) + " references; the limit is 16");
    for (size_t i = 0; i < count; ++i) {
      const auto view = static_cast<uint8_t>(reader.fixed(1)), column = static_cast<uint8_t>(reader.fixed(1));
      if (view >= views || column >= group->columns[k])
        wrong("column " + std::to_string(group->columns[k]) + " refers to view " + number(view) + ", column " +
              number(column));
      group->references[k].push_back({view, column});
    }
  }
}

Group read_group(ByteReader& reader, std::vector<int> columns, int groups, uint64_t count, bool nested) {
  Group group;
  group.columns = std::move(columns);
  const uint8_t head = byte_of(reader);
  if (head > 7) wrong("group head " + number(head) + " is reserved");
  group.map = head & 3;
  group.differences = head & 4;
  if (group.map == kLattice) group.shift = byte_of(reader);
  if (group.shift > kMaxShift) wrong("lattice shift " + std::to_string(group.shift) + " exceeds 63");
  if (group.map == kDictionary) {
    group.entries = reader.varint();
    if (nested || group.entries < 1 || group.entries > count * group.columns.size())
      wrong("a dictionary of " + number(group.entries) + " entries for " + number(count) + " elements");
    group.dictionary = std::make_unique<Group>(read_group(reader, {0}, 0, group.entries, true));
  }
  read_alphabet(reader, &group.alphabet);
  read_contexts(reader, groups, &group);
  group.tables = read_table_set(reader);
  return group;
}

uint32_t unzigzag(uint32_t word) { return (word >> 1) ^ (~(word & 1) + 1); }
uint32_t to_ordered(uint32_t bits) { return bits >= kSign ? ~bits : bits | kSign; }
uint32_t from_ordered(uint32_t word) { return word >= kSign ? word ^ kSign : ~word; }

uint32_t bits_of(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, 4);
  return bits;
}

float float_of(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, 4);
  return value;
}

// Float bits of a column's words.
void from_words(const Group& group, Words* words) {
  uint32_t sum = 0;
  for (uint32_t& word : *words) {
    if (group.differences) word = sum += unzigzag(word);
    if (group.map == kDictionary) {
      if (word >= group.values.size())
        wrong("entry " + number(word) + " of a dictionary of " + number(group.values.size()));
      word = group.values[word];
    }
    if (group.map == kLattice)
      word = bits_of(
          static_cast<float>(std::ldexp(static_cast<double>(static_cast<int32_t>(word ^ kSign)), -group.shift)));
    else if (group.map != kBits)
      word = from_ordered(word);
  }
}

// Bits of the component that makes a unit quaternion of the three kept ones.
uint32_t completed(uint32_t selector, uint32_t a, uint32_t b, uint32_t c) {
  const double x = float_of(a), y = float_of(b), z = float_of(c);
  const double rest = 1.0 - ((x * x + y * y) + z * z);
  const float root = rest > 0 ? static_cast<float>(std::sqrt(rest)) : 0.0f;
  return bits_of(root) | (selector >> 2) << 31;
}

// Selector, three components and a residual become four components, in the first four columns.
void join_rotations(std::vector<Words>& columns) {
  Words* const five = columns.data() + kQuat;
  for (size_t i = 0; i < five[0].size(); ++i) {
    const uint32_t selector = five[0][i];
    if (selector > 7) wrong("rotation selector " + number(selector) + " exceeds 7");
    const uint32_t kept[3] = {five[1][i], five[2][i], five[3][i]};
    const uint32_t guess = to_ordered(completed(selector, kept[0], kept[1], kept[2]));
    const uint32_t dropped = from_ordered(guess + unzigzag(five[4][i]));
    for (size_t k = 0, next = 0; k < 4; ++k) five[k][i] = k == (selector & 3) ? dropped : kept[next++];
  }
  columns.erase(columns.begin() + kQuat + 4);
}

class Reader {
 public:
  Reader(Bytes coded, Bytes raw) : decoder_(coded.data, coded.size, false), raw_(raw) {}

  void dictionary(Group& group) {
    const Tokens contexts(static_cast<size_t>(group.entries));
    Tokens tokens;
    words(*group.dictionary, contexts, &tokens, &group.values);
    from_words(*group.dictionary, &group.values);
  }

  // Column k of the group, in the context of the columns before it.
  Words column(const Group& group, size_t k, size_t count, std::vector<Tokens>& seen) {
    Tokens contexts(count);
    for (const Reference& reference : group.references[k]) {
      const uint8_t* const lut = group.views[reference.view].at;
      const Tokens& tokens = seen[reference.column];
      for (size_t i = 0; i < count; ++i) contexts[i] = static_cast<uint8_t>(contexts[i] + lut[tokens[i]]);
    }
    if (group.squashed)
      for (uint8_t& context : contexts) context = group.squash.at[context];
    Words out;
    words(group, contexts, &seen[static_cast<size_t>(group.columns[k])], &out);
    from_words(group, &out);
    return out;
  }

  void finish() const {
    decoder_.finish();
    const uint64_t have = uint64_t{8} * raw_.size;
    if (have - bit_ >= 8 || (bit_ % 8 && raw_.data[raw_.size - 1] >> (bit_ % 8)))
      wrong(number(have) + " raw bits for a need of " + number(bit_));
  }

 private:
  void words(const Group& group, const Tokens& contexts, Tokens* tokens, Words* out) {
    const uint8_t most = *std::max_element(contexts.begin(), contexts.end());
    if (most >= group.tables->contexts) wrong("context " + number(most) + " of " + number(group.tables->contexts));
    tokens->resize(contexts.size());
    decoder_.plane(*group.tables, contexts.data(), contexts.size(), tokens->data());
    const uint8_t last = *std::max_element(tokens->begin(), tokens->end());
    if (last >= group.alphabet.size) wrong("token " + number(last) + " of " + number(group.alphabet.size));
    out->resize(contexts.size());
    bit_ = expand_words(tokens->data(), tokens->size(), group.alphabet.bases, group.alphabet.lengths, raw_.data,
                        raw_.size, bit_, out->data());
    if (bit_ == kPastEnd) wrong("raw bits end before the last word");
  }

  RansDecoder decoder_;
  Bytes raw_;
  uint64_t bit_ = 0;
};

// One column each up to the SH, then all of red, of green, of blue.
std::vector<std::vector<int>> layout_of(int plain, int sh_count) {
  std::vector<std::vector<int>> layout;
  for (int k = 0; k < plain; ++k) layout.push_back({k});
  for (int color = 0; color < 3 && sh_count; ++color) {
    layout.emplace_back();
    for (int k = 0; k < sh_count; ++k) layout.back().push_back(plain + 3 * k + color);
  }
  return layout;
}

std::vector<Words> read_columns(Bytes payload, uint32_t count, int sh_count) {
  ByteReader reader(payload, 2);
  const bool completes = payload.data[0] & 1;
  const int plain = kPlain + (completes ? 1 : 0);
  const std::vector<std::vector<int>> layout = layout_of(plain, sh_count);
  std::vector<Group> groups;
  for (const std::vector<int>& columns : layout)
    groups.push_back(read_group(reader, columns, static_cast<int>(layout.size()), count, false));
  const uint64_t length = reader.varint();
  if (length > reader.left()) wrong(number(length) + " coded bytes, but " + number(reader.left()) + " are left");
  const Bytes rest = reader.rest();
  Reader planes({rest.data, static_cast<size_t>(length)}, rest.from(static_cast<size_t>(length)));
  for (Group& group : groups)
    if (group.dictionary) planes.dictionary(group);
  const auto alone = static_cast<size_t>(plain), total = alone + 3 * static_cast<size_t>(sh_count);
  std::vector<Words> columns(total);
  std::vector<Tokens> seen(total);
  for (size_t c = 0; c < total; ++c) {
    const bool sh = c >= alone;
    columns[c] = planes.column(groups[sh ? alone + (c - alone) % 3 : c], sh ? (c - alone) / 3 : 0, count, seen);
  }
  planes.finish();
  if (completes) join_rotations(columns);
  return columns;
}

void scatter(const std::vector<Words>& columns, size_t first, size_t width, float* out) {
  for (size_t k = 0; k < width; ++k) {
    const Words& words = columns[first + k];
    // As bytes: a float register may change the bits of a NaN.
    for (size_t i = 0; i < words.size(); ++i) std::memcpy(out + i * width + k, &words[i], 4);
  }
}

}  // namespace

void decode_lossless(Bytes payload, uint32_t count, int sh_count, const SplatArrays& out) {
  if (count < 1 || count > kLosslessMaxCount)
    wrong(number(count) + " splats in a chunk; 1 to " + number(kLosslessMaxCount) + " are allowed");
  if (payload.size < 2 || payload.data[0] > 1) wrong("payload starts with what is no lossless chunk");
  if (payload.data[1] != sh_count) wrong("a chunk's SH degree is not the one the metadata say");
  const std::vector<Words> columns = read_columns(payload, count, sh_count);
  scatter(columns, 0, 3, out.means);
  scatter(columns, 3, 4, out.quats);
  scatter(columns, 7, 3, out.log_scales);
  scatter(columns, 10, 1, out.opacity_logits);
  scatter(columns, 11, 3, out.sh0);
  scatter(columns, kPlain, 3 * static_cast<size_t>(sh_count), out.shN);
}

}  // namespace scenepress
