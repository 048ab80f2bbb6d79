// What follows a convolution in training on the CPU, in as few passes over memory as it takes: batch normalisation, 2×2 max
// pooling, ReLU, forward and backward. libtorch's own kernels, one after the other, read and write the largest tensors of
// the network three times as often.
//
// Normalisation is monotone in each channel, so what it does to a window can be asked of the window's four values, and
// only the chosen one is kept. Its gradient needs sums over chosen values alone, and reaches every value in one pass.
//
// Tensors are channels-last, float or bfloat16; all arithmetic is in float, sums over a batch in double. Sums go over fixed
// parts in a fixed order: the number of threads changes no bit.

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <cmath>
#include <cstdint>
#include <vector>

#include "floats.h"
#include "guarded.h"
#include "vectors.h"

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// Pixels whose sums are taken in float before they go on in double.
constexpr int64_t RUN = 128;
// Parts of an image whose sums are taken apart.
constexpr int64_t BANDS = 8;

// The processes that share a batch, of which this one has a part; none where `call` is null.
struct Others {
  SumInPlace call;
  void* context;
  // Images of the whole batch.
  int64_t images;

  // Adds up numbers over all processes.
  void add_up(std::vector<double>& numbers) const {
    if (call == nullptr) return;
    auto tensor = at::from_blob(numbers.data(), {static_cast<int64_t>(numbers.size())}, at::kDouble);
    TORCH_CHECK(call(context, &tensor) == 0, "the processes of this training could not add up a tensor");
  }
};

struct Size {
  int64_t images, height, width, channels;

  int64_t pooled_height() const { return height / 2; }
  int64_t pooled_width() const { return width / 2; }
  int64_t pixels() const { return images * height * width; }
};

// Sums and sums of squares of `value - origin` over pixels, channel by channel.
template <typename T>
INLINE void add_up_run(
    const T* __restrict__ x, int64_t pixels, int64_t channels, const float* __restrict__ origin,
    float* __restrict__ sum, float* __restrict__ squares) {
  int64_t pixel = 0;
  for (; pixel + 4 <= pixels; pixel += 4, x += 4 * channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float a = wide(x[c]) - origin[c], b = wide(x[c + channels]) - origin[c];
      const float d = wide(x[c + 2 * channels]) - origin[c], e = wide(x[c + 3 * channels]) - origin[c];
      sum[c] += (a + b) + (d + e);
      squares[c] += (a * a + b * b) + (d * d + e * e);
    }
  }
  for (; pixel < pixels; ++pixel, x += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float a = wide(x[c]) - origin[c];
      sum[c] += a;
      squares[c] += a * a;
    }
  }
}

// One row of windows: the value that normalisation and pooling choose, and what becomes of it.
template <typename T>
INLINE void pool_row(
    const T* __restrict__ upper, const T* __restrict__ lower, int64_t windows, int64_t channels,
    const float* __restrict__ factor, const float* __restrict__ offset, T* __restrict__ chosen, T* __restrict__ y) {
  for (int64_t w = 0; w < windows; ++w) {
    for (int64_t c = 0; c < channels; ++c) {
      const float f = factor[c], o = offset[c];
      const float v0 = wide(upper[c]), v1 = wide(upper[c + channels]);
      const float v2 = wide(lower[c]), v3 = wide(lower[c + channels]);
      const float u0 = v0 * f + o, u1 = v1 * f + o, u2 = v2 * f + o, u3 = v3 * f + o;
      float v = v0, u = u0;
      v = u1 > u ? v1 : v;
      u = u1 > u ? u1 : u;
      v = u2 > u ? v2 : v;
      u = u2 > u ? u2 : u;
      v = u3 > u ? v3 : v;
      u = u3 > u ? u3 : u;
      chosen[c] = narrow<T>(v);
      // What is no number stays none, so that the loss tells of it.
      y[c] = narrow<T>(u < 0.0f ? 0.0f : u);
    }
    upper += 2 * channels, lower += 2 * channels, chosen += channels, y += channels;
  }
}

