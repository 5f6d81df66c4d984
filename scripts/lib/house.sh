# Sourced by every script here: the repository root, a usable Python, and one way to prepare a build.
# shellcheck shell=bash
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
export PYTHONDONTWRITEBYTECODE="${PYTHONDONTWRITEBYTECODE:-}"

say() { printf '%s\n' "== $*" >&2; }
die() { printf '%s\n' "error: $*" >&2; exit 1; }

# usage FILE: the comment block at the top of a script is its help text.
usage() { sed -n '2,/^[^#]/{/^#/s/^# \{0,1\}//p}' "$1"; }

# python_fits COMMAND: true for a Python that runs and is 3.11, 3.12 or 3.13 (a shim may exist and not run).
python_fits() {
  "$1" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null
}

# find_python: DHANFAST_PYTHON, else the first of the usual names that fits.
find_python() {
  local name
  if [ -n "${DHANFAST_PYTHON:-}" ]; then
    python_fits "$DHANFAST_PYTHON" ||
      die "DHANFAST_PYTHON=$DHANFAST_PYTHON is not Python 3.11, 3.12 or 3.13"
    printf '%s\n' "$DHANFAST_PYTHON"
    return
  fi
  for name in python3 python3.13 python3.12 python3.11 python; do
    if python_fits "$name"; then
      printf '%s\n' "$name"
      return
    fi
  done
  die "no Python 3.11, 3.12 or 3.13 found: install one (Debian: apt-get install python3 python3-dev" \
    "python3-venv) or name it in DHANFAST_PYTHON"
}

# prepare FLAVOUR: make or refresh its environment (lib/environment.py) and put it first on PATH.
prepare() {
  local python
  python=$(find_python)
  VIRTUAL_ENV=$("$python" "$root/scripts/lib/environment.py" "$1")
  export VIRTUAL_ENV
  PATH="$VIRTUAL_ENV/bin:$PATH"
  export PATH
}

# data_folder: recorded data for the tests, exported when it is there and not named already.
data_folder() {
  if [ -z "${DHANFAST_DATA:-}" ] && [ -d "$root/../shared/data" ]; then
    DHANFAST_DATA=$(cd "$root/../shared/data" && pwd)
    export DHANFAST_DATA
  fi
}

# workers: test processes for this machine; two at most, since every one maps the same data.
workers() {
  local cores
  cores=$(getconf _NPROCESSORS_ONLN 2>/dev/null || echo 1)
  echo $((cores < 2 ? 1 : 2))
}
