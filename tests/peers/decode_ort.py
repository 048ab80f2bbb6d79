"""Decoding speed of the same step graph, written with onnx.helper and run by Python's onnxruntime.

Usage: python3 decode_ort.py [--vocabulary N] [--threads N] [--shared FOLDER]
(needs: pip install onnx onnxruntime numpy; `cargo xtask prove decode-peer` starts it)

The graph: 3 decoder layers, width 512, 8 heads of 64, feed-forward 2048, 49 image tokens, 128 text positions, random
fp32 weights. Self-attention is com.microsoft GroupQueryAttention over a cache that is updated in place,
cross-attention com.microsoft MultiHeadAttention over the image's keys and values; the best token is fed back by
IoBinding. With --shared the graph is that of FOLDER/ort_graphs.py, built and driven by that file's own code.

Prints a line of JSON when ready, then answers each line {"batch": B, "tokens": N, "repeats": R} with
{"decode_ms": median milliseconds for N tokens}.
"""

import argparse
import json
import pathlib
import statistics
import sys
import tempfile
import time

import numpy as np
import onnx
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper

LAYERS, WIDTH, HEADS, HEAD_WIDTH, FFN, IMAGE_TOKENS, POSITIONS = 3, 512, 8, 64, 2048, 49, 128
MICROSOFT = "com.microsoft"
CACHE = ["B", HEADS, POSITIONS, HEAD_WIDTH]
CROSS = ["B", HEADS, IMAGE_TOKENS, HEAD_WIDTH]
START = 101


