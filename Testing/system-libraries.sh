#!/usr/bin/env bash
# Installs what pip cannot bring: Mesa's EGL, with which VTK renders where there is no screen (the demo's 3D picture).
# Where it may not install, it prints the one command. It never fails: all the rest works without that picture.
set -uo pipefail

packages=(libegl1 libegl-mesa0 libgl1-mesa-dri)

[[ $(uname -s) == Linux ]] || exit 0

if ! command -v apt-get >/dev/null; then
  PATH="$PATH:/sbin:/usr/sbin"
  ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' ||
    echo "The 3D picture is left out unless you install Mesa's EGL, for example: sudo dnf install mesa-libEGL mesa-dri-drivers"
  exit 0
fi

missing=()
for package in "${packages[@]}"; do
  [[ $(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null) == installed ]] || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=(env DEBIAN_FRONTEND=noninteractive)
[[ $EUID -eq 0 ]] || as_root=(sudo -n "${as_root[@]}")

install_missing() {
  "${as_root[@]}" true || return 1
  echo "Installing for off-screen rendering: ${missing[*]}" >&3
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" apt-get install -y -qq --no-install-recommends "${missing[@]}"
}

# Only the one line goes to the terminal, not what apt-get has to say.
install_missing 3>&1 </dev/null >/dev/null 2>&1 ||
  echo "The 3D picture is left out until you run: sudo apt-get update && sudo apt-get install ${missing[*]}"
exit 0
