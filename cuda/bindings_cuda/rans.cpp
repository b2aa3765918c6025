// rANS payloads on a device, one plane of many at once: what tests/gpu compares with the other backends.
#include "gpu/rans.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <cstring>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "bindings/arrays.h"
#include "cpu/rans.h"
#include "gpu/device_array.h"

namespace scenepress {
namespace {

using Bytes = Input1<uint8_t>;
using Payload = std::tuple<nb::bytes, std::vector<Bytes>>;  // Payload, contexts of each plane.

// One payload on the device, and the planes that come out of it.
struct DevicePayload {
  DeviceArray<uint16_t> words;
  DeviceArray<uint8_t> raw;
  DeviceArray<RansCursor> cursor;
  std::vector<DeviceArray<uint8_t>> contexts;
  std::vector<DeviceArray<int32_t>> values;
};

DevicePayload upload(const Payload& host) {
  const auto* data = static_cast<const uint8_t*>(std::get<0>(host).data());
  const size_t size = std::get<0>(host).size();
  RansLayout layout;
  if (const char* error = parse_rans_payload(data, size, &layout)) throw std::invalid_argument(error);
  std::vector<uint16_t> words(static_cast<size_t>(layout.word_count));
  if (!words.empty()) std::memcpy(words.data(), data + layout.words_at, 2 * words.size());
  std::vector<uint8_t> raw(size - layout.raw_at + 4);
  std::copy(data + layout.raw_at, data + size, raw.begin());

  DevicePayload out;
  out.words = DeviceArray<uint16_t>(words.data(), static_cast<int64_t>(words.size()));
  out.raw = DeviceArray<uint8_t>(raw.data(), static_cast<int64_t>(raw.size()));
  RansCursor cursor{};
  std::fill_n(cursor.states, kRansMaxWays, kRansLower);
  std::memcpy(cursor.states, data + layout.states_at, 4 * static_cast<size_t>(layout.ways));
  cursor.words = out.words.data();
  cursor.word_count = layout.word_count;
  cursor.raw = out.raw.data();
  cursor.raw_bit_count = layout.raw_bit_count;
  cursor.ways = layout.ways;
  out.cursor = DeviceArray<RansCursor>(&cursor, 1);
  for (const Bytes& contexts : std::get<1>(host)) {
    const int64_t n = static_cast<int64_t>(contexts.shape(0));
    out.contexts.emplace_back(contexts.data(), n);
    out.values.emplace_back(n);
  }
  return out;
}

// As RansDecoder::finish(), and whether anything ran out before.
void require_finished(const DevicePayload& payload) {
  RansCursor cursor;
  payload.cursor.copy_to(&cursor);
  const bool whole =
      !cursor.exhausted && cursor.word == cursor.word_count && cursor.raw_bit == cursor.raw_bit_count;
  if (!whole ||
      std::any_of(cursor.states, cursor.states + kRansMaxWays, [](uint32_t s) { return s != kRansLower; }))
    throw std::invalid_argument("entropy payload: too few or too many words or raw bits, or a wrong final state");
}

std::vector<std::vector<Array<int32_t>>> decode_payloads(const std::vector<Payload>& hosts,
                                                         Input2<uint16_t> frequencies, Bytes map, bool is_signed) {
  if (frequencies.shape(1) != size_t(kRansSymbols) || frequencies.shape(0) < 1)
    throw std::invalid_argument("frequencies must be [1 or more, 256]");
  const RansTables tables(frequencies.data(), frequencies.shape(0), map.data(), map.shape(0));
  if (!tables.only_tokens) throw std::invalid_argument("a table has symbols that are not tokens");
  const int64_t table_count = static_cast<int64_t>(tables.tables);
  const DeviceArray<uint16_t> rows(frequencies.data(), table_count * kRansSymbols);
  DeviceArray<uint32_t> entries(table_count * kRansSlots);
  expand_rans_tables_cuda(rows.data(), entries.data(), static_cast<int>(table_count), nullptr);
  const DeviceArray<uint32_t> offsets(tables.offset_of, 256);

  std::vector<DevicePayload> payloads;
  size_t planes = 0;
  for (const Payload& host : hosts) planes = std::max(planes, payloads.emplace_back(upload(host)).values.size());
  for (size_t plane = 0; plane < planes; ++plane) {
    std::vector<RansPlaneJob> jobs;
    for (DevicePayload& p : payloads)
      if (plane < p.values.size())
        jobs.push_back({p.cursor.data(), entries.data(), offsets.data(), p.contexts[plane].data(),
                        static_cast<uint64_t>(p.values[plane].size()), nullptr, p.values[plane].data(),
                        is_signed});
    const DeviceArray<RansPlaneJob> device_jobs(jobs.data(), static_cast<int64_t>(jobs.size()));
    decode_rans_planes_cuda(device_jobs.data(), static_cast<int>(jobs.size()), nullptr);
    check_cuda(cudaDeviceSynchronize());  // The jobs are freed here.
  }
  std::vector<std::vector<Array<int32_t>>> decoded;
  for (const DevicePayload& payload : payloads) {
    require_finished(payload);
    auto& out = decoded.emplace_back();
    for (const auto& values : payload.values) {
      out.push_back(new_array<int32_t>({static_cast<size_t>(values.size())}));
      values.copy_to(out.back().data());
    }
  }
  return decoded;
}

}  // namespace
}  // namespace scenepress

void bind_rans_cuda(nanobind::module_& m) { m.def("rans_decode_payloads", &scenepress::decode_payloads); }
