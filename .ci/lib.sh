# shellcheck shell=bash
# What the scripts beside this file share. Source it: it moves to the top of the repository. Runs on bash 3.2 and later.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
unset PYTHONPATH PYTHONHOME # what is tested comes from its virtual environment, and only from there

# Virtual environments are kept here between runs. Remove the folder to get newer releases of what they hold.
: "${MASKCHECK_VENVS:=$PWD/.venvs}"

# pip ARGUMENT...: a pip that knows --group. One serves every interpreter, whatever pip that bundles, if any.
pip() {
  local home=$MASKCHECK_VENVS/pip
  if ! [ -e "$home/ready" ]; then
    python3 -m venv --clear "$home" &&
      "$home/bin/python" -m pip install -qq --upgrade 'pip>=25.1' &&
      touch "$home/ready" || return
  fi
  "$home/bin/python" -m pip "$@"
}

# setup_venv NAME PYTHON ARGUMENT...: sets `venv` to a virtual environment of PYTHON that has what
# `pip install ARGUMENT...` gives. Makes it, unless the one of that name is just that already.
setup_venv() {
  local identity executable version wanted
  identity=$("$2" -c 'import sys; print(sys.executable, "%d.%d" % sys.version_info[:2], sep="\n")')
  executable=${identity%$'\n'*} version=${identity##*$'\n'}
  venv=$MASKCHECK_VENVS/$1-$version
  wanted="$executable $("$2" -VV) ${*:3} $(cksum pyproject.toml ${MASKCHECK_WHEEL:+"$MASKCHECK_WHEEL"})"
  if [ "$wanted" != "$(cat "$venv/ready" 2>/dev/null)" ]; then
    echo "setting up $1-$version: $executable"
    "$executable" -m venv --clear --without-pip "$venv"
    pip --python "$venv/bin/python" install -qq "${@:3}"
    echo "$wanted" >"$venv/ready"
  fi
}

# run_pytest PLACE ARGUMENT...: becomes pytest in `venv`, where the package must be the one below PLACE. It starts in the
# same state whoever starts it: no signal is ignored (`nohup`, background jobs of a shell) or blocked, standard input is
# open, and new files have the usual mode. tests/conftest.py does likewise where pytest is started without this script.
run_pytest() {
  exec "$venv/bin/python" -P -c '
import os, signal, sys
import pytest_maskcheck
found = os.path.realpath(pytest_maskcheck.__file__)
if not found.startswith(os.path.join(os.path.realpath(sys.argv[1]), "")):
    sys.exit(f"pytest_maskcheck was imported from {found}, not from below {sys.argv[1]}")
for signum in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
    if signal.getsignal(signum) == signal.SIG_IGN:
        signal.signal(signum, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
if sys.stdin is None:
    os.set_inheritable(os.open(os.devnull, os.O_RDONLY), True)
os.umask(0o022)
os.execv(sys.executable, [sys.executable, "-P", "-m", "pytest", *sys.argv[2:]])
' "$@"
}
