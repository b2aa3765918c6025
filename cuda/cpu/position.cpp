#include "cpu/position.h"

#include <cstdlib>
#include <memory>

#include "core/position.h"
#include "cpu/refuse.h"

namespace scenepress {

namespace {

// Room that costs memory only where it is written: a hostile count alone does not.
struct NodeRoom {
  PositionNode* nodes;
  explicit NodeRoom(size_t n)
      : nodes(static_cast<PositionNode*>(std::malloc(position_room(uint32_t(n)) * sizeof(PositionNode)))) {
    if (!nodes) out_of_memory();
  }
  NodeRoom(const NodeRoom&) = delete;
  ~NodeRoom() { std::free(nodes); }
};

}  // namespace

const PositionModel& initial_position_model() {
  static const std::unique_ptr<PositionModel> model = [] {
    auto made = std::make_unique<PositionModel>();
    set_position_priors(*made);
    return made;
  }();
  return *model;
}

std::vector<uint8_t> encode_positions_cpu(const uint64_t* codes, size_t n, const uint64_t* coarse, size_t m,
                                          int bits) {
  if (n == 0) return {};
  const auto model = std::make_unique<PositionModel>();
  const NodeRoom room(n);
  // Most streams fit at once; a hostile sequence of surprises costs a retry.
  for (size_t capacity = 64 + n * 8;; capacity *= 2) {
    std::vector<uint8_t> coded(capacity), raw(capacity);
    BinaryEncoder coder(coded.data(), capacity);
    RawBitWriter raw_bits(raw.data(), capacity);
    PositionEncoderIo io(coder, raw_bits, codes);
    *model = initial_position_model();
    walk_positions(io, *model, room.nodes, uint32_t(n), coarse, uint32_t(m), bits);
    coder.finish();
    raw_bits.finish();
    if (io.failed()) continue;
    std::vector<uint8_t> payload;
    payload.reserve(coder.size + raw_bits.size + 10);
    size_t length = coder.size;
    for (; length >= 128; length >>= 7) payload.push_back(uint8_t(length | 128));
    payload.push_back(uint8_t(length));
    payload.insert(payload.end(), coded.begin(), coded.begin() + ptrdiff_t(coder.size));
    payload.insert(payload.end(), raw.begin(), raw.begin() + ptrdiff_t(raw_bits.size));
    return payload;
  }
}

PositionResult decode_positions_cpu(const uint8_t* payload, size_t size, uint64_t* codes, size_t n,
                                    const uint64_t* coarse, size_t m, int bits) {
  if (n == 0) return size == 0 ? PositionResult::kExact : PositionResult::kNotExact;
  const auto model = std::make_unique<PositionModel>(initial_position_model());
  const NodeRoom room(n);
  return decode_positions(payload, size, codes, uint32_t(n), coarse, uint32_t(m), bits, *model, room.nodes);
}

void morton_codes_cpu(const uint32_t* xyz, uint64_t* codes, size_t n) {
  for (size_t i = 0; i < n; ++i) codes[i] = morton_code(xyz + 3 * i);
}

void morton_cells_cpu(const uint64_t* codes, uint32_t* xyz, size_t n) {
  for (size_t i = 0; i < n; ++i) morton_cell(codes[i], xyz + 3 * i);
}

}  // namespace scenepress
