#!/usr/bin/env bash
# Holds a running host to what it says of itself: schemathesis asks every route of /openapi.json for what
# is right and what is wrong, then OpenAI's own client asks the routes that are OpenAI's.
#   deploy/contract.sh [schemathesis|openai]
set -euo pipefail
cd "$(dirname "$0")/.."

SCHEMATHESIS=4.32.5
OPENAI=3.57.0
# Of each route and phase.
EXAMPLES=${EXAMPLES:-12}
SEED=${SEED:-1}
LECTERN=${LECTERN:-target/release/lectern}
VENV=.lectern/contract
KEY="the contract's users sign with this key"

say() { echo "contract: $*"; }

install() {
    [ -x "$VENV/bin/schemathesis" ] && [ -x "$VENV/bin/openai" ] && return
    say "installing schemathesis $SCHEMATHESIS and openai $OPENAI"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install -q "schemathesis==$SCHEMATHESIS" "openai==$OPENAI"
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# serve NAME [VARIABLE=VALUE...]: a host of its own on embedded defaults; sets `base` and `host`.
serve() {
    local name=$1 port
    shift
    port=$(free_port)
    data=$(mktemp -d)
    chmod 755 "$data"
    env -i PATH="$PATH" HOME="$HOME" "$@" "$LECTERN" serve --listen "127.0.0.1:$port" \
        --admin-listen 127.0.0.1:0 --data-dir "$data" --components target/components >"$data/$name.log" 2>&1 &
    host=$!
    trap 'kill $host 2>/dev/null || true; wait $host 2>/dev/null || true; rm -rf '"$data" EXIT
    base=http://127.0.0.1:$port
    for _ in $(seq 300); do
        curl -fs "$base/health" >/dev/null && return
        kill -0 $host || { cat "$data/$name.log"; return 1; }
        sleep 0.2
    done
    say "the host does not start"
    tail -n 20 "$data/$name.log"
    return 1
}

stop() {
    kill "$host"
    wait "$host" || true
    rm -rf "$data"
}

# A program that hears the same in every recording: what is tried here is the way there and back.
hears() {
    printf 'printf %%s '\''{"text":"Cells divide.","words":[{"word":"Cells","start":0.1,"end":0.4},'
    printf '{"word":"divide.","start":0.5,"end":0.9}]}'\'
}

fuzz() {
    say "schemathesis, $EXAMPLES examples of each route"
    serve fuzz
    # What is right by its schema may be wrong for a reason that no schema tells: a text of spaces, a
    # document that is not there. That is a 4xx, and no violation.
    "$VENV/bin/schemathesis" run "$base/openapi.json" --checks all \
        --exclude-checks positive_data_acceptance --phases examples,coverage,fuzzing \
        --max-examples "$EXAMPLES" --seed "$SEED" --workers 4 --request-timeout 60 --suppress-health-check all \
        --no-color
    stop
}

client() {
    say "OpenAI's client $OPENAI"
    mkdir -p .lectern
    hears >.lectern/hears.sh
    serve client JWT_SECRET_KEY="$KEY" LECTERN_STT_COMMAND="sh $PWD/.lectern/hears.sh {input}"
    local token
    token=$(env -i PATH="$PATH" JWT_SECRET_KEY="$KEY" "$LECTERN" token --user alice --ttl 1h)
    "$VENV/bin/python" host/tests/others/openai_client.py "$base" "$token"
    stop
}

install
case ${1:-all} in
    schemathesis) fuzz ;;
    openai) client ;;
    all) fuzz; client ;;
    *) say "there is schemathesis and openai"; exit 2 ;;
esac
