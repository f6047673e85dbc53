# Every command a person or CI runs. `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

components := "chat documents probe quiz stt tts"

# Lists the recipes.
default:
    @just --list --unsorted

# Installs what is missing: the wasm target, PostgreSQL.
setup:
    @deploy/setup.sh

# Builds everything: the host, optimised, and the components.
build: setup components
    cargo build --locked --release -p host

# Builds the components to target/components/<name>.wasm, each beside its manifest.
components:
    cargo build --locked --profile component --target wasm32-wasip2 {{ prepend("-p ", components) }}
    mkdir -p target/components target/test-components
    for name in {{ components }}; do \
        folder=$([ $name = probe ] && echo test-components || echo components); \
        cp target/wasm32-wasip2/component/$name.wasm components/$name/component.toml target/$folder/; \
        mv target/$folder/component.toml target/$folder/$name.toml; \
    done

# Builds the example of WASI 0.2 with cargo-component to target/author-components/hello.{wasm,toml}.
hello:
    rustup target list --installed | grep -qx wasm32-wasip1 || rustup target add wasm32-wasip1
    cargo component --version 2>/dev/null | grep -q '0\.21\.1' || { \
        echo "hello: installing cargo-component 0.21.1; this takes about ten minutes"; \
        cargo install cargo-component --version 0.21.1 --locked; }
    CARGO_TARGET_DIR=target/author cargo test --locked --manifest-path components/hello/Cargo.toml
    CARGO_TARGET_DIR=target/author cargo component build --locked --release --manifest-path components/hello/Cargo.toml
    mkdir -p target/author-components
    install -m 644 target/author/wasm32-wasip1/release/hello.wasm target/author-components/hello.wasm
    install -m 644 components/hello/component.toml target/author-components/hello.toml

# Writes a new component: `just new NAME` to components/NAME, or `just new NAME --wasi 0.2 --folder DIR`.
new NAME *ARGS:
    cargo run --locked --release -p host --bin lectern -- new {{ NAME }} {{ ARGS }}
    cargo update --workspace --offline

# Builds one component, to target/components/NAME.wasm beside its manifest.
component NAME:
    cargo build --locked --profile component --target wasm32-wasip2 --manifest-path components/{{ NAME }}/Cargo.toml
    mkdir -p target/components
    cp target/wasm32-wasip2/component/{{ NAME }}.wasm target/components/{{ NAME }}.wasm
    cp components/{{ NAME }}/component.toml target/components/{{ NAME }}.toml

# Builds and starts the platform with its embedded defaults, on http://127.0.0.1:8080.
run *ARGS: build
    target/release/lectern serve {{ ARGS }}

# Builds what ships, to target/dist/lectern: a fifth less CPU a request than `build`, minutes of linking more.
dist: setup components
    cargo build --locked --profile dist -p host

# Builds and starts the platform, and swaps in every component that is saved.
dev *ARGS: build
    target/release/lectern dev {{ ARGS }}

# Starts the servers that a deployment has, native and on loopback; writes .lectern/services.env.
services:
    @deploy/services.sh start

# Stops those servers; what is stored in them stays.
services-stop:
    @deploy/services.sh stop

# Runs all tests: the domain natively, the contract suites, the platform through real wasm. What wants the
# servers of `just services` says so where they do not run.
test: setup components
    # The variables of a deployment are not the tests'.
    unset $(compgen -e | grep -E '^(.*_)?(DB|S3_BUCKET)_|^(AWS|JWT|KAFKA|LECTERN|OPENROUTER|REDIS)_' || true); \
    cargo test --locked --workspace --features host/failpoints

# The domain tests alone: no wasm, no database, seconds.
test-domain:
    cargo test --locked -p corpus -p chat -p documents -p quiz -p stt -p tts -p guest

# What CI insists on besides tests: format, lints on both targets, documentation.
check: setup
    cargo fmt --all --check
    cargo fmt --check --manifest-path components/hello/Cargo.toml
    cargo clippy --locked --workspace --all-targets --features host/failpoints -- -D warnings
    cargo clippy --locked --profile component --target wasm32-wasip2 {{ prepend("-p ", components) }} -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps -p host -p capability -p backend -p runtime

# Deploys and swaps a component in Python (componentize-py), and has jco serve one of ours.
others: setup components
    host/tests/others/run.sh

# Kills servers, hosts and connections while learners upload, and counts what was lost: `just faults 20`.
faults RUNS="1": services components
    RUST_BACKTRACE=0 FAULT_RUNS={{ RUNS }} cargo test --locked --workspace --features host/failpoints --test it -- \
        --ignored --nocapture servers_and_hosts_that_die_lose_and_double_nothing

# A thousand swaps under requests, streams of 30 s, uploads of 50 MB and events; prints what was lost.
soak-swap: setup components
    SWAPS=1000 STREAM_TENTHS=300 UPLOAD_MIB=50 cargo test --locked --release -p host --test it -- \
        --nocapture swaps_under_load_lose_and_double_nothing

# Measures a component against the same handler native, in one run.
bench: components
    cargo bench --locked -p host --bench handlers

# Measures what the gateway costs a request, and what is answered at twice the load that the host can bear.
bench-gateway: components
    cargo bench --locked -p host --bench gateway

# Uploads a recording of 2 GiB, and prints how much the host grew meanwhile.
bench-upload: components
    cargo test --locked --release -p host --test it -- --ignored --nocapture a_recording_of_2_gib

# Measures events from the outbox through Kafka to a handler, and what the postgres capability adds to a query.
bench-events: services
    cargo bench --locked -p backend --bench events

# Measures deploys, switches and rollbacks, what they cost the requests beside them, and what a component weighs.
bench-swap: components
    cargo bench --locked -p host --bench swap

# Measures a scrape of /metrics, of five components with three revisions each.
bench-metrics: components
    cargo bench --locked -p host --bench metrics

# Prints how good answers and quizzes are, without a model and with a scripted one.
quality:
    cargo test --locked -p chat -p quiz --test quality -- --nocapture

# Measures an answer from a document of 300 pages, a history of 1,000 messages beside an empty handler, a PDF in
# the sandbox beside native, and what a large one makes the host grow by.
bench-chat: components
    cargo bench --locked -p host --bench chat

# Measures how fast the host's own voice speaks, how soon it is heard, and what a text costs that it spoke before.
bench-speech: components
    cargo bench --locked -p host --bench speech

# Opens 10,000 WebSockets that say nothing, and prints what each costs the host in memory.
bench-idle: components
    cargo bench --locked -p host --bench idle

# Asks every route of /openapi.json for what is right and wrong (schemathesis), then OpenAI's own client; then
# Prometheus scrapes the host, with the alerts and the dashboard's questions.
contract *WHAT: build
    deploy/contract.sh {{ WHAT }}