// Sums of the gradients that ReLU lets through, and of their products with the chosen values' distance from the mean.
template <typename T>
INLINE void add_up_gradients(
    const T* __restrict__ gradient, const T* __restrict__ y, const T* __restrict__ chosen, int64_t windows,
    int64_t channels, const float* __restrict__ mean, float* __restrict__ sum, float* __restrict__ products) {
  for (int64_t w = 0; w < windows; ++w, gradient += channels, y += channels, chosen += channels) {
    for (int64_t c = 0; c < channels; ++c) {
      const float g = wide(y[c]) > 0.0f ? wide(gradient[c]) : 0.0f;
      sum[c] += g;
      products[c] += g * (wide(chosen[c]) - mean[c]);
    }
  }
}

// A row of windows' gradients: to all four values what comes by mean and variance, to the chosen one what comes by itself.
template <typename T>
INLINE void spread_row(
    const T* __restrict__ upper, const T* __restrict__ lower, const T* __restrict__ gradient, const T* __restrict__ y,
    const T* __restrict__ chosen, int64_t windows, int64_t channels, const float* __restrict__ factor,
    const float* __restrict__ slope, const float* __restrict__ shift, T* __restrict__ to_upper,
    T* __restrict__ to_lower) {
  for (int64_t w = 0; w < windows; ++w) {
    for (int64_t c = 0; c < channels; ++c) {
      const float v0 = wide(upper[c]), v1 = wide(upper[c + channels]);
      const float v2 = wide(lower[c]), v3 = wide(lower[c + channels]);
      const float v = wide(chosen[c]), s = slope[c], b = shift[c];
      // The first of equals has it.
      float own = wide(y[c]) > 0.0f ? wide(gradient[c]) * factor[c] : 0.0f;
      const float g0 = v0 == v ? own : 0.0f;
      own = v0 == v ? 0.0f : own;
      const float g1 = v1 == v ? own : 0.0f;
      own = v1 == v ? 0.0f : own;
      const float g2 = v2 == v ? own : 0.0f;
      own = v2 == v ? 0.0f : own;
      const float g3 = v3 == v ? own : 0.0f;
      to_upper[c] = narrow<T>(v0 * s + b + g0);
      to_upper[c + channels] = narrow<T>(v1 * s + b + g1);
      to_lower[c] = narrow<T>(v2 * s + b + g2);
      to_lower[c + channels] = narrow<T>(v3 * s + b + g3);
    }
    upper += 2 * channels, lower += 2 * channels, to_upper += 2 * channels, to_lower += 2 * channels;
    gradient += channels, y += channels, chosen += channels;
  }
}

// What no window holds (an odd row or column) has its share of the mean's and the variance's gradient.
template <typename T>
INLINE void spread_rest(
    const T* __restrict__ x, int64_t pixels, int64_t channels, const float* __restrict__ slope,
    const float* __restrict__ shift, T* __restrict__ to) {
  for (int64_t pixel = 0; pixel < pixels; ++pixel, x += channels, to += channels) {
    for (int64_t c = 0; c < channels; ++c) to[c] = narrow<T>(wide(x[c]) * slope[c] + shift[c]);
  }
}

DISPATCHED(
    add_up_run,
    (const T* x, int64_t pixels, int64_t channels, const float* origin, float* sum, float* squares),
    (x, pixels, channels, origin, sum, squares))
DISPATCHED(
    pool_row,
    (const T* upper, const T* lower, int64_t windows, int64_t channels, const float* factor, const float* offset,
     T* chosen, T* y),
    (upper, lower, windows, channels, factor, offset, chosen, y))
DISPATCHED(
    add_up_gradients,
    (const T* gradient, const T* y, const T* chosen, int64_t windows, int64_t channels, const float* mean, float* sum,
     float* products),
    (gradient, y, chosen, windows, channels, mean, sum, products))
DISPATCHED(
    spread_row,
    (const T* upper, const T* lower, const T* gradient, const T* y, const T* chosen, int64_t windows, int64_t channels,
     const float* factor, const float* slope, const float* shift, T* to_upper, T* to_lower),
    (upper, lower, gradient, y, chosen, windows, channels, factor, slope, shift, to_upper, to_lower))