class Graph:
    """Nodes, weights, inputs and outputs as they come; every value gets a name of its own."""

    def __init__(self, seed):
        self.random = np.random.default_rng(seed)
        self.nodes, self.weights, self.inputs, self.outputs = [], [], [], []

    def input(self, name, kind, shape):
        self.inputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def output(self, name, kind, shape):
        self.outputs.append(helper.make_tensor_value_info(name, kind, shape))
        return name

    def constant(self, array):
        name = f"w{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(array), name))
        return name

    def random_weight(self, *shape):
        return self.constant(self.random.standard_normal(shape, dtype=np.float32) * np.float32(0.02))

    def node(self, kind, inputs, outputs=None, domain="", **attributes):
        outputs = outputs or [f"v{len(self.nodes)}"]
        self.nodes.append(helper.make_node(kind, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def linear(self, x, inputs, outputs):
        product = self.node("MatMul", [x, self.random_weight(inputs, outputs)])
        return self.node("Add", [product, self.constant(np.zeros(outputs, np.float32))])

    def norm(self, x):
        scale, shift = self.constant(np.ones(WIDTH, np.float32)), self.constant(np.zeros(WIDTH, np.float32))
        return self.node("LayerNormalization", [x, scale, shift], axis=-1, epsilon=1e-5)

    def self_attention(self, x, layer, position, total):
        past = [self.input(f"past_{part}_{layer}", TensorProto.FLOAT, CACHE) for part in ("key", "value")]
        present = [self.output(f"present_{part}_{layer}", TensorProto.FLOAT, CACHE) for part in ("key", "value")]
        qkv = self.linear(x, WIDTH, 3 * WIDTH)
        context = self.node(
            "GroupQueryAttention",
            [qkv, "", "", *past, position, total],
            [f"context_{layer}", *present],
            MICROSOFT,
            num_heads=HEADS,
            kv_num_heads=HEADS,
        )
        return self.linear(context, WIDTH, WIDTH)

    def cross_attention(self, x, layer):
        cross = [self.input(f"cross_{part}_{layer}", TensorProto.FLOAT, CROSS) for part in ("key", "value")]
        query = self.linear(x, WIDTH, WIDTH)
        context = self.node("MultiHeadAttention", [query, *cross], domain=MICROSOFT, num_heads=HEADS)
        return self.linear(context, WIDTH, WIDTH)

    def feed_forward(self, x):
        wide = self.node("Gelu", [self.linear(x, WIDTH, FFN)], domain=MICROSOFT)
        return self.linear(wide, FFN, WIDTH)

    def model(self):
        graph = helper.make_graph(self.nodes, "step", self.inputs, self.outputs, self.weights)
        opsets = [helper.make_opsetid("", 20), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def step_graph(vocabulary):
    graph = Graph(seed=1)
    ids = graph.input("input_ids", TensorProto.INT64, ["B", 1])
    position = graph.input("position", TensorProto.INT32, ["B"])
    # The buffer's length, as a constant: ONNX Runtime then updates it in place.
    total = graph.constant(np.array(POSITIONS, np.int32))
    place = graph.node("Gather", [graph.random_weight(POSITIONS, WIDTH), position])
    place = graph.node("Unsqueeze", [place, graph.constant(np.array([1], np.int64))])
    x = graph.node("Add", [graph.node("Gather", [graph.random_weight(vocabulary, WIDTH), ids]), place])
    for layer in range(LAYERS):
        x = graph.node("Add", [x, graph.self_attention(graph.norm(x), layer, position, total)])
        x = graph.node("Add", [x, graph.cross_attention(graph.norm(x), layer)])
        x = graph.node("Add", [x, graph.feed_forward(graph.norm(x))])
    logits = graph.node("MatMul", [graph.norm(x), graph.random_weight(WIDTH, vocabulary)])
    best = graph.output("next_ids", TensorProto.INT64, ["B", 1])
    graph.node("ArgMax", [logits], [best], axis=-1, keepdims=0)
    # The next position shares its buffer with the position, so it must be computed after all that read it: the
    # one that is added comes from the step's result.
    token = graph.node("Squeeze", [best, graph.constant(np.array([1], np.int64))])
    said = graph.node("GreaterOrEqual", [token, graph.constant(np.array(0, np.int64))])
    one = graph.node("Cast", [said], to=TensorProto.INT32)
    graph.node("Add", [position, one], [graph.output("next_position", TensorProto.INT32, ["B"])])
    return graph.model()


class Decoder:
    """Our graph in a session, its buffers bound onto one another."""

    def __init__(self, session, batch):
        value = ort.OrtValue.ortvalue_from_numpy
        random = np.random.default_rng(2)
        self.session, self.binding = session, session.io_binding()
        self.ids = value(np.full((batch, 1), START, np.int64))
        self.position = value(np.zeros(batch, np.int32))
        self.start = self.ids.numpy().copy(), self.position.numpy().copy()
        fed_back = {"input_ids": ("next_ids", self.ids), "position": ("next_position", self.position)}
        for node in session.get_inputs():
            if node.name.startswith("past_"):
                empty = np.zeros((batch, HEADS, POSITIONS, HEAD_WIDTH), np.float32)
                fed_back[node.name] = (node.name.replace("past_", "present_"), value(empty))
            elif node.name.startswith("cross_"):
                image = random.standard_normal((batch, HEADS, IMAGE_TOKENS, HEAD_WIDTH), dtype=np.float32)
                self.binding.bind_ortvalue_input(node.name, value(image))
        for given, (result, buffer) in fed_back.items():
            self.binding.bind_ortvalue_input(given, buffer)
            self.binding.bind_ortvalue_output(result, buffer)

    def decode(self, tokens):
        """Seconds. What the caches hold of the report before is hidden by the position."""
        self.ids.update_inplace(self.start[0])
        self.position.update_inplace(self.start[1])
        started = time.perf_counter()
        for _ in range(tokens):
            self.session.run_with_iobinding(self.binding)
        elapsed = time.perf_counter() - started
        assert self.position.numpy().tolist() == [tokens] * len(self.start[1]), "a position was not counted up"
        return elapsed


def own(arguments):
    options = ort.SessionOptions()
    options.intra_op_num_threads = arguments.threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    model = step_graph(arguments.vocabulary).SerializeToString()
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return lambda batch: Decoder(session, batch).decode


def shared(arguments):
    """The same by the shared scripts' own code."""
    sys.path.insert(0, str(arguments.shared))
    import ort_graphs

    file = pathlib.Path(tempfile.mkdtemp()) / "step.onnx"
    try:
        ort_graphs.build_decoder(str(file), "gqa_const", V=arguments.vocabulary, lin="fp32", head="fp32")
        runners = {
            batch: ort_graphs.Runner(str(file), 1, B=batch, threads=arguments.threads, spin=False) for batch in (1, 8)
        }
    finally:
        file.unlink(missing_ok=True)
        file.parent.rmdir()
    return lambda batch: lambda tokens: sum(runners[batch].decode(tokens))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--shared", type=pathlib.Path)
    arguments = parser.parse_args()
    decoder = (shared if arguments.shared else own)(arguments)
    decoders = {}
    versions = {"onnx": onnx.__version__, "onnxruntime": ort.__version__}
    print(json.dumps({"ready": True, "shared": bool(arguments.shared), **versions}), flush=True)
    for line in sys.stdin:
        request = json.loads(line)
        batch, tokens = request["batch"], request["tokens"]
        if batch not in decoders:
            decoders[batch] = decoder(batch)
            decoders[batch](tokens)
        times = [decoders[batch](tokens) for _ in range(request["repeats"])]
        print(json.dumps({"decode_ms": statistics.median(times) * 1e3}), flush=True)


if __name__ == "__main__":
    main()
