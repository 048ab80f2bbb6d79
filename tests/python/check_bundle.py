"""Check a bundle with Python's own onnx and onnxruntime, and compare token ids with `xreport generate`.

Usage: python3 check_bundle.py BUNDLE IMAGES ROWS.jsonl    (needs: pip install onnx onnxruntime numpy pillow)

BUNDLE is a bundle folder. IMAGES is a folder of grey 8-bit PNGs of exactly the model's size, so that
preprocessing changes nothing and both sides see the same pixels. ROWS.jsonl is what
`xreport generate IMAGES --model BUNDLE --token-ids --format jsonl --out ROWS.jsonl` wrote.

1. `onnx.checker.check_model(path, full_check=True)` must accept every ONNX file.
2. For each form of the decoder in the precision of the rows' variant, on the CPU: encode each image, then decode greedily with the cache, one
   token per call, as the README of the bundle says. The WordPiece ids must be those of the row. Where two
   tokens' logits are closer than TIE at the first place that differs, the image counts as a tie.

Prints one JSON object. Exit code 0: all holds; 1: something does not; 2: the arguments cannot be used.
"""

import json
import pathlib
import sys

import numpy as np
import onnx
import onnxruntime as ort
from PIL import Image

TIE = 2e-4
CLS, SEP = 101, 102
SHOWN = 5
TYPES = {"f32": np.float32, "f16": np.float16, "i64": np.int64, "i32": np.int32, "u8": np.uint8}


class Unusable(Exception):
    """The arguments do not fit together."""


def check_graph(path):
    """What the checker says against the file; None where it accepts it."""
    try:
        onnx.checker.check_model(str(path), full_check=True)
    except Exception as error:  # the checker, the shape inference and the file reader each have their own
        return f"{type(error).__name__}: {error}"
    return None


def word_pieces(manifest):
    """WordPiece id of each of the network's token ids."""
    vocabulary = manifest["vocabulary"]
    return list(range(vocabulary["size"])) if vocabulary["mode"] == "full" else vocabulary["ids"]


def read_rows(path):
    rows, drafted_by = {}, set()
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        row = json.loads(line)
        if row["status"] != "ok" or not isinstance(row.get("token_ids"), str):
            raise Unusable(f"{path}:{number}: a row with status `ok` and `token_ids` expected, found {line[:200]}")
        rows[row["id"]] = [int(word) for word in row["token_ids"].split()]
        drafted_by.add(row["variant"])
    return rows, drafted_by


def read_pixels(path, architecture):
    """u8 [1, H, W, C]"""
    shape = tuple(architecture[f"image_{axis}"] for axis in ("height", "width", "channels"))
    with Image.open(path) as image:
        if image.mode != "L" or (image.height, image.width) != shape[:2]:
            raise Unusable(f"{path}: a grey image of {shape[1]}x{shape[0]} expected, found {image.mode} {image.size}")
        grey = np.asarray(image, dtype=np.uint8)
    return np.ascontiguousarray(np.broadcast_to(grey[None, :, :, None], (1, *shape)))


def session(path):
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    return ort.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def encode(encoder, pixels):
    names = [output.name for output in encoder.get_outputs()]
    return dict(zip(names, encoder.run(names, {"image": pixels})))


def empty_cache(graph):
    """The step graph's caches, zero, for one row: the shapes come from the manifest."""
    return {
        given["name"]: np.zeros([1 if axis == "B" else axis for axis in given["axes"]], TYPES[given["dtype"]])
        for given in graph["inputs"]
        if given["name"].startswith("past_")
    }