DISPATCHED(
    spread_rest,
    (const T* x, int64_t pixels, int64_t channels, const float* slope, const float* shift, T* to),
    (x, pixels, channels, slope, shift, to))

// Two sums per channel over all rows of all images, `rows` in each: `add` adds the rows [from, to) of an image.
template <typename Add>
std::vector<double> sums(const Size& size, int64_t rows, Add add) {
  const int64_t bands = std::min(BANDS, std::max<int64_t>(rows, 1)), both = 2 * size.channels;
  std::vector<double> parts(size.images * bands * both, 0.0);
  at::parallel_for(0, size.images * bands, 1, [&](int64_t begin, int64_t end) {
    for (int64_t part = begin; part < end; ++part) {
      const int64_t band = part % bands;
      add(part / bands, rows * band / bands, rows * (band + 1) / bands, parts.data() + part * both);
    }
  });
  std::vector<double> all(both, 0.0);
  for (int64_t part = 0; part < size.images * bands; ++part) {
    for (int64_t c = 0; c < both; ++c) all[c] += parts[part * both + c];
  }
  return all;
}

// Adds sums in float, of which the second half stands behind the first, to sums in double, and empties them.
void flush(std::vector<float>& from, double* to) {
  for (size_t c = 0; c < from.size(); ++c) {
    to[c] += from[c];
    from[c] = 0.0f;
  }
}

// Row 0: scale / deviation; 1: what is added; 2: mean; 3: 1 / deviation. `f32 [4, C]`.
enum Coefficient { FACTOR, OFFSET, MEAN, INVERSE };

template <typename T>
struct Kernel {
  static Tensor coefficients(
      const T* x, const Size& size, const Others& others, const float* scale, const float* shift,
      float* running_mean, float* running_variance, double momentum, double epsilon) {
    const int64_t channels = size.channels, row = size.width * channels;
    // Distances from a value of the channel lose no digits in the square, wherever its mean lies.
    std::vector<float> origin(channels);
    for (int64_t c = 0; c < channels; ++c) origin[c] = wide(x[c]);
    auto total = sums(size, size.height, [&](int64_t image, int64_t from, int64_t to, double* sum) {
      std::vector<float> run(2 * channels, 0.0f);
      const T* rows = x + (image * size.height + from) * row;
      for (int64_t done = 0, pixels = (to - from) * size.width; done < pixels; done += RUN) {
        const int64_t count = std::min(RUN, pixels - done);
        add_up_run_any<T>(rows + done * channels, count, channels, origin.data(), run.data(), run.data() + channels);
        flush(run, sum);
      }
    });
    // Each process has an origin of its own: sums are exchanged about zero, in which doubles lose nothing.
    const double own = static_cast<double>(size.pixels());
    for (int64_t c = 0; c < channels; ++c) {
      const double distances = total[c], o = origin[c];
      total[c] = distances + own * o;
      total[channels + c] += 2.0 * o * distances + own * o * o;
    }
    others.add_up(total);
    const double count = static_cast<double>(others.images * size.height * size.width);
    auto result = at::empty({4, channels}, at::kFloat);
    float* out = result.data_ptr<float>();
    for (int64_t c = 0; c < channels; ++c) {
      const double mean = total[c] / count;
      const double variance = std::max(total[channels + c] / count - mean * mean, 0.0);
      const double inverse = 1.0 / std::sqrt(variance + epsilon), factor = scale[c] * inverse;
      out[FACTOR * channels + c] = static_cast<float>(factor);
      out[OFFSET * channels + c] = static_cast<float>(shift[c] - mean * factor);
      out[MEAN * channels + c] = static_cast<float>(mean);
      out[INVERSE * channels + c] = static_cast<float>(inverse);
      const double unbiased = variance * count / std::max(count - 1.0, 1.0);
      running_mean[c] += static_cast<float>(momentum * (mean - running_mean[c]));
      running_variance[c] += static_cast<float>(momentum * (unbiased - running_variance[c]));
    }
    return result;
  }

