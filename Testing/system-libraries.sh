#!/usr/bin/env bash
# Installs what pip cannot bring: Mesa's EGL, with which VTK renders where there is no screen (the demo's 3D picture),
# and the libraries and a font that Qt needs there (the tests of the panel and its pictures).
# Where it may not install, it prints the one command and never fails: all the rest works without them.
set -uo pipefail

packages=(libegl1 libegl-mesa0 libgl1-mesa-dri)
# HarfBuzz stands for GLib, whose own package is named differently from one release of Debian to the next.
packages+=(libgl1 libxkbcommon0 libfontconfig1 libdbus-1-3 libharfbuzz0b fonts-dejavu-core)

[[ $(uname -s) == Linux ]] || exit 0

if ! command -v apt-get >/dev/null; then
  PATH="$PATH:/sbin:/usr/sbin"
  ldconfig -p 2>/dev/null | grep -q 'libEGL\.so\.1' ||
    echo "The 3D picture is left out and the tests of the panel fail unless you install Mesa's EGL and what Qt needs, for example:" \
      "sudo dnf install mesa-libEGL mesa-dri-drivers mesa-libGL libxkbcommon fontconfig dbus-libs glib2 dejavu-sans-fonts"
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
  echo "The 3D picture is left out and the tests of the panel fail until you run: sudo apt-get update && sudo apt-get install ${missing[*]}"
exit 0
