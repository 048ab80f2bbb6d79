"""Decoding speed of PyTorch eager, Hugging Face `generate` and CTranslate2 at the dimensions of the proof.

Usage: python3 decode_peers.py [--vocabulary N] [--threads N]
(needs: pip install torch transformers ctranslate2; `cargo xtask prove decode-peers` starts it)

All have random weights: 3 decoder layers, width 512, 8 heads, feed-forward 2048, 49 encoder tokens. Hugging Face and
CTranslate2 run BART, whose layers are of the same sizes (post-norm, a bias less in the head). The encoder is left out:
Hugging Face is given its output; from CTranslate2's time that of a two-token report is taken, for which it encodes too.

Prints a line of JSON when ready, then answers each line {"peer": NAME, "batch": B, "beams": N, "tokens": T,
"repeats": R} with {"decode_ms": median milliseconds for a batch of reports of T tokens}.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time

LAYERS, WIDTH, HEADS, FFN, IMAGE_TOKENS, POSITIONS = 3, 512, 8, 2048, 49, 128
START, END = 101, 102


def median_ms(work, repeats):
    times = []
    for _ in range(repeats):
        started = time.perf_counter()
        work()
        times.append(time.perf_counter() - started)
    return statistics.median(times) * 1e3


class Eager:
    """A pre-norm decoder in plain PyTorch with preallocated keys and values."""

    def __init__(self, torch, vocabulary):
        self.torch = torch
        nn = torch.nn
        layer = lambda: nn.ModuleDict(  # noqa: E731
            {
                **{name: nn.LayerNorm(WIDTH) for name in ("norm1", "norm2", "norm3")},
                **{name: nn.Linear(WIDTH, WIDTH) for name in ("out1", "query", "out2")},
                "qkv": nn.Linear(WIDTH, 3 * WIDTH),
                "wide": nn.Linear(WIDTH, FFN),
                "narrow": nn.Linear(FFN, WIDTH),
            }
        )
        self.layers = nn.ModuleList([layer() for _ in range(LAYERS)])
        self.tokens, self.places = nn.Embedding(vocabulary, WIDTH), nn.Embedding(POSITIONS, WIDTH)
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, vocabulary)

    def heads(self, x):
        return x.view(x.shape[0], x.shape[1], HEADS, WIDTH // HEADS).transpose(1, 2)

    def step(self, ids, place, keys, values, cross):
        attend = self.torch.nn.functional.scaled_dot_product_attention
        joined = lambda x: x.transpose(1, 2).flatten(2)  # noqa: E731
        x = self.tokens(ids) + self.places.weight[place]
        for index, layer in enumerate(self.layers):
            query, key, value = (self.heads(part) for part in layer["qkv"](layer["norm1"](x)).chunk(3, -1))
            keys[index][:, :, place : place + 1], values[index][:, :, place : place + 1] = key, value
            past = keys[index][:, :, : place + 1], values[index][:, :, : place + 1]
            x = x + layer["out1"](joined(attend(query, *past)))
            query = self.heads(layer["query"](layer["norm2"](x)))
            x = x + layer["out2"](joined(attend(query, *cross)))
            hidden = self.torch.nn.functional.gelu(layer["wide"](layer["norm3"](x)))
            x = x + layer["narrow"](hidden)
        return self.head(self.norm(x)).argmax(-1)

    def work(self, batch, beams, tokens):
        assert beams == 1, "the eager peer is greedy"
        torch = self.torch
        shape = (batch, HEADS, IMAGE_TOKENS, WIDTH // HEADS)
        cross = torch.randn(shape), torch.randn(shape)
        cache = (batch, HEADS, POSITIONS, WIDTH // HEADS)

        @torch.inference_mode()
        def decode():
            keys, values = ([torch.zeros(cache) for _ in range(LAYERS)] for _ in range(2))
            ids = torch.full((batch, 1), START)
            for place in range(tokens):
                ids = self.step(ids, place, keys, values, cross)

        return lambda repeats: median_ms(decode, repeats)


def bart(vocabulary):
    from transformers import BartConfig, BartForConditionalGeneration

    config = BartConfig(
        vocab_size=vocabulary,
        d_model=WIDTH,
        encoder_layers=LAYERS,
        decoder_layers=LAYERS,
        encoder_attention_heads=HEADS,
        decoder_attention_heads=HEADS,
        encoder_ffn_dim=FFN,
        decoder_ffn_dim=FFN,
        max_position_embeddings=256,
        pad_token_id=0,
        bos_token_id=START,
        eos_token_id=END,
        decoder_start_token_id=START,
        forced_eos_token_id=None,
        forced_bos_token_id=None,
    )
    # CTranslate2's loader asks for two names that newer configurations leave out.
    config.normalize_before, config.normalize_embedding = False, True
    return BartForConditionalGeneration(config).eval()


def hugging_face(torch, model, batch, beams, tokens):
    from transformers.modeling_outputs import BaseModelOutput

    encoded = torch.randn(batch, IMAGE_TOKENS, WIDTH)

    @torch.inference_mode()
    def decode():
        output = BaseModelOutput(last_hidden_state=encoded)
        said = model.generate(
            encoder_outputs=output, min_new_tokens=tokens, max_new_tokens=tokens, num_beams=beams, do_sample=False
        )
        assert said.shape[1] >= tokens, said.shape

    return lambda repeats: median_ms(decode, repeats)


class CTranslate2:
    def __init__(self, model, vocabulary, threads):
        from ctranslate2.converters.transformers import BartLoader

        self.threads, self.translators = threads, {}
        spec = BartLoader().get_model_spec(model)
        words = ["<pad>", "<s>", "</s>", "<unk>"] + [f"t{index}" for index in range(vocabulary - 4)]
        spec.register_source_vocabulary(words)
        spec.register_target_vocabulary(words)
        config = spec.config
        config.bos_token, config.eos_token, config.unk_token, config.decoder_start_token = "<s>", "</s>", "<unk>", "<s>"
        spec.validate()
        spec.optimize()
        self.folder = tempfile.TemporaryDirectory()
        spec.save(self.folder.name)

    def work(self, precision, batch, beams, tokens):
        import ctranslate2

        if precision not in self.translators:
            self.translators[precision] = ctranslate2.Translator(
                self.folder.name, device="cpu", compute_type=precision, inter_threads=1, intra_threads=self.threads
            )
        source = [[f"t{index + 100}" for index in range(IMAGE_TOKENS)]] * batch

        def decode(length):
            said = self.translators[precision].translate_batch(
                source, beam_size=beams, min_decoding_length=length, max_decoding_length=length, max_batch_size=0
            )
            assert len(said[0].hypotheses[0]) >= length - 1, len(said[0].hypotheses[0])

        def time_them(repeats):
            whole, start = median_ms(lambda: decode(tokens), repeats), median_ms(lambda: decode(2), repeats)
            return whole - start * (tokens - 2) / tokens

        return time_them


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--vocabulary", type=int, default=30522)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    import ctranslate2
    import torch
    import transformers

    torch.set_num_threads(arguments.threads)
    torch.manual_seed(0)
    eager, model = Eager(torch, arguments.vocabulary), bart(arguments.vocabulary)
    translator = CTranslate2(model, arguments.vocabulary, arguments.threads)

    def worker(peer, batch, beams, tokens):
        if peer == "pytorch":
            return eager.work(batch, beams, tokens)
        if peer == "hugging-face":
            return hugging_face(torch, model, batch, beams, tokens)
        return translator.work({"ctranslate2-fp32": "float32", "ctranslate2-int8": "int8"}[peer], batch, beams, tokens)

    versions = {"torch": torch.__version__, "transformers": transformers.__version__}
    print(json.dumps({"ready": True, **versions, "ctranslate2": ctranslate2.__version__}), flush=True)
    workers = {}
    for line in sys.stdin:
        request = json.loads(line)
        key = request["peer"], request["batch"], request["beams"], request["tokens"]
        if key not in workers:
            workers[key] = worker(*key)
            workers[key](1)
        print(json.dumps({"decode_ms": workers[key](request["repeats"])}), flush=True)


if __name__ == "__main__":
    main()
