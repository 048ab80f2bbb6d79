// Kernels compiled once for each width of vectors, the widest that the processor has chosen when they are called.

#pragma once

#define INLINE inline __attribute__((always_inline))

#if defined(__x86_64__)
#define WIDEST __attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,fma,prefer-vector-width=512")))
#define WIDE __attribute__((target("avx2,fma")))

namespace {

bool has_widest() {
  static const bool has = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
  return has;
}

bool has_wide() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
  return has;
}

}  // namespace

// `name_any<T> arguments` calls the INLINE function template `name` in the form that fits.
#define DISPATCHED(name, parameters, arguments)            \
  template <typename T>                                    \
  WIDEST void name##_widest parameters { name arguments; } \
  template <typename T>                                    \
  WIDE void name##_wide parameters { name arguments; }     \
  template <typename T>                                    \
  void name##_any parameters {                             \
    if (has_widest()) return name##_widest<T> arguments;   \
    if (has_wide()) return name##_wide<T> arguments;       \
    name arguments;                                        \
  }
#else
#define DISPATCHED(name, parameters, arguments) \
  template <typename T>                         \
  void name##_any parameters { name arguments; }
#endif