  static void pool(const T* x, const Size& size, const float* coefficients, T* chosen, T* y) {
    const int64_t channels = size.channels, row = size.width * channels, out = size.pooled_width() * channels;
    at::parallel_for(0, size.images * size.pooled_height(), 4, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t image = at / size.pooled_height(), line = at % size.pooled_height();
        const T* upper = x + (image * size.height + 2 * line) * row;
        pool_row_any<T>(
            upper, upper + row, size.pooled_width(), channels, coefficients, coefficients + channels,
            chosen + at * out, y + at * out);
      }
    });
  }

  // Sums per channel of the gradient of y that ReLU lets through, and of its products with distances from the mean.
  static std::vector<double> gradient_sums(
      const T* gradient, const T* y, const T* chosen, const Size& size, const float* mean) {
    const int64_t channels = size.channels, height = size.pooled_height(), row = size.pooled_width() * channels;
    return sums(size, height, [&](int64_t image, int64_t from, int64_t to, double* sum) {
      std::vector<float> run(2 * channels, 0.0f);
      const int64_t first = (image * height + from) * row;
      for (int64_t done = 0, windows = (to - from) * size.pooled_width(); done < windows; done += RUN) {
        const int64_t at = first + done * channels, count = std::min(RUN, windows - done);
        add_up_gradients_any<T>(
            gradient + at, y + at, chosen + at, count, channels, mean, run.data(), run.data() + channels);
        flush(run, sum);
      }
    });
  }

  static void spread(
      const T* x, const T* gradient, const T* y, const T* chosen, const Size& size, const float* factor,
      const float* slope, const float* shift, T* to) {
    const int64_t channels = size.channels, row = size.width * channels, in = size.pooled_width() * channels;
    const int64_t height = size.pooled_height(), odd = size.width % 2;
    at::parallel_for(0, size.images * height, 4, [&](int64_t begin, int64_t end) {
      for (int64_t at = begin; at < end; ++at) {
        const int64_t image = at / height, line = at % height;
        const int64_t upper = (image * size.height + 2 * line) * row, lower = upper + row;
        spread_row_any<T>(
            x + upper, x + lower, gradient + at * in, y + at * in, chosen + at * in, size.pooled_width(), channels,
            factor, slope, shift, to + upper, to + lower);
        for (const int64_t start : {upper, lower}) {
          const int64_t rest = start + 2 * in;
          spread_rest_any<T>(x + rest, odd, channels, slope, shift, to + rest);
        }
        if (size.height % 2 == 1 && line + 1 == height) {
          const int64_t last = lower + row;
          spread_rest_any<T>(x + last, size.width, channels, slope, shift, to + last);
        }
      }
    });
  }
};

Size size_of(const Tensor& x) { return {x.size(0), x.size(2), x.size(3), x.size(1)}; }

struct NormPoolRelu : torch::autograd::Function<NormPoolRelu> {
  static Tensor forward(
      AutogradContext* saved, const Tensor& x, const Tensor& scale, const Tensor& shift, const Tensor& running_mean,
      const Tensor& running_variance, double momentum, double epsilon, int64_t call, int64_t context,
      int64_t images) {
    const auto input = x.contiguous(at::MemoryFormat::ChannelsLast);
    const Size size = size_of(input);
    const Others others = others_of(call, context, images);
    TORCH_CHECK(size.pooled_height() > 0 && size.pooled_width() > 0, "an image of at least 2 × 2 pixels expected");
    const auto scales = scale.contiguous(), shifts = shift.contiguous();
    auto y = at::empty(
        {size.images, size.channels, size.pooled_height(), size.pooled_width()}, input.options(),
        at::MemoryFormat::ChannelsLast);
    auto chosen = at::empty_like(y);
    Tensor coefficients;
    for_kind(input, [&](auto* kind) {
      using T = std::remove_pointer_t<decltype(kind)>;
      coefficients = Kernel<T>::coefficients(
          data<T>(input), size, others, data<float>(scales), data<float>(shifts), data<float>(running_mean),
          data<float>(running_variance), momentum, epsilon);
      Kernel<T>::pool(data<T>(input), size, data<float>(coefficients), data<T>(chosen), data<T>(y));
    });
    saved->save_for_backward({input, chosen, y, coefficients});
    saved->saved_data["call"] = call;
    saved->saved_data["context"] = context;
    saved->saved_data["images"] = images;
    return y;
  }

