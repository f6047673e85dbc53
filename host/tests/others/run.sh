#!/usr/bin/env bash
# Components across toolchains: one that componentize-py made, deployed and swapped unmodified under load;
# and one of ours, of WASI 0.2, served by jco.
set -euo pipefail
cd "$(dirname "$0")/../../.."

COMPONENTIZE_PY=0.25.1
JCO=1.35.0
WORK=target/others
PORT=${PORT:-18123}

say() { echo "others: $*"; }

python_component() {
    local wit
    mkdir -p "$WORK"
    if [ ! -x "$WORK/venv/bin/componentize-py" ]; then
        say "installing componentize-py $COMPONENTIZE_PY"
        python3 -m venv "$WORK/venv"
        "$WORK/venv/bin/pip" install -q "componentize-py==$COMPONENTIZE_PY"
    fi
    # The standard's own WIT, from the crate that the host implements it with.
    wit=$(cargo metadata --locked --format-version 1 | python3 -c '
import json, os, sys
found = [p for p in json.load(sys.stdin)["packages"] if p["name"] == "wasmtime-wasi-http"]
print(os.path.join(os.path.dirname(found[0]["manifest_path"]), "wit"))')
    "$WORK/venv/bin/componentize-py" -d "$wit" -w wasi:http/proxy componentize \
        -p host/tests/others app -o "$WORK/python.wasm"
    cp host/tests/others/component.toml "$WORK/python.toml"
}

served_by_jco() {
    local answer
    if [ ! -d "$WORK/node_modules/@bytecodealliance/jco" ]; then
        say "installing jco $JCO"
        npm install --silent --no-fund --no-audit --prefix "$WORK" "@bytecodealliance/jco@$JCO"
    fi
    "$WORK/node_modules/.bin/jco" serve target/author-components/hello.wasm --host 127.0.0.1 --port "$PORT" \
        >"$WORK/jco.log" 2>&1 &
    serving=$!
    trap 'kill $serving 2>/dev/null || true' EXIT
    answer=$(curl -fsS --retry 60 --retry-delay 1 --retry-connrefused "http://127.0.0.1:$PORT/hello") ||
        { cat "$WORK/jco.log"; return 1; }
    say "components/hello, served by jco: $answer"
    case $answer in *"Hello, world!"*) ;; *) say "that is another answer"; return 1 ;; esac
}

python_component
say "a component of $(du -h "$WORK/python.wasm" | cut -f1) in Python, deployed and swapped"
cargo test --locked --workspace --features host/failpoints --test it -- --ignored --nocapture another_language
just hello
served_by_jco
