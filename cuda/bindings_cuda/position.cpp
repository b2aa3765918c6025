// The position stage on a device, many streams at once: what tests/gpu compares with the other backends.
#include "gpu/position.h"

#include <nanobind/stl/pair.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <stdexcept>
#include <tuple>
#include <utility>
#include <vector>

#include "bindings/arrays.h"
#include "cpu/position.h"
#include "gpu/device_array.h"

namespace scenepress {
namespace {

using Stream = std::tuple<nb::bytes, size_t, Input1<uint64_t>, int>;  // Payload, count, coarse codes, bits.
using Decoded = std::pair<Array<uint64_t>, int>;

// Everything of one stream that lives on the device.
struct DeviceStream {
  DeviceArray<uint8_t> payload;
  DeviceArray<uint64_t> codes, coarse;
  DeviceArray<PositionNode> nodes;
};

DeviceStream upload(const Stream& stream) {
  const auto& [payload, count, coarse, bits] = stream;
  if (count < 1 || count > kPositionMaxCount || coarse.shape(0) > kPositionMaxCount || bits < 0 ||
      bits > kPositionMaxBits)
    throw std::invalid_argument("a stream's count or bits are out of range");
  return {{static_cast<const uint8_t*>(payload.data()), static_cast<int64_t>(payload.size())},
          DeviceArray<uint64_t>(static_cast<int64_t>(count)),
          {coarse.data(), static_cast<int64_t>(coarse.shape(0))},
          DeviceArray<PositionNode>(static_cast<int64_t>(position_room(static_cast<uint32_t>(count))))};
}

std::vector<Decoded> decode_streams(const std::vector<Stream>& streams) {
  const int64_t count = static_cast<int64_t>(streams.size());
  std::vector<DeviceStream> buffers;
  std::vector<PositionStream> jobs;
  DeviceArray<PositionModel> models(count);
  DeviceArray<PositionResult> results(count);
  for (const Stream& stream : streams) {
    DeviceStream& buffer = buffers.emplace_back(upload(stream));
    const size_t i = jobs.size();
    jobs.push_back({buffer.payload.data(), std::get<0>(stream).size(), buffer.codes.data(),
                    static_cast<uint32_t>(buffer.codes.size()), buffer.coarse.data(),
                    static_cast<uint32_t>(buffer.coarse.size()), std::get<3>(stream), models.data() + i,
                    buffer.nodes.data(), results.data() + i});
  }
  const DeviceArray<PositionStream> device_jobs(jobs.data(), count);
  const DeviceArray<PositionModel> initial(&initial_position_model(), 1);
  decode_positions_cuda(device_jobs.data(), initial.data(), static_cast<int>(count), nullptr);
  std::vector<PositionResult> found(streams.size());
  results.copy_to(found.data());
  std::vector<Decoded> decoded;
  for (size_t i = 0; i < found.size(); ++i) {
    auto codes = new_array<uint64_t>({static_cast<size_t>(buffers[i].codes.size())});
    buffers[i].codes.copy_to(codes.data());
    decoded.emplace_back(codes, static_cast<int>(found[i]));
  }
  return decoded;
}

Array<uint64_t> codes_of(Input2<uint32_t> xyz) {
  if (xyz.shape(1) != 3) throw std::invalid_argument("xyz must be [n, 3]");
  const int64_t n = static_cast<int64_t>(xyz.shape(0));
  const DeviceArray<uint32_t> cells(xyz.data(), 3 * n);
  DeviceArray<uint64_t> codes(n);
  morton_codes_cuda(cells.data(), codes.data(), n, nullptr);
  auto out = new_array<uint64_t>({xyz.shape(0)});
  codes.copy_to(out.data());
  return out;
}

Array<uint32_t> cells_of(Input1<uint64_t> host) {
  const int64_t n = static_cast<int64_t>(host.shape(0));
  const DeviceArray<uint64_t> codes(host.data(), n);
  DeviceArray<uint32_t> cells(3 * n);
  morton_cells_cuda(codes.data(), cells.data(), n, nullptr);
  auto out = new_array<uint32_t>({host.shape(0), 3});
  cells.copy_to(out.data());
  return out;
}

}  // namespace
}  // namespace scenepress

void bind_position_cuda(nanobind::module_& m) {
  m.def("decode_position_streams", &scenepress::decode_streams);
  m.def("morton_codes", &scenepress::codes_of);
  m.def("morton_cells", &scenepress::cells_of);
}
