//! The host's only `bindgen!`.

wasmtime::component::bindgen!({
    path: "../../../wit",
    world: "platform",
    with: {
        "lectern:platform/postgres.transaction": crate::bind::postgres::Transaction,
    },
});
