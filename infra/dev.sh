#!/usr/bin/env bash
# Sets up what is missing, then does one job:  bash infra/dev.sh demo | test | setup
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

# Installs the locked packages once; again only when the lock or the project's own list changed.
setup() {
  local want have=.venv/.installed
  want=$(cat pyproject.toml infra/constraints.txt | sha256sum | cut -d' ' -f1)
  if [ "$(cat "$have" 2>/dev/null || true)" = "$want" ]; then return; fi
  echo "setting up .venv (once; a few minutes)" >&2
  [ -x .venv/bin/python ] || "$(python_311_or_newer)" -m venv .venv
  .venv/bin/python -m pip install --quiet --disable-pip-version-check -c infra/constraints.txt -e '.[dev]'
  echo "$want" >"$have"
}

check() {
  .venv/bin/ruff check --no-cache .
  .venv/bin/ruff format --no-cache --check .
  .venv/bin/mypy
  .venv/bin/lint-imports
}

case "${1:-}" in
  setup) setup ;;
  demo) setup; shift; exec .venv/bin/uvr demo "$@" ;;
  test) setup; shift; check; exec .venv/bin/pytest "$@" ;;
  *) echo "usage: bash infra/dev.sh demo | test | setup" >&2; exit 2 ;;
esac
