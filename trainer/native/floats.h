// Floats and bfloat16 in kernels: arithmetic is in float, whatever memory holds.

#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <cstring>
#include <type_traits>

#include "vectors.h"

namespace {

INLINE float wide(float value) { return value; }
INLINE float wide(uint16_t value) {
  const uint32_t bits = static_cast<uint32_t>(value) << 16;
  float result;
  std::memcpy(&result, &bits, sizeof result);
  return result;
}

template <typename T>
INLINE T narrow(float value);
template <>
INLINE float narrow<float>(float value) {
  return value;
}
// To the nearest bfloat16, to even between two.
template <>
INLINE uint16_t narrow<uint16_t>(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof bits);
  return static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
}

// Calls `work` with a null pointer of the type that holds the tensor's elements.
template <typename Work>
void for_kind(const at::Tensor& x, Work work) {
  if (x.scalar_type() == at::kFloat) {
    work(static_cast<float*>(nullptr));
  } else {
    TORCH_CHECK(x.scalar_type() == at::kBFloat16, "float or bfloat16 expected, found ", x.scalar_type());
    work(static_cast<uint16_t*>(nullptr));
  }
}

template <typename T>
T* data(const at::Tensor& tensor) {
  return static_cast<T*>(tensor.data_ptr());
}

}  // namespace
