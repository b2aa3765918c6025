// A position stream is sequential, so each thread takes one.
#include <stdexcept>
#include <string>

#include "gpu/position.h"

namespace scenepress {

namespace {

__global__ void decode_positions_kernel(const PositionStream* streams, const PositionModel* initial, int count) {
  const int i = int(blockIdx.x * blockDim.x + threadIdx.x);
  if (i >= count) return;
  const PositionStream& s = streams[i];
  *s.model = *initial;
  *s.result = decode_positions(s.payload, s.size, s.codes, s.n, s.coarse, s.m, s.bits, *s.model, s.nodes);
}

__global__ void morton_codes_kernel(const uint32_t* xyz, uint64_t* codes, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) codes[i] = morton_code(xyz + 3 * i);
}

__global__ void morton_cells_kernel(const uint64_t* codes, uint32_t* xyz, int64_t n) {
  const int64_t i = int64_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) morton_cell(codes[i], xyz + 3 * i);
}

void require_launched() {
  if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess)
    throw std::runtime_error(std::string("CUDA launch failed: ") + cudaGetErrorString(error));
}

unsigned blocks(int64_t n, int threads) { return unsigned((n + threads - 1) / threads); }

}  // namespace

void decode_positions_cuda(const PositionStream* streams, const PositionModel* initial, int count, void* stream) {
  if (count == 0) return;
  constexpr int kThreads = 32;  // Streams differ in length and path: small blocks spread over more processors.
  decode_positions_kernel<<<blocks(count, kThreads), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
      streams, initial, count);
  require_launched();
}

void morton_codes_cuda(const uint32_t* xyz, uint64_t* codes, int64_t n, void* stream) {
  if (n == 0) return;
  morton_codes_kernel<<<blocks(n, 256), 256, 0, static_cast<cudaStream_t>(stream)>>>(xyz, codes, n);
  require_launched();
}

void morton_cells_cuda(const uint64_t* codes, uint32_t* xyz, int64_t n, void* stream) {
  if (n == 0) return;
  morton_cells_kernel<<<blocks(n, 256), 256, 0, static_cast<cudaStream_t>(stream)>>>(codes, xyz, n);
  require_launched();
}

}  // namespace scenepress
