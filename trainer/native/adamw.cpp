// AdamW's update (Loshchilov and Hutter 2019) in one pass over memory instead of ten, on the CPU.

#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <cmath>
#include <cstdint>

#include "guarded.h"
#include "vectors.h"

extern "C" {

// See AdamWNumbers in src/native/kernels.rs.
struct XreportAdamW {
  float beta1, beta2, kept, floor, factor;
};

}  // extern "C"

namespace {

// Elements that a thread takes at least.
constexpr int64_t GRAIN = 1 << 15;

template <typename T>
INLINE void update(
    T* __restrict__ weights, const T* __restrict__ gradient, T* __restrict__ first, T* __restrict__ second,
    int64_t count, float kept, XreportAdamW numbers) {
  const float taken1 = 1.0f - numbers.beta1, taken2 = 1.0f - numbers.beta2;
  for (int64_t i = 0; i < count; ++i) {
    const float g = gradient[i];
    const float m = first[i] + taken1 * (g - first[i]);
    const float v = second[i] * numbers.beta2 + (g * taken2) * g;
    first[i] = m;
    second[i] = v;
    weights[i] = weights[i] * kept + m / (std::sqrt(v) + numbers.floor) * numbers.factor;
  }
}

DISPATCHED(
    update,
    (T* weights, const T* gradient, T* first, T* second, int64_t count, float kept, XreportAdamW numbers),
    (weights, gradient, first, second, count, kept, numbers))

float* data(const at::Tensor& tensor, int64_t count) {
  TORCH_CHECK(
      tensor.scalar_type() == at::kFloat && tensor.is_contiguous() && tensor.is_cpu() && tensor.numel() == count,
      "a contiguous tensor of ", count, " floats on the CPU expected, found ", tensor.toString(), " ", tensor.sizes());
  return tensor.data_ptr<float>();
}

}  // namespace

extern "C" {

int xreport_adamw(
    const at::Tensor* weights, const at::Tensor* gradient, const at::Tensor* first, const at::Tensor* second,
    int64_t decayed, const XreportAdamW* numbers, char** message) {
  return guarded(message, [&] {
    const int64_t all = weights->numel();
    float *w = data(*weights, all), *g = data(*gradient, all), *m = data(*first, all), *v = data(*second, all);
    const auto range = [&](int64_t begin, int64_t end, float kept) {
      at::parallel_for(begin, end, GRAIN, [&](int64_t from, int64_t to) {
        update_any<float>(w + from, g + from, m + from, v + from, to - from, kept, *numbers);
      });
    };
    range(0, decayed, numbers->kept);
    range(decayed, all, 1.0f);
    return DONE;
  });
}

}  // extern "C"
