"""Training speed of the same network in plain PyTorch, as its users write it.

Usage: python3 train_peer.py --settings FILE [--way eager|compile|eager_bf16|compile_bf16] [--vocabulary N] [--threads N]
       [--clip X] [--batch N] [--device cpu|cuda] [--shared SCRIPT]
(needs: pip install torch numpy, and a C++ compiler for the compiled ways; `cargo xtask prove train-peers` starts it)

The network is that of `trainer/src/network`, dimensions from the settings file: convolution blocks with batch norm,
ReLU and pooling; learned positions for the image grid and the text; pre-norm transformer layers with fused attention;
a norm after the encoders and after the decoders; a head with bias over the vocabulary. No dropout. Reports are
random, their lengths uniform between 0.2 and 1.0 of MAX_REPORT_SIZE, padded to MAX_REPORT_SIZE; the loss ignores the
padding. AdamW and gradient clipping as PyTorch has them; `compile` is torch.compile around the loss, `bf16` autocast.
With --shared the network and the step are those of SCRIPT (`--setting original`), run by that file's own code.

Prints a line of JSON when ready, then answers each line {"steps": N} with {"seconds": median seconds per step,
"peak_bytes": most memory so far}.
"""

import argparse
import contextlib
import json
import pathlib
import resource
import runpy
import statistics
import sys
import time

import torch
from torch import nn
from torch.nn import functional

FULL_VOCABULARY = 30522
FIRST_WORD = 5
PAD = 0
WARM_UP = 2


class Attention(nn.Module):
    def __init__(self, width, heads, head_width, over_itself):
        super().__init__()
        inner = heads * head_width
        self.heads, self.over_itself = heads, over_itself
        if over_itself:
            self.qkv = nn.Linear(width, 3 * inner)
        else:
            self.query, self.key_value = nn.Linear(width, inner), nn.Linear(width, 2 * inner)
        self.output = nn.Linear(inner, width)

    def forward(self, x, memory=None, causal=False):
        if self.over_itself:
            parts = self.qkv(x).chunk(3, -1)
        else:
            parts = (self.query(x), *self.key_value(memory).chunk(2, -1))
        query, key, value = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in parts)
        context = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        return self.output(context.transpose(1, 2).flatten(2))


class FeedForward(nn.Sequential):
    def __init__(self, width, inner):
        super().__init__(nn.Linear(width, inner), nn.GELU(), nn.Linear(inner, width))


class EncoderLayer(nn.Module):
    def __init__(self, width, heads, head_width, ffn):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.attention, self.ffn = Attention(width, heads, head_width, True), FeedForward(width, ffn)

    def forward(self, x):
        x = x + self.attention(self.norms[0](x))
        return x + self.ffn(self.norms[1](x))


class DecoderLayer(nn.Module):
    def __init__(self, width, heads, head_width, ffn):
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(3))
        self.attention, self.cross = (Attention(width, heads, head_width, own) for own in (True, False))
        self.ffn = FeedForward(width, ffn)

    def forward(self, x, memory):
        x = x + self.attention(self.norms[0](x), causal=True)
        x = x + self.cross(self.norms[1](x), memory)
        return x + self.ffn(self.norms[2](x))


class Network(nn.Module):
    def __init__(self, model, positions, vocabulary):
        super().__init__()
        width, heads, ffn = model["EMBEDDING_DIMS"], model["NUM_HEADS"], model["FFN_EXPANSION"]
        head_width = model.get("HEAD_DIMS") or width // heads
        height, breadth, channels = model["IMG_SHAPE"]
        blocks = []
        for outputs in model["CONV_CHANNELS"]:
            convolution = nn.Conv2d(channels, outputs, 3, padding=1, bias=False)
            blocks += [convolution, nn.BatchNorm2d(outputs), nn.ReLU(), nn.MaxPool2d(2)]
            channels, height, breadth = outputs, height // 2, breadth // 2
        self.blocks = nn.Sequential(*blocks)
        self.projection = nn.Linear(channels, width)
        self.grid = nn.Parameter(torch.randn(height * breadth, width) * 0.02)
        shape = (width, heads, head_width, ffn * width)
        self.encoders = nn.ModuleList(EncoderLayer(*shape) for _ in range(model["NUM_ENCODERS"]))
        self.memory_norm = nn.LayerNorm(width)
        self.tokens = nn.Embedding(vocabulary, width)
        self.places = nn.Parameter(torch.randn(positions, width) * 0.02)
        self.decoders = nn.ModuleList(DecoderLayer(*shape) for _ in range(model["NUM_DECODERS"]))
        self.text_norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def forward(self, images, reports):
        x = images.float() / 255
        mean, deviation = x.mean((1, 2, 3), keepdim=True), x.std((1, 2, 3), keepdim=True, correction=0)
        memory = self.blocks((x - mean) / (deviation + 1e-3)).flatten(2).transpose(1, 2)
        memory = self.projection(memory) + self.grid
        for layer in self.encoders:
            memory = layer(memory)
        memory = self.memory_norm(memory)
        text = self.tokens(reports) + self.places[: reports.shape[1]]
        for layer in self.decoders:
            text = layer(text, memory)
        return self.head(self.text_norm(text))


