# Every command a person or CI runs. `just` lists them.

set shell := ["bash", "-euo", "pipefail", "-c"]

components := "chat documents probe quiz"

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

# Builds and starts the platform with its embedded defaults, on http://127.0.0.1:8080.
run *ARGS: build
    target/release/lectern serve {{ ARGS }}

# Runs all tests: the domain natively, the contract suites, the platform through real wasm.
test: setup components
    # The variables of a deployment are not the tests'.
    unset DB_HOST DB_PORT DB_NAME DB_USER DB_PASSWORD JWT_SECRET_KEY LECTERN_COMPONENTS LECTERN_LOG \
        OPENROUTER_API_KEY OPENROUTER_BASE_URL OPENROUTER_MODEL; \
    cargo test --locked --workspace --features host/failpoints

# The domain tests alone: no wasm, no database, seconds.
test-domain:
    cargo test --locked -p corpus -p chat -p documents -p quiz -p guest

# What CI insists on besides tests: format, lints on both targets, documentation.
check: setup
    cargo fmt --all --check
    cargo clippy --locked --workspace --all-targets --features host/failpoints -- -D warnings
    cargo clippy --locked --profile component --target wasm32-wasip2 {{ prepend("-p ", components) }} -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps -p host -p capability -p backend -p runtime

# Measures a component against the same handler native, in one run.
bench: components
    cargo bench --locked -p host --bench handlers
