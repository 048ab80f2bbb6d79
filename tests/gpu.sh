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
check cuda_says_what_the_cpu_says equal_texts "$work/cpu.jsonl" "$work/cuda-8.jsonl"
check cuda_batch_changes_no_text equal_texts "$work/cuda-1.jsonl" "$work/cuda-32.jsonl"

# Interleaved, so that what slows the machine slows both.
times=
for round in 1 2 3; do
    for device in cpu cuda; do
        for batch in 1 8 32; do
            line=$("$xreport" bench "$bundle" --device $device --batch-size $batch --json 2>/dev/null) || line=null
            times="$times${times:+, }{\"round\": $round, \"bench\": ${line:-null}}"
        done
    done
done
card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
printf '{"holds": %s, "card": "%s", "program": "%s", "checks": {%s}, "times": [%s]}\n' \
    $holds "$card" "$("$xreport" --version)" "$results" "$times"
[ $holds = true ]
