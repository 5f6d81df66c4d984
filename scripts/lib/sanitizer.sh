# Sourced by scripts that run Python under AddressSanitizer and UndefinedBehaviorSanitizer.
# shellcheck shell=bash

# sanitized_python: prepare the build and fill the array `sanitized` with a command that runs its
# interpreter. libstdc++ is loaded first of all so that the sanitizer can intercept C++ exceptions of
# pyarrow. The interpreter is named directly: a preloaded sanitizer in a shell shim would report the
# shell. Leaks are not looked for: CPython keeps memory until it ends.
sanitized_python() {
  local compiler=${CC:-gcc} library path interpreter
  local preload=()
  for library in libasan.so libubsan.so libstdc++.so.6; do
    path=$($compiler -print-file-name="$library" 2>/dev/null || true)
    [ -f "$path" ] || die "$library of $compiler not found: install it (Debian: apt-get install gcc libstdc++6)"
    preload+=("$path")
  done
  prepare sanitize
  interpreter=$(python -c 'import sys; print(sys.executable)')
  sanitized=(env "LD_PRELOAD=$(IFS=:; echo "${preload[*]}")" PYTHONMALLOC=malloc DHANFAST_BUILD=sanitize
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=0:exitcode=97:allocator_may_return_null=1
    UBSAN_OPTIONS=print_stacktrace=1:halt_on_error=1:exitcode=98
    "$interpreter")
}
