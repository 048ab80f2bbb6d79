// CUDA graphs of libtorch, behind a narrow C interface (declared in src/training/captured/library.rs). Their symbols are
// in libtorch_cuda alone: this is a shared library of its own, whose undefined symbols are found when it is loaded after
// that one.
//
// Each function returns a code of guarded.h; messages are freed with xreport_cuda_free.

#include <ATen/cuda/CUDAGraph.h>
#include <c10/cuda/CUDAStream.h>

#include <cstdlib>

#include "guarded.h"

extern "C" {

struct XreportGraph {
  at::cuda::CUDAGraph graph;
};

void xreport_cuda_free(void* memory) { std::free(memory); }

// Makes a stream of libtorch's pool the one on which this thread computes: the default stream cannot be captured. What was
// given to the default stream before is done first.
int xreport_cuda_leave_default_stream(int device, char** message) {
  return guarded(message, [&] {
    c10::cuda::getDefaultCUDAStream(static_cast<c10::DeviceIndex>(device)).synchronize();
    c10::cuda::setCurrentCUDAStream(c10::cuda::getStreamFromPool(false, static_cast<c10::DeviceIndex>(device)));
    return DONE;
  });
}

// Begins to capture what this thread gives to its stream. Its memory is of `like`'s pool, where one is given: graphs that
// share a pool are replayed one after the other.
int xreport_cuda_graph_begin(XreportGraph* like, XreportGraph** begun, char** message) {
  return guarded(message, [&] {
    auto* graph = new XreportGraph();
    try {
      // Other threads go on loading images: what they ask of CUDA (pinned memory) must not end the capture.
      const auto mode = cudaStreamCaptureModeThreadLocal;
      graph->graph.capture_begin(like == nullptr ? at::MempoolId_t{0, 0} : like->graph.pool(), mode);
    } catch (...) {
      delete graph;
      throw;
    }
    *begun = graph;
    return DONE;
  });
}

// Ends the capture; nothing has been computed yet.
int xreport_cuda_graph_end(XreportGraph* graph, char** message) {
  return guarded(message, [&] {
    graph->graph.capture_end();
    return DONE;
  });
}

// Computes what was captured, with what its tensors hold now.
int xreport_cuda_graph_replay(XreportGraph* graph, char** message) {
  return guarded(message, [&] {
    graph->graph.replay();
    return DONE;
  });
}

void xreport_cuda_graph_free(XreportGraph* graph) {
  try {
    delete graph;
  } catch (...) {
    // Nobody is left to tell.
  }
}

}  // extern "C"
