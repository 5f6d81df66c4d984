# Sourced by scripts/test and scripts/sanitize: which tests exercise compiled code.
# shellcheck shell=bash

# native_tests: fills the array `native` with those of the folders that exist.
native_tests() {
  local folder
  native=()
  for folder in tests/core tests/engine tests/parity tests/fuzz; do
    if [ -d "$folder" ]; then native+=("$folder"); fi
  done
  # A house without a native test would pass by running nothing: fall back to the import tests.
  if [ ${#native[@]} -eq 0 ]; then native=(tests/test_imports.py); fi
}
