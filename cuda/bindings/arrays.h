// What every binding needs: owned output arrays, and work without the interpreter lock.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstddef>
#include <initializer_list>
#include <stdexcept>

namespace scenepress {

namespace nb = nanobind;

template <typename T>
using Array = nb::ndarray<nb::numpy, T>;
template <typename T>
using Input1 = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Input2 = nb::ndarray<const T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Input3 = nb::ndarray<const T, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Output1 = nb::ndarray<T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;
template <typename T>
using Output2 = nb::ndarray<T, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

inline void check(bool fine, const char* message) {
  if (!fine) throw std::invalid_argument(message);
}

// A new array, not initialised, that Python owns.
template <typename T>
inline Array<T> new_array(std::initializer_list<size_t> shape) {
  size_t count = 1;
  for (size_t extent : shape) count *= extent;
  T* data = new T[count];
  return Array<T>(data, shape, nb::capsule(data, [](void* p) noexcept { delete[] static_cast<T*>(p); }));
}

template <typename Body>
inline auto without_gil(Body body) {
  nb::gil_scoped_release released;
  return body();
}

}  // namespace scenepress
