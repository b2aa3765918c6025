// A warp decodes one payload: lane = way. Only the positions in words and raw bits pass between lanes.
#include <stdexcept>
#include <string>

#include "gpu/rans.h"

namespace scenepress {

namespace {

constexpr unsigned kAllLanes = 0xFFFFFFFF;

// Sum of `value` over the lanes up to this one.
__device__ uint32_t sum_up_to(uint32_t value, unsigned lane) {
  for (unsigned distance = 1; distance < 32; distance *= 2) {
    const uint32_t below = __shfl_up_sync(kAllLanes, value, distance);
    if (lane >= distance) value += below;
  }
  return value;
}

// Completes the tokens of one group by their raw bits, which start at *position. False if there are too few.
__device__ bool write_values(const RansPlaneJob& job, const RansCursor& cursor, uint64_t i, bool active,
                             uint32_t token, uint64_t* position, unsigned lane) {
  const uint32_t length = active ? token_raw_length(token) : 0;
  const uint32_t end = sum_up_to(length, lane);
  const uint64_t first = *position + end - length;
  *position += __shfl_sync(kAllLanes, end, 31);
  if (*position > cursor.raw_bit_count) return false;
  if (!active) return true;
  uint32_t raw = 0;
  if (length > 0) {
    const uint8_t* bytes = cursor.raw + (first >> 3);
    const uint32_t window = bytes[0] | bytes[1] << 8 | bytes[2] << 16 | static_cast<uint32_t>(bytes[3]) << 24;
    raw = window >> (first & 7) & ((1u << length) - 1);
  }
  const uint32_t magnitude = token_base(token) + raw;
  job.values[i] = job.is_signed ? unzigzag(magnitude) : static_cast<int32_t>(magnitude);
  return true;
}

__global__ void decode_rans_planes_kernel(const RansPlaneJob* jobs) {
  const RansPlaneJob job = jobs[blockIdx.x];
  RansCursor& cursor = *job.cursor;
  const unsigned lane = threadIdx.x, below = (1u << lane) - 1;
  const unsigned ways = static_cast<unsigned>(cursor.ways);
  uint32_t state = cursor.states[lane];
  uint64_t word = cursor.word, raw_bit = cursor.raw_bit;
  bool exhausted = cursor.exhausted;
  for (uint64_t first = 0; first < job.count && !exhausted; first += ways) {
    const uint64_t i = first + lane;
    const bool active = lane < ways && i < job.count;
    uint32_t entry = 0;
    if (active) {
      entry = job.entries[job.offset_of[job.contexts[i]] + (state & (kRansSlots - 1))];
      state = rans_advance(state, entry);
      if (job.tokens) job.tokens[i] = static_cast<uint8_t>(entry);
    }
    const bool low = active && state < kRansLower;
    const unsigned lows = __ballot_sync(kAllLanes, low);
    const uint64_t mine = word + static_cast<unsigned>(__popc(lows & below));
    word += static_cast<unsigned>(__popc(lows));
    exhausted = word > cursor.word_count;
    if (low && !exhausted) state = state << 16 | cursor.words[mine];
    if (job.values && !exhausted) exhausted = !write_values(job, cursor, i, active, entry & 255, &raw_bit, lane);
  }
  cursor.states[lane] = state;
  if (lane == 0) {
    cursor.word = word;
    cursor.raw_bit = raw_bit;
    cursor.exhausted = exhausted;
  }
}

__global__ void expand_rans_tables_kernel(const uint16_t* frequencies, uint32_t* entries) {
  __shared__ uint32_t starts[kRansSymbols + 1];
  const uint16_t* row = frequencies + size_t(blockIdx.x) * kRansSymbols;
  if (threadIdx.x == 0) {
    starts[0] = 0;
    for (int s = 0; s < kRansSymbols; ++s) starts[s + 1] = starts[s] + row[s];
  }
  __syncthreads();
  uint32_t* table = entries + size_t(blockIdx.x) * kRansSlots;
  const uint32_t symbol = threadIdx.x, start = starts[symbol], frequency = row[symbol];
  for (uint32_t bias = 0; bias < frequency; ++bias) table[start + bias] = rans_entry(symbol, frequency, bias);
}

void require_launched() {
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA launch failed: ") + cudaGetErrorString(error));
}

}  // namespace

void expand_rans_tables_cuda(const uint16_t* frequencies, uint32_t* entries, int tables, void* stream) {
  if (tables == 0) return;
  expand_rans_tables_kernel<<<unsigned(tables), kRansSymbols, 0, static_cast<cudaStream_t>(stream)>>>(frequencies,
                                                                                                      entries);
  require_launched();
}

void decode_rans_planes_cuda(const RansPlaneJob* jobs, int count, void* stream) {
  if (count == 0) return;
  decode_rans_planes_kernel<<<unsigned(count), 32, 0, static_cast<cudaStream_t>(stream)>>>(jobs);
  require_launched();
}

}  // namespace scenepress
