// Memory on the device, freed when it goes out of scope; errors are exceptions.
#pragma once

#include <cuda_runtime.h>

#include <cstdint>
#include <stdexcept>
#include <string>
#include <utility>

namespace scenepress {

inline void check_cuda(cudaError_t status) {
  if (status != cudaSuccess) throw std::runtime_error(std::string("CUDA: ") + cudaGetErrorString(status));
}

template <typename T>
class DeviceArray {
 public:
  DeviceArray() = default;
  // Not initialised.
  explicit DeviceArray(int64_t size) : size_(size) {
    if (size > 0) check_cuda(cudaMalloc(&data_, sizeof(T) * static_cast<size_t>(size)));
  }
  DeviceArray(const T* host, int64_t size) : DeviceArray(size) {
    if (size > 0) check_cuda(cudaMemcpy(data_, host, bytes(), cudaMemcpyHostToDevice));
  }
  DeviceArray(DeviceArray&& other) noexcept { swap(other); }
  DeviceArray& operator=(DeviceArray&& other) noexcept {
    swap(other);
    return *this;
  }
  ~DeviceArray() { cudaFree(data_); }

  T* data() { return data_; }
  const T* data() const { return data_; }
  int64_t size() const { return size_; }
  // Waits for the work before it.
  void copy_to(T* host) const {
    if (size_ > 0) check_cuda(cudaMemcpy(host, data_, bytes(), cudaMemcpyDeviceToHost));
  }

 private:
  size_t bytes() const { return sizeof(T) * static_cast<size_t>(size_); }
  void swap(DeviceArray& other) {
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
  }
  T* data_ = nullptr;
  int64_t size_ = 0;
};

}  // namespace scenepress
