#!/usr/bin/env bash
# Installs what the build and the platform need and the machine lacks, and says what it does.
set -euo pipefail

say() { echo "setup: $*"; }
as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    say "run this as root: $*"; exit 1; fi; }

if ! rustup target list --installed 2>/dev/null | grep -qx wasm32-wasip2; then
    say "adding the Rust target wasm32-wasip2"
    rustup target add wasm32-wasip2
fi

has_postgres() {
    command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb \
        /opt/homebrew/opt/postgresql*/bin/initdb /usr/local/opt/postgresql*/bin/initdb >/dev/null 2>&1
}

# Reads scanned pages; without it they are told as such, and not read.
if ! { command -v tesseract && command -v pdftoppm; } >/dev/null; then
    say "installing Tesseract and Poppler"
    {
        if command -v apt-get >/dev/null; then
            as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
            as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends tesseract-ocr poppler-utils
        elif command -v dnf >/dev/null; then as_root dnf install -y tesseract poppler-utils
        elif command -v apk >/dev/null; then as_root apk add tesseract-ocr tesseract-ocr-data-eng poppler-utils
        elif command -v pacman >/dev/null; then as_root pacman -S --noconfirm tesseract tesseract-data-eng poppler
        elif command -v zypper >/dev/null; then as_root zypper install -y tesseract-ocr poppler-tools
        elif command -v brew >/dev/null; then brew install tesseract poppler
        else false
        fi
    } || say "Tesseract could not be installed: scanned pages will not be read"
fi

# With DB_HOST the platform uses that server; the tests want a private one all the same.
if ! has_postgres; then
    say "installing PostgreSQL"
    if command -v apt-get >/dev/null; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends postgresql
    elif command -v dnf >/dev/null; then as_root dnf install -y postgresql-server
    elif command -v apk >/dev/null; then as_root apk add postgresql
    elif command -v pacman >/dev/null; then as_root pacman -S --noconfirm postgresql
    elif command -v zypper >/dev/null; then as_root zypper install -y postgresql-server
    elif command -v brew >/dev/null; then brew install postgresql@17
    else say "no known package manager: install PostgreSQL's server programs (initdb, postgres) by hand"; exit 1
    fi
fi