  static Others others_of(int64_t call, int64_t context, int64_t images) {
    return {reinterpret_cast<SumInPlace>(call), reinterpret_cast<void*>(context), images};
  }

  static variable_list backward(AutogradContext* saved, variable_list gradients) {
    const auto kept = saved->get_saved_variables();
    const auto &x = kept[0], &chosen = kept[1], &y = kept[2], &coefficients = kept[3];
    const auto gradient = gradients[0].to(x.scalar_type()).contiguous(at::MemoryFormat::ChannelsLast);
    const Size size = size_of(x);
    auto& data_saved = saved->saved_data;
    const Others others =
        others_of(data_saved["call"].toInt(), data_saved["context"].toInt(), data_saved["images"].toInt());
    const int64_t channels = size.channels;
    const float* known = data<float>(coefficients);
    auto to_x = at::empty_like(x, x.options(), at::MemoryFormat::ChannelsLast);
    auto to_scale = at::empty({channels}, at::kFloat), to_shift = at::empty({channels}, at::kFloat);
    for_kind(x, [&](auto* kind) {
      using T = std::remove_pointer_t<decltype(kind)>;
      auto sums = Kernel<T>::gradient_sums(
          data<T>(gradient), data<T>(y), data<T>(chosen), size, known + MEAN * channels);
      for (int64_t c = 0; c < channels; ++c) {
        // Gradients of weights are added up over the processes elsewhere.
        const double inverse = known[INVERSE * channels + c];
        data<float>(to_scale)[c] = static_cast<float>(sums[channels + c] * inverse);
        data<float>(to_shift)[c] = static_cast<float>(sums[c]);
      }
      others.add_up(sums);
      std::vector<float> slope(channels), shift(channels);
      const double count = static_cast<double>(others.images * size.height * size.width);
      for (int64_t c = 0; c < channels; ++c) {
        const double factor = known[FACTOR * channels + c], mean = known[MEAN * channels + c];
        const double inverse = known[INVERSE * channels + c];
        const double by_variance = inverse * inverse * sums[channels + c] / count;
        slope[c] = static_cast<float>(-factor * by_variance);
        shift[c] = static_cast<float>(factor * (by_variance * mean - sums[c] / count));
      }
      Kernel<T>::spread(
          data<T>(x), data<T>(gradient), data<T>(y), data<T>(chosen), size, known + FACTOR * channels, slope.data(),
          shift.data(), data<T>(to_x));
    });
    variable_list all(10);
    all[0] = to_x, all[1] = to_scale, all[2] = to_shift;
    return all;
  }
};

}  // namespace

extern "C" {

// x `[B, C, H, W]`, float or bfloat16 → `[B, C, H/2, W/2]`, channels-last; scale, shift and the running statistics, which
// are updated, `f32 [C]`. Differentiable in x, scale and shift. `images`: of the whole batch, whose parts other processes
// have where `call` is not null; it adds up over them, with `context`, forward and backward.
int xreport_norm_pool_relu(
    const at::Tensor* x, const at::Tensor* scale, const at::Tensor* shift, const at::Tensor* running_mean,
    const at::Tensor* running_variance, double momentum, double epsilon, SumInPlace call, void* context, int64_t images,
    at::Tensor** y, char** message) {
  return guarded(message, [&] {
    *y = new at::Tensor(NormPoolRelu::apply(
        *x, *scale, *shift, *running_mean, *running_variance, momentum, epsilon, reinterpret_cast<int64_t>(call),
        reinterpret_cast<int64_t>(context), images));
    return DONE;
  });
}

}  // extern "C"
