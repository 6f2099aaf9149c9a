#!/bin/sh
# Makes .venv with exactly the packages of a lock file: `sh .ci/setup.sh run` for running, `... dev` for tests as well.
# Nothing is resolved, so no later release can change what is installed. It can be interrupted and run again at any time.
# PYTHON names the interpreter; pip's own settings (PIP_INDEX_URL, pip.conf) say where packages come from.
set -eu
cd "$(dirname "$0")/.."

kind=$1
case $kind in
    run) lock=requirements.lock ;;
    dev) lock=requirements-dev.lock ;;
    *) echo "usage: sh .ci/setup.sh run|dev" >&2; exit 2 ;;
esac
complete=.venv/.set-up-$kind # what a set-up that came to its end was made from
made_in=.venv/.made-in # scripts of .venv name its folder: a clone that was moved needs another
log=.venv/set-up.log
started=$(date +%s)

say() { printf 'set-up %s\n' "$*"; }

fail() {
    printf 'set-up failed: %s\n' "$1" >&2
    shift
    for line; do printf '  %s\n' "$line" >&2; done
    exit 1
}

# The real interpreter behind a name, also when the name is one of an activated .venv; fails below 3.11.
BEHIND='import sys; print(getattr(sys, "_base_executable", sys.executable)); sys.exit(sys.version_info < (3, 11))'
FITS='import importlib.util, sys; sys.exit(sys.version_info < (3, 11) or not importlib.util.find_spec("pip"))'
WHICH='import sys; print(sys.version, sys.base_prefix)'

choose_python() {
    if [ -n "${PYTHON:-}" ]; then set -- "$PYTHON"; else set -- python3 python3.13 python3.12 python3.11 python3.14; fi
    for name; do
        if python=$("$name" -c "$BEHIND" 2>/dev/null); then return; fi
    done
    if found=$("$1" --version 2>&1); then found="$1 is $found"; else found="there is no $1"; fi
    fail "Python 3.11 or newer is needed, and $found" \
        "install it (Debian, Ubuntu: apt-get install python3 python3-venv; macOS: brew install python; or python.org)," \
        "or say where one is: make run PYTHON=/path/to/python3.12"
}

usable() {
    .venv/bin/python -c "$FITS" 2>/dev/null || return 1
    [ -z "${PYTHON:-}" ] || [ "$("$PYTHON" -c "$WHICH" 2>/dev/null)" = "$(.venv/bin/python -c "$WHICH")" ] || return 1
    [ ! -f $made_in ] || [ "$(cat $made_in)" = "$(pwd)" ]
}

make_venv() {
    choose_python
    version=$("$python" -c 'import platform; print(platform.python_version())')
    again=""
    [ ! -e .venv ] || again=" anew"
    say "1/4: making .venv$again with Python $version ($python)"
    "$python" -c 'import ensurepip, venv' 2>/dev/null ||
        fail "this Python has no venv module or no pip to put into one" \
            "Debian, Ubuntu: apt-get install python3-venv (or python${version%.*}-venv), then run make again"
    rm -rf .venv
    words=$("$python" -m venv .venv 2>&1) || fail "python -m venv .venv failed" "$words"
}

# Settings of pip that say where packages come from are the user's; those that could change what is installed are not.
keep_only_sources() {
    for name in $(env | sed -n 's/^\(PIP_[A-Z_]*\)=.*/\1/p'); do
        case $name in
            PIP_*INDEX* | PIP_FIND_LINKS | PIP_CONFIG_FILE | PIP_KEYRING_PROVIDER) ;;
            PIP_*CERT | PIP_TRUSTED_HOST | PIP_PROXY | PIP_*CACHE* | PIP_*TIMEOUT | PIP_RETRIES) ;;
            *) unset "$name" ;;
        esac
    done
    # an empty value would not overrule one of pip.conf
    export PIP_CONSTRAINT=/dev/null PIP_USER=0 PIP_NO_INPUT=1 PIP_DISABLE_PIP_VERSION_CHECK=1
}

pip() { .venv/bin/python -I -m pip "$@"; }

