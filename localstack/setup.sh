#!/bin/sh
# Puts one part of the tool set in place: uv, python, venv, web, sam, ministack, check, audit, runtime, dynalite, mail or mermaid. `make setup` calls it for each that is missing or out of date.
set -eu
cd "$(dirname "$0")/.."
tools=$PWD/.tools
log=$tools/setup.log
uv=$tools/uv/bin/uv
# The lock file decides what is installed, whatever this machine's own uv settings say.
export UV_NO_CONFIG=1 UV_PYTHON_INSTALL_DIR="$tools/python" UV_NO_PROGRESS=1
unset VIRTUAL_ENV PYTHONPATH PYTHONHOME

die() {
    echo "mailtide: $1" >&2
    exit 1
}

# quietly WHAT_WENT_WRONG COMMAND...: the output is shown only on failure, under one line that says what failed.
quietly() {
    what=$1
    shift
    if ! "$@" >>"$log" 2>&1; then
        die "$what (the last lines of .tools/setup.log: $(tail -n 3 "$log" | tr '\n' ' '))"
    fi
}

is_313() {
    "$@" -c 'import ctypes, sqlite3, ssl, sys; sys.exit(sys.version_info[:2] != (3, 13))' >/dev/null 2>&1
}

# Prints the path of a Python 3.13 that really runs. A pyenv shim stands on the PATH even where its 3.13 is not active.
find_313() {
    for candidate in python3.13 python3 python; do
        if is_313 "$candidate"; then
            "$candidate" -c 'import sys; print(sys._base_executable)'
            return
        fi
    done
    if command -v pyenv >/dev/null 2>&1; then
        for version in $(pyenv versions --bare 2>/dev/null | grep -E '^3\.13\.[0-9]+$' | sort -rV); do
            if is_313 env PYENV_VERSION="$version" python; then
                PYENV_VERSION=$version python -c 'import sys; print(sys._base_executable)'
                return
            fi
        done
    fi
    "$uv" python install --no-bin 3.13 >>"$log" 2>&1 || return 1
    "$uv" python find --managed-python 3.13
}

# tool_venv NAME: a virtual environment of its own with exactly the pinned packages.
tool_venv() {
    "$uv" venv --quiet --clear --python "$(cat "$tools/python313")" "$tools/$1" >>"$log" 2>&1 || die "cannot make .tools/$1 (see .tools/setup.log)"
    [ ! -f "localstack/tools/$1.txt" ] && return
    quietly "cannot install $1; is a package index in reach?" \
        "$uv" pip install --python "$tools/$1/bin/python" --require-hashes -r "localstack/tools/$1.txt"
}

# Prints why Postfix and Dovecot cannot be had here; nothing where they can.
why_no_mail() {
    if [ "$(uname -s)" != Linux ] || ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-deb >/dev/null 2>&1; then
        echo 'Postfix and Dovecot come from the packages of Debian, and there is no apt-get here'
    elif ! grep -qs '^VERSION_CODENAME=bookworm$' /etc/os-release; then
        echo 'Postfix and Dovecot are set up here as Debian 12 (bookworm) has them, and this is another system'
    fi
}

# apt_mail LISTS COMMAND...: apt-get with folders of our own, so that it neither needs root nor leaves a trace.
apt_mail() {
    lists=$1
    shift
    LC_ALL=C apt-get -q -o Debug::NoLocking=1 -o Dir::State::lists="$lists" -o Dir::Cache="$mail/cache" \
        -o Dir::Cache::archives="$mail/archives" -o Acquire::http::Timeout=20 -o Acquire::Retries=2 "$@"
}

# fetch_mail LISTS: also what is installed already, so that the same files are used everywhere; libraries only where missing.
fetch_mail() {
    apt_mail "$1" install --yes --download-only --reinstall --no-install-recommends \
        postfix dovecot-core dovecot-imapd dovecot-lmtpd dovecot-sieve
}

mkdir -p "$tools"
case ${1:-} in
uv)
    command -v python3 >/dev/null 2>&1 || die "python3 is missing; on Debian: apt-get install python3 python3-venv"
    rm -rf "$tools/uv"
    python3 -m venv "$tools/uv" >>"$log" 2>&1 || die "python3 cannot make a virtual environment; on Debian: apt-get install python3-venv"
    quietly "cannot install uv; is a package index in reach?" \
        "$tools/uv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r localstack/tools/uv.txt
    ;;
