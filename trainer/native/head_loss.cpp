// The vocabulary head with its loss, in training on the CPU: logits, softmax, cross-entropy with label smoothing, and all
// gradients in the forward pass. The scores of all tokens are the largest tensor of a step; here it is there once and is
// turned in place into its own gradient, where libtorch's functions hold four of its size, one after the other.

#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "floats.h"
#include "guarded.h"
#include "vectors.h"

namespace {

using at::Tensor;
using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// e^x for x ≤ 0, within 2 units of the last place: 2^n times a polynomial on half an octave to each side (the coefficients
// are those of the series of e^r, r ≤ 0.35: its eighth term is below 1e-8).
INLINE float exponential(float x) {
  // Below, the result is no normal number any more: nothing beside the largest, whose exponential is 1.
  x = x < -87.0f ? -87.0f : x;
  const float n = std::nearbyintf(x * 1.44269504088896341f);
  const float r = x - n * 0.693359375f - n * -2.12194440e-4f;
  float p = 1.0f / 5040;
  p = p * r + 1.0f / 720;
  p = p * r + 1.0f / 120;
  p = p * r + 1.0f / 24;
  p = p * r + 1.0f / 6;
  p = p * r + 0.5f;
  p = p * r + 1.0f;
  p = p * r + 1.0f;
  const int32_t bits = (static_cast<int32_t>(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, sizeof power);
  return p * power;
}

struct Row {
  // Largest score, natural logarithm of the sum of all exponentials, sum of the scores.
  float most, log_sum;
  double scores;
};

// A row's scores into `room` as their exponentials over the largest one. What is no number makes the sum none.
template <typename T>
INLINE void exponentials(const T* __restrict__ scores, int64_t count, float* __restrict__ room, Row* row) {
  constexpr int64_t LANES = 16;
  float most[LANES], sums[LANES];
  for (int64_t lane = 0; lane < LANES; ++lane) most[lane] = -INFINITY, sums[lane] = 0.0f;
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) {
    for (int64_t lane = 0; lane < LANES; ++lane) {
      const float value = wide(scores[i + lane]);
      room[i + lane] = value;
      most[lane] = value > most[lane] ? value : most[lane];
      sums[lane] += value;
    }
  }
  for (; i < count; ++i) {
    const float value = wide(scores[i]);
    room[i] = value;
    most[0] = value > most[0] ? value : most[0];
    sums[0] += value;
  }
  row->most = most[0];
  row->scores = sums[0];
  for (int64_t lane = 1; lane < LANES; ++lane) {
    row->most = std::max(row->most, most[lane]);
    row->scores += sums[lane];
  }
  float parts[LANES];
  for (int64_t lane = 0; lane < LANES; ++lane) parts[lane] = 0.0f;
  const float top = row->most;
  for (i = 0; i + LANES <= count; i += LANES) {
    for (int64_t lane = 0; lane < LANES; ++lane) {
      const float value = exponential(room[i + lane] - top);
      room[i + lane] = value;
      parts[lane] += value;
    }
  }
  double sum = 0.0;
  for (; i < count; ++i) sum += room[i] = exponential(room[i] - top);
  for (int64_t lane = 0; lane < LANES; ++lane) sum += parts[lane];
  row->log_sum = top + static_cast<float>(std::log(sum));
}

template <typename T>
INLINE void scaled(const float* __restrict__ room, int64_t count, float factor, float less, T* __restrict__ to) {
  for (int64_t i = 0; i < count; ++i) to[i] = narrow<T>(room[i] * factor - less);
}

DISPATCHED(exponentials, (const T* scores, int64_t count, float* room, Row* row), (scores, count, room, row))
DISPATCHED(scaled, (const float* room, int64_t count, float factor, float less, T* to), (room, count, factor, less, to))

struct Outcome {
  double loss = 0.0, correct = 0.0;
};

// Turns scores `[N, V]` into the gradient of the mean loss by them. Rows whose target is negative do not count.
template <typename T>
Outcome turn(T* scores, const int64_t* targets, int64_t rows, int64_t vocabulary, double smoothing) {
  int64_t counted = 0;
  for (int64_t row = 0; row < rows; ++row) counted += targets[row] >= 0 ? 1 : 0;
  const double share = 1.0 / static_cast<double>(std::max<int64_t>(counted, 1));
  std::vector<Outcome> outcomes(rows);
  at::parallel_for(0, rows, 8, [&](int64_t begin, int64_t end) {
    std::vector<float> room(vocabulary);
    for (int64_t at = begin; at < end; ++at) {
      T* own = scores + at * vocabulary;
      const int64_t target = targets[at];
      if (target < 0) {
        std::fill(own, own + vocabulary, T(0));
        continue;
      }
      TORCH_CHECK_INDEX(target < vocabulary, "target ", target, " of a vocabulary of ", vocabulary);
      const float wanted = wide(own[target]);
      Row row;
      exponentials_any<T>(own, vocabulary, room.data(), &row);
      const double mean = row.scores / static_cast<double>(vocabulary);
      outcomes[at].loss = (1.0 - smoothing) * (row.log_sum - wanted) + smoothing * (row.log_sum - mean);
      outcomes[at].correct = wanted == row.most ? 1.0 : 0.0;
      const float factor = static_cast<float>(std::exp(static_cast<double>(row.most) - row.log_sum) * share);
      const float less = static_cast<float>(smoothing * share / static_cast<double>(vocabulary));
      const float of_target = room[target] * factor - less - static_cast<float>((1.0 - smoothing) * share);
      scaled_any<T>(room.data(), vocabulary, factor, less, own);
      own[target] = narrow<T>(of_target);
    }
  });
  Outcome all;
  for (const auto& outcome : outcomes) {
    all.loss += outcome.loss * share;
    all.correct += outcome.correct;
  }
  return all;
}

struct HeadLoss : torch::autograd::Function<HeadLoss> {
  static variable_list forward(
      AutogradContext* saved, const Tensor& hidden, const Tensor& weight, const Tensor& bias, const Tensor& targets,
      double smoothing) {
    auto scores = at::linear(hidden, weight, bias);
    const auto wanted = targets.contiguous();
    Outcome outcome;
    for_kind(scores, [&](auto* kind) {
      using T = std::remove_pointer_t<decltype(kind)>;
      outcome = turn<T>(
          data<T>(scores), data<int64_t>(wanted), scores.size(0), scores.size(1), smoothing);
    });
    saved->save_for_backward({scores.mm(weight), scores.t().mm(hidden), scores.sum(0)});
    auto correct = at::scalar_tensor(outcome.correct, at::kDouble);
    saved->mark_non_differentiable({correct});
    return {at::scalar_tensor(outcome.loss, at::kFloat), correct};
  }

  static variable_list backward(AutogradContext* saved, variable_list gradients) {
    auto kept = saved->get_saved_variables();
    const double factor = gradients[0].item<double>();
    if (factor != 1.0) {
      for (auto& gradient : kept) gradient = gradient * factor;
    }
    return {kept[0], kept[1], kept[2], Tensor(), Tensor()};
  }
};

}  // namespace

extern "C" {

// Hidden states `[N, D]`, weight `[V, D]`, bias `[V]`, all float or all bfloat16, targets `i64 [N]` (negative: does not
// count) → mean loss `f32 []`, differentiable, and how many targets have the highest score, `f64 []`.
int xreport_head_loss(
    const at::Tensor* hidden, const at::Tensor* weight, const at::Tensor* bias, const at::Tensor* targets,
    double smoothing, at::Tensor** loss, at::Tensor** correct, char** message) {
  return guarded(message, [&] {
    auto found = HeadLoss::apply(*hidden, *weight, *bias, *targets, smoothing);
    *loss = new at::Tensor(found[0]);
    *correct = new at::Tensor(found[1]);
    return DONE;
  });
}

}  // extern "C"
