#!/bin/sh
# Checks on a machine with an NVIDIA GPU, without Rust or a network: CUDA's texts beside the CPU's, and times of both.
#
#   sh gpu.sh DIST IMAGES [BUNDLE]
#
# DIST is a folder that `cargo xtask dist` made, with ONNX Runtime's GPU libraries in its lib/ (those of the wheel
# onnxruntime-gpu: libonnxruntime.so.VERSION and libonnxruntime_providers_{shared,cuda}.so); CUDA 13 and cuDNN 9 are on
# the loader's path. IMAGES is a folder of at least 64 images. Progress goes to stderr; stdout is one JSON object.
# Exit code 0: all checks hold.
set -u
if [ $# -lt 2 ]; then
    sed -n '2,10p' "$0" >&2
    exit 2
fi
xreport=$1/xreport images=$2 bundle=${3:-$1/models/demo}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
holds=true

# check NAME COMMAND...: runs it, keeps whether it went well
results=
check() {
    name=$1
    shift
    if "$@" >"$work/$name.out" 2>"$work/$name.err"; then ok=true; else ok=false; holds=false; fi
    echo "$name: $ok" >&2
    [ $ok = true ] || tail -n 5 "$work/$name.err" "$work/$name.out" >&2
    results="$results${results:+, }\"$name\": $ok"
}

# Ids and texts of a table of JSON lines, sorted: what must be equal.
texts() {
    sed 's/.*"id":\("[^"]*"\),"text":\("\([^"\\]\|\\.\)*"\).*/\1 \2/' "$1" | sort
}
equal_texts() {
    texts "$1" >"$work/a" && texts "$2" >"$work/b" && test -s "$work/a" && cmp "$work/a" "$work/b"
}

check doctor "$xreport" doctor --model "$bundle"
check cpu "$xreport" generate "$images" --model "$bundle" --device cpu --precision fp32 --out "$work/cpu.jsonl"
for batch in 1 8 32; do
    check cuda_$batch "$xreport" generate "$images" --model "$bundle" --device cuda --precision fp32 --batch-size $batch \
        --out "$work/cuda-$batch.jsonl"
done
# Steps captured as CUDA graphs, looked at every 8 and every step; and every 8 without a capture.
for way in "graph-8:--cuda-graph" "graph-1:--cuda-graph --check-every 1" "ahead-8:--check-every 8"; do
    for batch in 1 8; do
        # shellcheck disable=SC2086 # several words
        check "cuda_${way%%:*}_$batch" "$xreport" generate "$images" --model "$bundle" --device cuda --precision fp32 \
            --batch-size $batch ${way#*:} --out "$work/${way%%:*}-$batch.jsonl"
        check "cuda_${way%%:*}_${batch}_changes_no_text" equal_texts "$work/cuda-$batch.jsonl" "$work/${way%%:*}-$batch.jsonl"
    done
done
check cuda_says_what_the_cpu_says equal_texts "$work/cpu.jsonl" "$work/cuda-8.jsonl"
check cuda_batch_changes_no_text equal_texts "$work/cuda-1.jsonl" "$work/cuda-32.jsonl"

# Interleaved, so that what slows the machine slows both.
times=
for round in 1 2 3; do
    for way in "--device cpu" "--device cuda" "--device cuda --check-every 8" "--device cuda --cuda-graph"; do
        for batch in 1 8 32; do
            # shellcheck disable=SC2086 # several words
            line=$("$xreport" bench "$bundle" $way --batch-size $batch --json 2>"$work/bench.err") || line=
            if [ -z "$line" ]; then
                holds=false
                echo "bench $way --batch-size $batch: false" >&2
                tail -n 5 "$work/bench.err" >&2
            fi
            times="$times${times:+, }{\"round\": $round, \"bench\": ${line:-null}}"
        done
    done
done
card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
printf '{"holds": %s, "card": "%s", "program": "%s", "checks": {%s}, "times": [%s]}\n' \
    $holds "$card" "$("$xreport" --version)" "$results" "$times"
[ $holds = true ]
