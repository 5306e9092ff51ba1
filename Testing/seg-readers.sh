#!/usr/bin/env bash
# Installs the programs of others with which the tests read DICOM SEG: dciodvfy, dcmqi and pydicom-seg.
# Where one cannot be had, it says so in a line and never fails: the tests that need it are skipped.
set -uo pipefail

environment=.venv-readers
lock=Testing/requirements-readers.lock

install_dciodvfy() {
  local as_root=(env DEBIAN_FRONTEND=noninteractive)
  [[ $EUID -eq 0 ]] || as_root=(sudo -n "${as_root[@]}")
  "${as_root[@]}" apt-get update -qq && "${as_root[@]}" apt-get install -y -qq --no-install-recommends dicom3tools
}

install_readers() {
  "${PYTHON:-python3}" -m venv "$environment" &&
    "$environment/bin/python" -m pip install --retries 0 --require-hashes --no-deps --only-binary :all: --requirement "$lock" &&
    touch "$environment/installed"
}

command -v dciodvfy >/dev/null || install_dciodvfy </dev/null >/dev/null 2>&1 ||
  echo "Tests with dciodvfy are skipped until you install Debian's package dicom3tools."
[[ $environment/installed -nt $lock ]] || install_readers </dev/null >/dev/null 2>&1 ||
  echo "Tests with dcmqi and pydicom-seg are skipped: their packages cannot be had for this system, Python or network."
exit 0
