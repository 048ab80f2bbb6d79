// What tch does not reach of libtorch, behind a narrow C interface (declared in src/native.rs): c10d's key-value store
// over TCP, a sum over all processes of a training that autograd can go back through, and pinned memory.
//
// Each function returns a code of guarded.h; messages are freed with xreport_free.

#include <torch/csrc/autograd/custom_function.h>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "guarded.h"

namespace {

struct Sum : torch::autograd::Function<Sum> {
  static at::Tensor over_all(const at::Tensor& own, int64_t call, int64_t context) {
    auto sum = own.detach().clone(at::MemoryFormat::Contiguous);
    if (reinterpret_cast<SumInPlace>(call)(reinterpret_cast<void*>(context), &sum) != 0) {
      throw std::runtime_error("the processes of this training could not add up a tensor");
    }
    return sum;
  }

  static at::Tensor forward(
      torch::autograd::AutogradContext* saved, const at::Tensor& own, int64_t call, int64_t context) {
    saved->saved_data["call"] = call;
    saved->saved_data["context"] = context;
    return over_all(own, call, context);
  }

  // Every process's loss depends on the sum: the gradient of each summand is the sum of their gradients.
  static torch::autograd::variable_list backward(
      torch::autograd::AutogradContext* saved, torch::autograd::variable_list gradients) {
    auto gradient =
        over_all(gradients[0], saved->saved_data["call"].toInt(), saved->saved_data["context"].toInt());
    return {gradient, at::Tensor(), at::Tensor()};
  }
};

}  // namespace

extern "C" {

struct XreportStore {
  c10::intrusive_ptr<c10d::TCPStore> store;
};

void xreport_free(void* memory) { std::free(memory); }

// Opens the store at host:port, as the process that serves it where `serves` is not 0.
int xreport_store_open(
    const char* host, uint16_t port, int serves, int64_t timeout_ms, XreportStore** opened, char** message) {
  return guarded(message, [&] {
    c10d::TCPStoreOptions options;
    options.port = port;
    options.isServer = serves != 0;
    options.waitWorkers = false;
    options.timeout = std::chrono::milliseconds(timeout_ms);
    *opened = new XreportStore{c10::make_intrusive<c10d::TCPStore>(host, options)};
    return DONE;
  });
}

void xreport_store_close(XreportStore* store) {
  try {
    delete store;
  } catch (...) {
    // Nobody is left to tell.
  }
}

int xreport_store_set(
    XreportStore* store, const char* key, const uint8_t* bytes, size_t length, char** message) {
  return guarded(message, [&] {
    store->store->set(key, std::vector<uint8_t>(bytes, bytes + length));
    return DONE;
  });
}

// The value of `key`, in memory that the caller frees; TIMED_OUT where it is not there in time.
int xreport_store_get(
    XreportStore* store, const char* key, int64_t timeout_ms, uint8_t** bytes, size_t* length, char** message) {
  return guarded(message, [&] {
    try {
      store->store->wait({key}, std::chrono::milliseconds(timeout_ms));
    } catch (const c10::DistStoreError& error) {
      if (std::string(error.what_without_backtrace()).find("timeout") != std::string::npos) return TIMED_OUT;
      throw;
    }
    auto value = store->store->get(key);
    *bytes = static_cast<uint8_t*>(std::malloc(value.empty() ? 1 : value.size()));
    if (*bytes == nullptr) throw std::bad_alloc();
    std::memcpy(*bytes, value.data(), value.size());
    *length = value.size();
    return DONE;
  });
}

// Whether `key` is there, without waiting.
int xreport_store_has(XreportStore* store, const char* key, int* has, char** message) {
  return guarded(message, [&] {
    *has = store->store->check({key}) ? 1 : 0;
    return DONE;
  });
}

// Adds `amount` to the number under `key`, 0 where there is none.
int xreport_store_add(XreportStore* store, const char* key, int64_t amount, int64_t* sum, char** message) {
  return guarded(message, [&] {
    *sum = store->store->add(key, amount);
    return DONE;
  });
}

int xreport_store_delete(XreportStore* store, const char* key, char** message) {
  return guarded(message, [&] {
    store->store->deleteKey(key);
    return DONE;
  });
}

// The sum of `own` over all processes, differentiable. `call` with `context` adds up in place, forward and backward.
int xreport_sum(const at::Tensor* own, SumInPlace call, void* context, at::Tensor** sum, char** message) {
  return guarded(message, [&] {
    *sum = new at::Tensor(
        Sum::apply(*own, reinterpret_cast<int64_t>(call), reinterpret_cast<int64_t>(context)));
    return DONE;
  });
}

// A copy of a CPU tensor in memory that the GPU reads by itself.
int xreport_pin(const at::Tensor* tensor, at::Tensor** pinned, char** message) {
  return guarded(message, [&] {
    *pinned = new at::Tensor(tensor->pin_memory());
    return DONE;
  });
}

}  // extern "C"
