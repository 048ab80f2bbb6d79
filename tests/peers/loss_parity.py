"""The same network in plain PyTorch, from the same weights, fed the same batches: do the losses agree?

Usage: python3 loss_parity.py --checkpoint LAST.safetensors --record RECORD.safetensors [--threads N]
(needs: pip install torch; `cargo xtask prove loss-parity` starts it)

The checkpoint is one that `xreport-train init` wrote, the record what `xreport-train record` wrote from it: batches,
and what each step came to. The network is train_peer.py's; the step is PyTorch's own: AdamW with decay on the tensors
that the record names, clip_grad_norm_, the record's learning rates. Prints one line of JSON: losses and gradient norms,
and the largest difference of a running statistic of batch normalisation from 0 and 1 at the start, to show that it
moved.
"""

import argparse
import json
import pathlib
import struct

import torch
from torch import nn
from torch.nn import functional

from train_peer import Network

KINDS = {"F32": torch.float32, "U8": torch.uint8, "I64": torch.int64}


def read(path):
    """Tensors and metadata of a safetensors file."""
    data = path.read_bytes()
    (length,) = struct.unpack("<Q", data[:8])
    header = json.loads(data[8 : 8 + length])
    metadata = header.pop("__metadata__")
    tensors = {}
    for name, entry in header.items():
        first, last = entry["data_offsets"]
        raw = bytearray(data[8 + length + first : 8 + length + last])
        tensors[name] = torch.frombuffer(raw, dtype=KINDS[entry["dtype"]]).reshape(entry["shape"])
    return tensors, metadata


def named(network, model):
    """Our names of the network's parameters, with whether the kernel's axes are in another order."""
    names = {}
    for index in range(len(model["CONV_CHANNELS"])):
        convolution, norm = network.blocks[4 * index], network.blocks[4 * index + 1]
        names[f"conv.{index}.kernel"] = convolution.weight
        names[f"conv.{index}.scale"], names[f"conv.{index}.shift"] = norm.weight, norm.bias

    def linear(name, layer):
        names[f"{name}.weight"], names[f"{name}.bias"] = layer.weight, layer.bias

    def norm(name, layer):
        names[f"{name}.scale"], names[f"{name}.shift"] = layer.weight, layer.bias

    def ffn(name, layer):
        linear(f"{name}.ffn.expand", layer[0])
        linear(f"{name}.ffn.contract", layer[2])

    linear("image_projection", network.projection)
    names["image_positions"], names["text_positions"] = network.grid, network.places
    names["token_embedding"] = network.tokens.weight
    for index, layer in enumerate(network.encoders):
        name = f"encoder.{index}"
        norm(f"{name}.attention_norm", layer.norms[0])
        norm(f"{name}.ffn_norm", layer.norms[1])
        linear(f"{name}.attention.qkv", layer.attention.qkv)
        linear(f"{name}.attention.output", layer.attention.output)
        ffn(name, layer.ffn)
    norm("image_norm", network.memory_norm)
    for index, layer in enumerate(network.decoders):
        name = f"decoder.{index}"
        for place, norm_name in enumerate(("self_norm", "cross_norm", "ffn_norm")):
            norm(f"{name}.{norm_name}", layer.norms[place])
        linear(f"{name}.self_attention.qkv", layer.attention.qkv)
        linear(f"{name}.self_attention.output", layer.attention.output)
        linear(f"{name}.cross_attention.query", layer.cross.query)
        linear(f"{name}.cross_attention.key_value", layer.cross.key_value)
        linear(f"{name}.cross_attention.output", layer.cross.output)
        ffn(name, layer.ffn)
    norm("text_norm", network.text_norm)
    linear("head", network.head)
    return names


def load(network, names, weights):
    unknown = {name for name in weights if not name.startswith(("optimizer.", "average."))} - set(names)
    unknown = {name for name in unknown if not name.endswith(("running_mean", "running_variance"))}
    missing = set(names) - set(weights)
    if unknown or missing or len(names) != len(list(network.parameters())):
        raise SystemExit(f"the networks differ: only ours has {sorted(unknown)}, only the peer {sorted(missing)}")
    with torch.no_grad():
        for name, parameter in names.items():
            value = weights[name]
            # Kernels lie channels-last: [outputs, 3, 3, inputs].
            parameter.copy_(value.permute(0, 3, 1, 2) if name.endswith(".kernel") else value)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--checkpoint", type=pathlib.Path, required=True)
    parser.add_argument("--record", type=pathlib.Path, required=True)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    weights, _ = read(arguments.checkpoint)
    batches, metadata = read(arguments.record)
    record = json.loads(metadata["xreport.record"])
    model, training = record["settings"]["model"], record["settings"]["training"]
    longest = record["settings"]["dataset"]["MAX_REPORT_SIZE"]
    network = Network(model, longest, record["vocabulary"]).train()
    names = named(network, model)
    load(network, names, weights)
    groups = [
        {"params": [p for name, p in names.items() if name in record["decayed"]], "weight_decay": training["WEIGHT_DECAY"]},
        {"params": [p for name, p in names.items() if name not in record["decayed"]], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8)
    losses, norms = [], []
    for step, told in enumerate(record["steps"]):
        images = batches[f"{step}.images"].permute(0, 3, 1, 2)
        logits = network(images, batches[f"{step}.inputs"]).flatten(0, 1)[batches[f"{step}.places"]]
        loss = functional.cross_entropy(
            logits, batches[f"{step}.targets"], label_smoothing=training["LABEL_SMOOTHING"]
        )
        optimizer.zero_grad()
        loss.backward()
        clip = training["GRADIENT_CLIP"] or float("inf")
        norms.append(nn.utils.clip_grad_norm_(network.parameters(), clip).item())
        for group in optimizer.param_groups:
            group["lr"] = told["learning_rate"]
        optimizer.step()
        losses.append(loss.item())
    moved = max(module.running_mean.abs().max().item() for module in network.blocks if isinstance(module, nn.BatchNorm2d))
    print(json.dumps({"torch": torch.__version__, "losses": losses, "gradient_norms": norms, "moved": moved}))


if __name__ == "__main__":
    main()