def decode(decoder, graph, cross, start, end, longest):
    """Greedy tokens before the end token, and for each step how far its best logit is ahead of the second."""
    names = [output.name for output in decoder.get_outputs()]
    cache = empty_cache(graph)
    token, position = np.full((1, 1), start, np.int64), np.zeros(1, np.int32)
    said, margins = [], []
    for _ in range(longest):
        given = {"input_ids": token, "position": position, **cross, **cache}
        out = dict(zip(names, decoder.run(names, given)))
        second, best = np.partition(out["logits"].ravel(), -2)[-2:]
        margins.append(float(best - second))
        token, position = out["next_ids"], out["next_position"]
        cache = {name: out[name.replace("past_", "present_")] for name in cache}
        if int(token[0, 0]) == end:
            break
        said.append(int(token[0, 0]))
    return said, margins


def compare(found, margins, expected):
    """None where both are equal, else the first place that differs and whether it is a tie."""
    if found == expected:
        return None
    place = next((i for i, (a, b) in enumerate(zip(found, expected)) if a != b), min(len(found), len(expected)))
    return place, place < len(margins) and margins[place] < TIE


def check_variant(bundle, manifest, variant, pixels, rows):
    pieces = word_pieces(manifest)
    start, end = pieces.index(CLS), pieces.index(SEP)
    encoder, decoder = session(bundle / variant["encoder"]), session(bundle / variant["decoder"])
    graph, longest = manifest["graphs"][variant["decoder"]], manifest["decoding"]["max_tokens"]
    found = {"decoder": variant["decoder"], "images": 0, "tokens": 0, "equal": 0, "ties": 0, "different": []}
    for name, image in pixels.items():
        said, margins = decode(decoder, graph, encode(encoder, image), start, end, longest)
        said = [pieces[token] for token in said]
        found["images"] += 1
        found["tokens"] += len(said)
        difference = compare(said, margins, rows[name])
        if difference is None:
            found["equal"] += 1
        elif difference[1]:
            found["ties"] += 1
        else:
            found["different"].append({"id": name, "place": difference[0], "python": said, "xreport": rows[name]})
    return found


def check(bundle, images, rows_path):
    manifest = json.loads((bundle / "bundle.json").read_text(encoding="utf-8"))
    rows, drafted_by = read_rows(rows_path)
    files = {path.relative_to(images).as_posix(): path for path in sorted(images.rglob("*.png"))}
    if not files or set(files) != set(rows):
        only = sorted(set(files) ^ set(rows))[:SHOWN]
        raise Unusable(f"{images} and {rows_path} must name the same images, at least one; only in one of them: {only}")
    pixels = {name: read_pixels(path, manifest["architecture"]) for name, path in files.items()}
    graphs = {path.name: check_graph(path) for path in sorted(bundle.glob("*.onnx"))}
    precisions = {variant["precision"] for variant in manifest["variants"] if variant["name"] in drafted_by}
    variants = {
        variant["name"]: check_variant(bundle, manifest, variant, pixels, rows)
        for variant in manifest["variants"]
        if variant["precision"] in precisions
    }
    texts = len({tuple(row) for row in rows.values()})
    holds = bool(
        set(graphs) == set(manifest["graphs"])
        and not any(graphs.values())
        and variants
        and not any(variant["different"] for variant in variants.values())
        # Ties are rare in a trained model; many of them would hide a fault.
        and all(variant["ties"] * 20 <= variant["images"] for variant in variants.values())
    )
    for variant in variants.values():
        variant["different"] = {"count": len(variant["different"]), "first": variant["different"][:SHOWN]}
    versions = {"onnx": onnx.__version__, "onnxruntime": ort.__version__}
    return {"holds": holds, "graphs": graphs, "variants": variants, "distinct_texts": texts, "versions": versions}


def main():
    if len(sys.argv) != 4:
        print(__doc__, file=sys.stderr)
        sys.exit(2)
    try:
        report = check(*map(pathlib.Path, sys.argv[1:]))
    except (Unusable, OSError, KeyError, ValueError) as error:
        print(f"error: {type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)
    print(json.dumps(report, indent=2))
    sys.exit(0 if report["holds"] else 1)


if __name__ == "__main__":
    main()
