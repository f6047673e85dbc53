#!/usr/bin/env bash
# The servers that a deployment has, native and on loopback: PostgreSQL, Redis, Kafka, S3, Toxiproxy.
#   deploy/services.sh install|start|stop|kill|status [postgres|redis|kafka|s3|toxiproxy ...]
#   deploy/services.sh env
# `start` installs what is missing and writes .lectern/services.env; `kill` is SIGKILL, for tests.
set -euo pipefail

HERE=$(cd "$(dirname "$0")" && pwd)
ROOT=$(dirname "$HERE")
BIN=$ROOT/.lectern/bin
RUN=$ROOT/.lectern/services
ENV_FILE=$ROOT/.lectern/services.env

# Not the standard ports: somebody's own servers may have those. Below 32768: above, Linux lends ports to
# outgoing connections, and a server that was killed may find its own taken.
POSTGRES_PORT=${LECTERN_POSTGRES_PORT:-25432}
REDIS_PORT=${LECTERN_REDIS_PORT:-26379}
KAFKA_PORT=${LECTERN_KAFKA_PORT:-29092} # and the three after it: controller, behind the proxy, the proxy
S3_PORT=${LECTERN_S3_PORT:-27070}
TOXIPROXY_PORT=${LECTERN_TOXIPROXY_PORT:-28474}
REGION=us-east-1
BUCKETS="lectern-files lectern-documents lectern-stt lectern-tts"
# Toxiproxy may stand between: the same server, on the port after its own.
POSTGRES_PROXY_PORT=$((POSTGRES_PORT + 1))
REDIS_PROXY_PORT=$((REDIS_PORT + 1))
KAFKA_PROXY_PORT=$((KAFKA_PORT + 3))
S3_PROXY_PORT=$((S3_PORT + 1))

say() { echo "services: $*"; }
fail() {
    say "$*" >&2
    return 1
}

# shellcheck source=deploy/services/process.sh
. "$HERE/services/process.sh"
# shellcheck source=deploy/services/install.sh
. "$HERE/services/install.sh"
# shellcheck source=deploy/services/servers.sh
. "$HERE/services/servers.sh"

usage() {
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
}

# One at a time in this folder; whoever comes second finds the work done.
lock() {
    command -v flock >/dev/null || return 0
    exec 9>"$RUN/lock"
    flock 9
}

# PostgreSQL's user must be able to walk in; what is secret in here has its own mode.
folders() {
    mkdir -p "$BIN" "$RUN"
    chmod 711 "$RUN"
}

random() { od -An -tx1 -N"$1" /dev/urandom | tr -d ' \n'; }

# Made once: a password that changes would lock out what has been stored.
secrets() {
    local file=$RUN/secrets
    if [ ! -s "$file" ]; then
        (umask 077 && cat >"$file.new" <<SECRETS
DB_PASSWORD=$(random 24)
POSTGRES_PASSWORD=$(random 24)
S3_ACCESS_KEY=LECTERN$(random 6 | tr a-f A-F)
S3_SECRET_KEY=$(random 24)
SECRETS
        )
        mv "$file.new" "$file"
    fi
    # shellcheck disable=SC1090
    . "$file"
}

environment() {
    cat <<ENVIRONMENT
# Written by deploy/services.sh; for a shell: set -a; . .lectern/services.env; set +a
DB_HOST=127.0.0.1
DB_PORT=$POSTGRES_PORT
DB_NAME=lectern
DB_USER=lectern
DB_PASSWORD=$DB_PASSWORD
KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:$KAFKA_PORT
REDIS_HOST=127.0.0.1
REDIS_PORT=$REDIS_PORT
REDIS_DB=0
AWS_REGION=$REGION
# S3 alone: AWS_ENDPOINT_URL would send Polly, Transcribe and Textract there too.
AWS_ENDPOINT_URL_S3=http://127.0.0.1:$S3_PORT
AWS_ACCESS_KEY_ID=$S3_ACCESS_KEY
AWS_SECRET_ACCESS_KEY=$S3_SECRET_KEY
S3_BUCKET_NAME=lectern-files
S3_BUCKET_DOCUMENTS=lectern-documents
S3_BUCKET_STT=lectern-stt
S3_BUCKET_TTS=lectern-tts
# Credentials alone would mean Amazon's own services, which are not among these servers.
LECTERN_SPEECH=local
LECTERN_TRANSCRIPTION=none
LECTERN_OCR=local
# The same servers through Toxiproxy, by its proxies postgres, redis, kafka and s3.
TOXIPROXY_URL=http://127.0.0.1:$TOXIPROXY_PORT
PROXIED_POSTGRES=127.0.0.1:$POSTGRES_PROXY_PORT
PROXIED_REDIS=127.0.0.1:$REDIS_PROXY_PORT
PROXIED_KAFKA=127.0.0.1:$KAFKA_PROXY_PORT
PROXIED_S3=127.0.0.1:$S3_PROXY_PORT
ENVIRONMENT
}

write_environment() {
    (umask 077 && environment >"$ENV_FILE.new")
    mv "$ENV_FILE.new" "$ENV_FILE"
}

# Runs `VERB_one SERVER` for every server at once; fails where one does.
each() {
    local verb=$1 name jobs="" job failed=0
    shift
    for name in "$@"; do
        "${verb}_one" "$name" &
        jobs="$jobs $!"
    done
    for job in $jobs; do wait "$job" || failed=1; done
    return "$failed"
}

start_one() {
    local name=$1
    mkdir -p "$RUN/$name"
    if alive "$name"; then
        if [ "$(kept "$name" port)" = "$(port_of "$name")" ]; then
            await "$name" && say "$name: already running on 127.0.0.1:$(port_of "$name")"
            return
        fi
        end "$name" "$(signal_of "$name")"
    fi
    free_port "$name" && "start_$name" && await "$name" && "prepare_$name" &&
        say "$name: on 127.0.0.1:$(port_of "$name")"
}

stop_one() {
    alive "$1" || { say "$1: not running" && return; }
    end "$1" "$(signal_of "$1")" && say "$1: stopped"
}

kill_one() {
    alive "$1" || { fail "$1: not running" || return; }
    end "$1" KILL && say "$1: killed"
}

status_one() {
    if alive "$1" && "ask_$1"; then say "$1: on 127.0.0.1:$(kept "$1" port)"; else fail "$1: not running"; fi
}

main() {
    local verb=${1:-} name
    [ $# -gt 0 ] && shift
    [ $# -gt 0 ] || set -- postgres redis kafka s3 toxiproxy
    for name in "$@"; do port_of "$name" >/dev/null || usage; done
    folders
    case $verb in
        install | start | stop | kill) lock ;;
        status | env) ;;
        *) usage ;;
    esac
    case $verb in
        install) install_for "$@" ;;
        start)
            install_for "$@"
            secrets
            each start "$@"
            write_environment
            say "variables: $ENV_FILE"
            ;;
        env)
            secrets
            environment
            ;;
        *)
            secrets
            each "$verb" "$@"
            # Whoever reads it would look for servers that are gone.
            if [ "$verb" = stop ] && [ $# = 5 ]; then rm -f "$ENV_FILE"; fi
            ;;
    esac
}

main "$@"