python)
    python=$(find_313) || die "no Python 3.13 here, and uv could not fetch one; install python3.13 or, with pyenv, a 3.13.x"
    echo "$python" >"$tools/python313"
    ;;
venv)
    # Not --frozen: a lock file that no longer fits pyproject.toml must be noticed.
    quietly "cannot install the packages of uv.lock; is a package index in reach?" \
        "$uv" sync --locked --all-extras --python "$(cat "$tools/python313")"
    ;;
web)
    quietly "cannot install the packages of the group web; is a package index in reach?" \
        env UV_PROJECT_ENVIRONMENT="$tools/web" "$uv" sync --locked --all-extras --group web --python "$(cat "$tools/python313")"
    ;;
sam | ministack | check | audit)
    tool_venv "$1"
    ;;
runtime)
    # An empty environment: the emulator runs functions with its own interpreter, and they must see nothing but their layers.
    tool_venv "$1"
    ;;
dynalite)
    # A second opinion on DynamoDB's conditions; its tests are skipped where it cannot be had.
    mkdir -p "$tools/dynalite"
    if command -v npm >/dev/null 2>&1; then
        cp localstack/tools/dynalite/package.json localstack/tools/dynalite/package-lock.json "$tools/dynalite/"
        npm ci --prefix "$tools/dynalite" --ignore-scripts --no-audit --no-fund >>"$log" 2>&1 ||
            echo 'setup: dynalite could not be installed; its tests are skipped' >&2
    fi
    ;;
mail)
    # Debian's packages, unpacked and not installed: a mail server that this computer has of its own stays as it is.
    # Beside the old ones until all is there: servers may be running from them.
    mail=$tools/mail.new
    rm -rf "$mail"
    mkdir -p "$mail/root" "$mail/archives/partial" "$mail/lists/partial" "$mail/cache"
    why=$(why_no_mail)
    if [ -n "$why" ]; then
        echo "$why" >"$mail/why-not"
        echo "setup: $why; tests with Postfix and Dovecot are skipped" >&2
    else
        # What stands in the machine's own lists may be gone from the archive; then lists of this folder's own are fetched.
        fetch_mail /var/lib/apt/lists >>"$log" 2>&1 || {
            quietly "cannot read Debian's lists of packages; is a package archive in reach?" apt_mail "$mail/lists" update
            quietly "cannot fetch Postfix and Dovecot; is a package archive in reach?" fetch_mail "$mail/lists"
        }
        for package in "$mail"/archives/*.deb; do
            quietly "cannot unpack $package" dpkg-deb --extract "$package" "$mail/root"
        done
        quietly "cannot make Dovecot fit its folder" "$(cat "$tools/python313")" localstack/mail_servers/relocate.py "$mail/root"
        rm -rf "$mail/root/usr/share/doc" "$mail/root/usr/share/man"
    fi
    rm -rf "$mail/archives" "$mail/lists" "$mail/cache" "$tools/mail"
    mv "$mail" "$tools/mail"
    ;;
mermaid)
    # One file of an npm package draws the diagrams of the documentation; all that it needs is in it.
    mkdir -p "$tools/mermaid"
    pins=$PWD/localstack/tools/mermaid.sha512
    package=$(cut -d' ' -f3 "$pins")
    version=${package#mermaid-}
    cd "$tools/mermaid"
    if npm pack "mermaid@${version%.tgz}" --ignore-scripts >>"$log" 2>&1; then
        quietly "mermaid is not the package that is pinned" sha512sum --check "$pins"
        tar -xzf "$package" --strip-components=2 package/dist/mermaid.min.js
        rm "$package"
    else
        echo 'setup: mermaid cannot be had by npm; readers of the site will fetch it from unpkg.com' >&2
    fi
    ;;
*)
    die "usage: localstack/setup.sh uv|python|venv|web|sam|ministack|check|audit|runtime|dynalite|mail|mermaid"
    ;;
esac
