// How our C++ answers to Rust: no exception leaves a function, which returns a code and, where it failed, a message that
// the caller frees with `std::free` of the same library.

#pragma once

#include <c10/util/Exception.h>

#include <cstdlib>
#include <cstring>
#include <exception>

namespace {

// Adds up the tensor in place over all processes; 0 when it is done.
using SumInPlace = int (*)(void* context, void* tensor);

constexpr int DONE = 0, TIMED_OUT = 1, FAILED = 2;

char* copied(const char* text) {
  auto* copy = static_cast<char*>(std::malloc(std::strlen(text) + 1));
  if (copy != nullptr) std::strcpy(copy, text);
  return copy;
}

// Runs `work`, which returns a code, and makes a message of what it throws.
template <typename Work>
int guarded(char** message, Work work) {
  try {
    return work();
  } catch (const c10::Error& error) {
    *message = copied(error.what_without_backtrace());
  } catch (const std::exception& error) {
    *message = copied(error.what());
  } catch (...) {
    *message = copied("an unknown exception");
  }
  return FAILED;
}

}  // namespace
