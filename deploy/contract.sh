#!/usr/bin/env bash
# Holds a running host to what it says of itself: schemathesis asks every route of /openapi.json for what
# is right and what is wrong, then OpenAI's own client asks the routes that are OpenAI's. Prometheus' own
# client reads the metrics of both, and Prometheus itself scrapes the second, with its alerts, for the dashboard.
#   deploy/contract.sh [schemathesis|openai]
set -euo pipefail
cd "$(dirname "$0")/.."

SCHEMATHESIS=4.32.5
OPENAI=3.57.0
PROMETHEUS_CLIENT=0.26.0
# Of each route and phase.
EXAMPLES=${EXAMPLES:-12}
SEED=${SEED:-1}
LECTERN=${LECTERN:-target/release/lectern}
VENV=.lectern/contract
KEY="the contract's users sign with this key"

say() { echo "contract: $*"; }

install() {
    local wanted=("schemathesis==$SCHEMATHESIS" "openai==$OPENAI" "prometheus_client==$PROMETHEUS_CLIENT")
    [ "$(cat "$VENV/installed" 2>/dev/null)" = "${wanted[*]}" ] && return
    say "installing ${wanted[*]}"
    python3 -m venv "$VENV"
    "$VENV/bin/pip" install -q "${wanted[@]}"
    echo "${wanted[*]}" >"$VENV/installed"
}

# On the PATH, or Debian's, unpacked and no more.
install_prometheus() {
    command -v prometheus >/dev/null && command -v promtool >/dev/null && return
    PATH=$PWD/$VENV/debian/usr/bin:$PATH
    [ -x "$VENV/debian/usr/bin/promtool" ] && return
    command -v apt-get >/dev/null || { say "install Prometheus: https://prometheus.io/download"; return 1; }
    say "unpacking Debian's prometheus"
    (cd "$VENV" && { apt-get download -q prometheus || { apt-get update -q && apt-get download -q prometheus; }; } &&
        dpkg -x prometheus_*.deb debian)
}

free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }

# serve NAME [VARIABLE=VALUE...]: a host of its own on embedded defaults; sets `base`, `admin` and `host`.
serve() {
    local name=$1 port admin_port
    shift
    port=$(free_port)
    admin_port=$(free_port)
    data=$(mktemp -d)
    chmod 755 "$data"
    env -i PATH="$PATH" HOME="$HOME" "$@" "$LECTERN" serve --listen "127.0.0.1:$port" \
        --admin-listen "127.0.0.1:$admin_port" --data-dir "$data" --components target/components >"$data/$name.log" 2>&1 &
    host=$!
    trap 'kill $host 2>/dev/null || true; wait $host 2>/dev/null || true; rm -rf '"$data" EXIT
    base=http://127.0.0.1:$port
    admin=http://127.0.0.1:$admin_port
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

# scraped ACCEPT PARSER: how many families of metrics there are, which must be dozens.
scraped() {
    local families
    families=$(curl -fsS -H "accept: $1" "$admin/metrics" | "$VENV/bin/python" host/tests/others/metrics.py "$2" | wc -l)
    say "$families families of metrics, read as $2"
    [ "$families" -ge 30 ]
}

metrics() {
    scraped application/openmetrics-text openmetrics
    scraped "text/plain;version=0.0.4" text
}

# Prometheus itself, as deploy/prometheus has it but for the host's port: its lint of the metrics, the rules, a
# scrape, and every question of the dashboard.
watched() {
    local port watching data=$data/prometheus
    install_prometheus
    promtool check rules deploy/prometheus/lectern.rules.yml
    curl -fsS -H "accept: text/plain;version=0.0.4" "$admin/metrics" | promtool check metrics
    mkdir "$data"
    cp deploy/prometheus/lectern.rules.yml "$data"
    sed "s|127.0.0.1:8081|${admin#http://}|; s/15s/1s/" deploy/prometheus/prometheus.yml >"$data/prometheus.yml"
    port=$(free_port)
    prometheus --config.file="$data/prometheus.yml" --storage.tsdb.path="$data/tsdb" \
        --web.listen-address="127.0.0.1:$port" 2>"$data/log" &
    watching=$!
    python3 host/tests/others/prometheus.py "http://127.0.0.1:$port" deploy/grafana/lectern.json ||
        { tail -n 5 "$data/log"; kill "$watching"; return 1; }
    kill "$watching"
    wait "$watching" || true
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
    metrics
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
    metrics
    watched
    stop
}

install
case ${1:-all} in
    schemathesis) fuzz ;;
    openai) client ;;
    all) fuzz; client ;;
    *) say "there is schemathesis and openai"; exit 2 ;;
esac
