#!/bin/sh
# Installs Larder from this source and its lock into a new virtual environment. The image is made by it, and so is any
# other installation; CI runs it, too.
#
#   deploy/install.sh /opt/larder [python3.13]
set -eu

prefix=${1:?usage: deploy/install.sh PREFIX [PYTHON]}
python=${2:-python3}
source=$(cd "$(dirname "$0")/.." && pwd)

if [ -e "$prefix" ]; then
    echo "$prefix is there already: name a new directory" >&2
    exit 1
fi
"$python" -m venv "$prefix"
pip="$prefix/bin/python -m pip --disable-pip-version-check --no-input --no-cache-dir"
$pip install --require-hashes --requirement "$source/requirements.lock"
# A copy, because a build leaves traces in its source, which may be read-only.
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp -R "$source/pyproject.toml" "$source/README.md" "$source/services" "$source/shared" "$work"
$pip install --no-deps --no-build-isolation "$work"
# The tree may be read-only when it runs. What it was installed with has no business there.
"$prefix/bin/python" -m compileall -q "$prefix/lib"
$pip uninstall --yes setuptools pip