class Trainer:
    def __init__(self, settings, way, vocabulary, clip, batch, device):
        model, training = settings["model"], settings["training"]
        self.image, self.batch, self.device = model["IMG_SHAPE"], batch or training["BATCH_SIZE"], device
        self.longest, self.clip = settings["dataset"]["MAX_REPORT_SIZE"], clip
        torch.manual_seed(0)
        self.vocabulary, self.in_bf16 = vocabulary, way.endswith("bf16")
        self.network = Network(model, self.longest, vocabulary).to(device)
        mode = "max-autotune" if device == "cuda" else "default"
        self.loss = torch.compile(self.plain_loss, mode=mode) if way.startswith("compile") else self.plain_loss
        self.parameters = sum(parameter.numel() for parameter in self.network.parameters())
        rate, decay = training["LEARNING_RATE"], training["WEIGHT_DECAY"]
        self.optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=decay)

    def batch_of(self, step):
        random = torch.Generator().manual_seed(step)
        height, width, channels = self.image
        images = torch.randint(0, 256, (self.batch, channels, height, width), dtype=torch.uint8, generator=random)
        lengths = ((torch.rand(self.batch, generator=random) * 0.8 + 0.2) * self.longest).long().clamp(min=2)
        reports = torch.randint(FIRST_WORD, self.vocabulary, (self.batch, self.longest), generator=random)
        reports[torch.arange(self.longest) >= lengths[:, None]] = PAD
        return images.to(self.device), reports.to(self.device)

    def plain_loss(self, images, reports):
        logits = self.network(images, reports[:, :-1])
        return functional.cross_entropy(logits.flatten(0, 1), reports[:, 1:].flatten(), ignore_index=PAD)

    def step(self, step):
        images, reports = self.batch_of(step)
        started = time.perf_counter()
        with torch.autocast(self.device, torch.bfloat16, enabled=self.in_bf16):
            loss = self.loss(images, reports)
        self.optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
        self.optimizer.step()
        loss.item()
        return time.perf_counter() - started


def shared_step(script, way, threads):
    """The step function of the shared script, which times one round by itself first."""
    sys.argv = [str(script), *f"--setting original --ways {way} --rounds 1 --threads {threads}".split()]
    with contextlib.redirect_stdout(sys.stderr):
        names = runpy.run_path(str(script))
    step = names["st_"][way][0]

    def timed(number):
        started = time.perf_counter()
        step(number)
        return time.perf_counter() - started

    return timed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--settings", type=pathlib.Path, required=True)
    parser.add_argument("--way", choices=["eager", "compile", "eager_bf16", "compile_bf16"], default="eager")
    parser.add_argument("--vocabulary", type=int, default=FULL_VOCABULARY)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--clip", type=float, default=1.0)
    parser.add_argument("--batch", type=int, default=0)
    parser.add_argument("--device", choices=["cpu", "cuda"], default="cpu")
    parser.add_argument("--shared", type=pathlib.Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    hello = {"ready": True, "torch": torch.__version__}
    if arguments.shared:
        step = shared_step(arguments.shared, arguments.way, arguments.threads)
    else:
        settings = json.loads(arguments.settings.read_text(encoding="utf-8"))
        how = (arguments.way, arguments.vocabulary, arguments.clip, arguments.batch, arguments.device)
        trainer = Trainer(settings, *how)
        step, hello["parameters"] = trainer.step, trainer.parameters
    for number in range(WARM_UP):
        step(number)
    print(json.dumps(hello), flush=True)
    done = WARM_UP
    for line in sys.stdin:
        steps = json.loads(line)["steps"]
        times = [step(done + number) for number in range(steps)]
        done += steps
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        print(json.dumps({"seconds": statistics.median(times), "peak_bytes": peak}), flush=True)


if __name__ == "__main__":
    main()
