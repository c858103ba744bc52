#!/bin/sh
# Install the system packages that are missing: `system.sh build` or `system.sh test`.
# Only as root on Debian; elsewhere it says what to install and goes on.
set -eu

missing="" optional=""
need() { # need COMMAND PACKAGE...
  command -v "$1" >/dev/null 2>&1 || { shift; missing="$missing $*"; }
}

python3 -c 'import ensurepip, venv' 2>/dev/null || missing="$missing python3 python3-venv"
need node nodejs
need npm npm
if [ "${1:-build}" = test ]; then # of tests/cabi
  include=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["include"])')
  need cc gcc libc6-dev
  need c++ g++
  need valgrind valgrind
  [ -f "$include/Python.h" ] || missing="$missing python3-dev"
fi
if [ "${1:-build}" = test ] && [ -z "${LOOM_CHROMIUM:-}" ]; then
  command -v google-chrome >/dev/null 2>&1 || need chromium chromium
fi
if [ "${1:-build}" = test ]; then
  command -v firefox >/dev/null 2>&1 || need firefox-esr firefox-esr
  # wgpu on a machine without a GPU: lavapipe, as one of Vulkan's drivers.
  if [ "$(uname)" = Linux ] && [ -z "$(find /usr/share/vulkan /etc/vulkan \
      -name 'lvp_icd*.json' 2>/dev/null)" ]; then
    missing="$missing mesa-vulkan-drivers"
  fi
  # They compile the SIMD kernels again, to compare; not every distribution has them.
  command -v clang-19 >/dev/null 2>&1 || optional="clang-19 lld-19"
fi

[ -n "$missing$optional" ] || exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
  export DEBIAN_FRONTEND=noninteractive
  apt-get update -qq
  # shellcheck disable=SC2086  (lists of packages)
  for package in $optional; do
    if apt-cache show "$package" >/dev/null 2>&1; then missing="$missing $package"; fi
  done
  apt-get install -y -qq --no-install-recommends $missing >/dev/null
else
  echo "Not here:$missing $optional (names as in Debian). Install them for all to work." >&2
fi