# Runs pip with its output in the log; on a terminal one line says how far it is.
install() {
    { pip install --progress-bar off --no-deps --only-binary :all: "$@" 2>&1 || echo "pip failed"; } | follow || explain
}

follow() {
    count=0
    total=$(grep -c '^[A-Za-z0-9]' "$lock")
    outcome=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>$log
        case $line in
            Ignoring*) total=$((total - 1)) ;; # a package of another system or Python
            Collecting* | Requirement*) count=$((count + 1)) name=${line#* }; progress "$count of $total: ${name%% *}" ;;
            Installing*) progress "unpacking" ;;
            "pip failed") outcome=1 ;;
        esac
    done
    progress ""
    return $outcome
}

progress() {
    [ ! -t 1 ] || printf '\r\033[K%.79s' "${1:+    $1}"
}

# Packages of an earlier lock file that neither lock file has now.
remove_leftovers() {
    sed -n 's/^\([A-Za-z0-9-]*\)==.*/\1/p' requirements.lock requirements-dev.lock >.venv/.locked
    leftovers=$(pip freeze --all --exclude-editable | sed 's/[ =].*//' | tr 'A-Z_.' 'a-z-' | grep -vxF -e pip -f .venv/.locked) ||
        return 0
    # shellcheck disable=SC2086 # one word for each package
    pip uninstall --yes $leftovers >>$log 2>&1 || explain
}

# What pip's failure means, and what to do about it.
explain() {
    missing=$(sed -n 's/.*No matching distribution found for \([^ ]*\).*/\1/p' $log | head -n 1)
    if grep -q 'DO NOT MATCH THE HASHES' $log; then
        fail "a package is not the one that $lock was made with:" "$(sed -n '/DO NOT MATCH/,$s/^ *\([^ ]*==[^ ]*\) from.*/\1/p' $log)" \
            "do not use it; a mirror or a cache hands out something else: try PIP_NO_CACHE_DIR=1, or another PIP_INDEX_URL"
    elif grep -q 'No space left' $log; then
        fail "the disk is full" "free about 1 GB, then run make again"
    elif trouble=$(tail -n 12 $log | grep -oE '(connection broken by|HTTP error|Max retries|timed out|CERTIFICATE).*'); then
        fail "the Python package registry cannot be reached, or refuses:" "$(printf '%s\n' "$trouble" | tail -n 1)" \
            "check the network; behind a proxy set HTTPS_PROXY, with a mirror set PIP_INDEX_URL; then run make again"
    elif [ -n "$missing" ]; then
        fail "the package registry has no $missing for $(.venv/bin/python -VV | cut -d ' ' -f 1,2) on $(uname -sm)" \
            "behind a mirror: ask for this version there, or set PIP_INDEX_URL to another one;" \
            "a very new Python: take another, make run PYTHON=python3.13"
    fi
    fail "pip could not install; its last words (all of them: $log):" "$(tail -n 5 $log)"
}

inputs=$(cksum requirements.lock requirements-dev.lock pyproject.toml)
if usable; then
    [ "$(cat "$complete" 2>/dev/null)" != "$inputs" ] || exit 0
    say "1/4: going on with the .venv that is there"
else
    make_venv
fi
pwd >$made_in
rm -f .venv/.set-up-*
: >$log

keep_only_sources
say "2/4: installing the packages of $lock (about a minute)"
install --require-hashes -r "$lock"
remove_leftovers
say "3/4: installing the rebalancer itself"
install --no-build-isolation -e .
say "4/4: checking that they fit together"
words=$(pip check 2>&1) || fail "$lock does not fit pyproject.toml or this Python:" "$words" \
    "after a change to the dependencies: make lock; otherwise: git checkout -- requirements.lock requirements-dev.lock"

[ "$kind" = run ] || printf '%s\n' "$inputs" >.venv/.set-up-run
printf '%s\n' "$inputs" >"$complete"
say "done in $(($(date +%s) - started)) s; to type \`rebalance\` yourself: source .venv/bin/activate (fish: activate.fish)"
