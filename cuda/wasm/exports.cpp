// The decoder for JavaScript: one file an instance, plain functions, memory handed over by address. Damaged bytes
// end in a trap; sp_refusal() then says why, and the instance is done with.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "decode/press.h"

#define SP_EXPORT extern "C" __attribute__((visibility("default"), used))

namespace {

char refusal[1024];
// The weights of the learned context model, which the build makes a list of bytes.
constexpr uint8_t kContextModel[] = {
#include "wasm/context_model.inc"
};

struct Free {
  void operator()(float* memory) const { std::free(memory); }
};

std::unique_ptr<scenepress::Press> press;
std::unique_ptr<float, Free> room;
std::vector<double> numbers;

}  // namespace

#if !defined(__cpp_exceptions)
namespace scenepress {
void refuse(const std::string& why) {
  const size_t size = why.size() < sizeof(refusal) - 1 ? why.size() : sizeof(refusal) - 1;
  std::memcpy(refusal, why.data(), size);
  refusal[size] = 0;
  __builtin_trap();
}
}  // namespace scenepress

// The library's own would bring stdio along, to say that memory ran out.
void* operator new(size_t size) {
  void* memory = std::malloc(size ? size : 1);
  if (!memory) scenepress::out_of_memory();
  return memory;
}
void* operator new[](size_t size) { return operator new(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
#endif

SP_EXPORT const char* sp_refusal() { return refusal; }

SP_EXPORT uint8_t* sp_take(size_t size) {
  auto* memory = static_cast<uint8_t*>(std::malloc(size ? size : 1));
  if (!memory) scenepress::refuse("out of memory: " + std::to_string(size) + " bytes were wanted");
  return memory;
}

SP_EXPORT void sp_give_back(uint8_t* memory) { std::free(memory); }

// Bytes of header and index, from the first 32.
SP_EXPORT double sp_front_length(const uint8_t* data, size_t size) {
  return static_cast<double>(scenepress::front_length({data, size}));
}

SP_EXPORT void sp_open(const uint8_t* front, size_t size) {
  press = std::make_unique<scenepress::Press>(scenepress::Bytes{front, size},
                                              scenepress::Bytes{kContextModel, sizeof kContextModel});
}

// File length, offset and length of what holds for the whole scene.
SP_EXPORT const double* sp_layout() {
  numbers = {static_cast<double>(press->index().file_length), static_cast<double>(press->whole_offset()),
             static_cast<double>(press->whole_length())};
  return numbers.data();
}

// Of every place: level, tile, count, offset, length.
SP_EXPORT const double* sp_places() {
  numbers.clear();
  for (const scenepress::Place& p : press->places())
    for (const double v : {double(p.level), double(p.tile), double(p.count), double(p.offset), double(p.length)})
      numbers.push_back(v);
  return numbers.data();
}

// Of every chunk: stage, level, tile, count, offset, length.
SP_EXPORT const double* sp_chunks() {
  numbers.clear();
  for (const scenepress::Entry& e : press->index().entries)
    for (const double v :
         {double(e.stage), double(e.level), double(e.tile), double(e.count), double(e.offset), double(e.length)})
      numbers.push_back(v);
  return numbers.data();
}

SP_EXPORT size_t sp_place_count() { return press->places().size(); }

SP_EXPORT size_t sp_chunk_count() { return press->index().entries.size(); }

// Offset and length of the JSON in the bytes of the whole scene.
SP_EXPORT const double* sp_metadata(const uint8_t* whole, size_t size) {
  const scenepress::Bytes found = press->metadata({whole, size});
  numbers = {static_cast<double>(found.data - whole), static_cast<double>(found.size)};
  return numbers.data();
}

SP_EXPORT void sp_begin(const uint8_t* whole, size_t size, uint32_t count, int sh_degree, bool lossless) {
  press->begin({whole, size}, count, sh_degree, lossless);
}

// Where to let a place be decoded to: large enough for every one. Taken when first asked for: some only look.
SP_EXPORT float* sp_room() {
  if (room) return room.get();
  uint64_t most = 0;
  for (const scenepress::Place& place : press->places()) most = std::max<uint64_t>(most, place.count);
  const uint64_t bytes = 4 * (15 + 3 * static_cast<uint64_t>(press->sh_count())) * most;
  if (bytes > INT32_MAX) scenepress::out_of_memory();  // Before it is cut to the 32 bits of an address.
  room.reset(static_cast<float*>(std::malloc(static_cast<size_t>(bytes))));
  if (!room) scenepress::out_of_memory();
  return room.get();
}

// SH coefficients a channel, whether source indices come along; then of every tile its corner and edge in scene
// units.
SP_EXPORT const double* sp_scene() {
  numbers = {double(press->sh_count()), double(press->keeps_order())};
  double unit = 1;
  for (int e = press->exponent(); e > 0; --e) unit *= 2;
  for (int e = press->exponent(); e < 0; ++e) unit /= 2;
  for (const scenepress::TileBox& box : press->tiles()) {
    for (const int64_t corner : box.corner) numbers.push_back(static_cast<double>(corner) * unit);
    numbers.push_back(static_cast<double>(int64_t{1} << box.bits) * unit);
  }
  return numbers.data();
}

SP_EXPORT size_t sp_tile_count() { return press->tiles().size(); }

// Decodes a place into arrays one after another: means, quats, log_scales, opacity_logits, sh0, shN, indices.
SP_EXPORT void sp_decode(size_t place, const uint8_t* data, size_t size, float* out) {
  if (place >= press->places().size()) scenepress::refuse("no such place");
  const size_t n = press->places()[place].count, k = static_cast<size_t>(press->sh_count());
  float* const quats = out + 3 * n;
  float* const scales = quats + 4 * n;
  float* const logits = scales + 3 * n;
  float* const sh0 = logits + n;
  float* const shN = sh0 + 3 * n;
  auto* const indices = reinterpret_cast<int32_t*>(shN + 3 * k * n);
  press->decode(place, {data, size}, {out, quats, scales, logits, sh0, shN, indices});
}
