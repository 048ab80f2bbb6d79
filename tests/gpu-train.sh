#!/bin/sh
# Checks of training on a machine with an NVIDIA GPU, without Rust or a network: captured steps beside uncaptured ones,
# bfloat16 beside float32, and times of all, beside PyTorch's where a Python with it is named.
#
#   sh gpu-train.sh XREPORT_TRAIN [PYTHON]
#
# XREPORT_TRAIN is the program, which finds PyTorch 2.11's libraries with CUDA (see trainer/README.md). Run it from the
# root of the source tree, whose settings and tests/peers/train_peer.py it reads. Progress goes to stderr; stdout is one
# JSON object. Exit code 0: all checks hold.
set -u
if [ $# -lt 1 ]; then
    sed -n '2,11p' "$0" >&2
    exit 2
fi
train=$1 python=${2:-}
work=$(mktemp -d) || exit 2
trap 'rm -rf "$work"' EXIT
holds=true results= times=

# check NAME COMMAND...: runs it, keeps whether it went well
check() {
    name=$1
    shift
    if "$@" >"$work/$name.out" 2>"$work/$name.err"; then ok=true; else ok=false; holds=false; fi
    echo "$name: $ok" >&2
    [ $ok = true ] || tail -n 5 "$work/$name.err" "$work/$name.out" >&2
    results="$results${results:+, }\"$name\": $ok"
}

# The losses of two runs' steps side by side: none farther apart than LIMIT, relative.
losses() {
    sed -n 's/.*"kind":"step".*"loss":\([0-9.eE+-]*\).*/\1/p' "$1/metrics.jsonl"
}
losses_within() {
    losses "$2" >"$work/a" && losses "$3" >"$work/b" && test -s "$work/a" && paste "$work/a" "$work/b" |
        awk -v limit="$1" 'NF != 2 { bad = 1 } { d = $1 - $2; if (d < 0) d = -d; if (d > limit * $1) bad = 1 } END { exit bad }'
}

check phantoms "$train" dataset phantoms --out "$work/data" --samples 600 --seed 3
common="--data $work/data --settings settings/demo.json --set training.ML_DEVICE=cuda --set training.MAX_STEPS=60 \
    --set training.SAMPLE_REPORTS=0"
for way in "plain:MIXED_PRECISION=false" "captured:MIXED_PRECISION=false --set training.XLA_STATE=true" \
    "plain-bf16:MIXED_PRECISION=true" "captured-bf16:MIXED_PRECISION=true --set training.XLA_STATE=true"; do
    # shellcheck disable=SC2086 # several words
    check "train-${way%%:*}" "$train" train $common --set training.${way#*:} --out "$work/${way%%:*}"
done
check captured_steps_are_the_uncaptured_ones losses_within 0.001 "$work/plain" "$work/captured"
check captured_steps_are_the_uncaptured_ones_in_bf16 losses_within 0.02 "$work/plain-bf16" "$work/captured-bf16"
check bf16_follows_float32 losses_within 0.05 "$work/plain" "$work/plain-bf16"

# Interleaved, so that what slows the machine slows all. Batch 32 is bound by launches, 512 by arithmetic.
for round in 1 2 3; do
    for batch in 32 512; do
        for way in false:false false:true true:false true:true; do
            line=$("$train" bench --json --steps 20 --settings settings/configurations.json --set training.ML_DEVICE=cuda \
                --set training.BATCH_SIZE=$batch --set training.MIXED_PRECISION="${way%:*}" \
                --set training.XLA_STATE="${way#*:}" --set model.DROPOUT=0 2>"$work/bench.err") || line=
            if [ -z "$line" ]; then
                holds=false
                echo "bench, batch $batch, bf16:captured $way: false" >&2
                tail -n 5 "$work/bench.err" >&2
            fi
            times="$times${times:+, }{\"round\": $round, \"batch\": $batch, \"bf16\": ${way%:*}, \"captured\": ${way#*:}, \"bench\": ${line:-null}}"
        done
        [ -n "$python" ] || continue
        for way in eager eager_bf16 compile compile_bf16; do
            line=$(echo '{"steps": 20}' | "$python" tests/peers/train_peer.py --settings settings/configurations.json \
                --way $way --vocabulary 5000 --batch $batch --device cuda --clip 1.0 2>"$work/peer.err" | tail -n 1)
            times="$times${times:+, }{\"round\": $round, \"batch\": $batch, \"pytorch\": \"$way\", \"bench\": ${line:-null}}"
        done
    done
done
card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>/dev/null | head -n 1)
printf '{"holds": %s, "card": "%s", "program": "%s", "checks": {%s}, "times": [%s]}\n' \
    $holds "$card" "$("$train" --version)" "$results" "$times"
[ $holds = true ]
