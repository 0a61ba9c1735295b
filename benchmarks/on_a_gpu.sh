#!/usr/bin/env bash
# Learn all that a CUDA device can tell about the GPU kernels, in one go of at most six minutes.
#
#     benchmarks/on_a_gpu.sh OUT
#
# OUT then holds a log for each step, steps.json (status and seconds of each) and the results of
# gpu_inference.py. Needs nvcc, PyTorch and pytest; no network and no MindSpore. Without a device,
# the steps that need one are listed as skipped, and the others run on the host build.
set -uo pipefail
out=$(realpath -m "${1:?the folder for the results}")
cd "$(dirname "$0")/.."
mkdir -p "$out"
export PYTHONPATH=$PWD
test_with=(python3 -m pytest -q --noconftest -p no:cacheprovider tests/test_cuda_device.py)
device=$(python3 -c 'import torch; print(int(torch.cuda.is_available()))')
rows=()

record() { # NAME STATUS SECONDS
  rows+=("{\"step\": \"$1\", \"status\": $2, \"seconds\": $3}")
  (IFS=,; printf '[%s]\n' "${rows[*]}" >"$out/steps.json")
  printf '%-12s %-9s %4s s\n' "$1" "$2" "$3"
}

step() { # NAME SECONDS COMMAND...
  local name=$1 limit=$2 begin=$SECONDS
  shift 2
  timeout "$limit" "$@" >"$out/$name.log" 2>&1
  record "$name" $? $((SECONDS - begin))
}

on_device() { # as step
  if [ "$device" = 1 ]; then step "$@"; else record "$1" '"skipped"' 0; fi
}

sanitize() { # TOOL
  on_device "$1" 60 compute-sanitizer --tool "$1" --error-exitcode 9 \
    "${test_with[@]}" -k 'those_of_pytorch and GPU and nose'
}

on_device machine 20 nvidia-smi --query-gpu=name,driver_version,clocks.max.sm,memory.total --format=csv
step compile 90 python3 -c 'from ghostnet.kernels.cuda.build import library_path; print(library_path())'
step numerics 120 "${test_with[@]}"
on_device inference 120 python3 benchmarks/gpu_inference.py "$out"
sanitize memcheck
sanitize racecheck
