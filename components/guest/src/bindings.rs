//! The platform's WIT as Rust.
#![allow(missing_docs, clippy::all, unreachable_pub, reason = "generated")]

/// Imports.
pub mod capabilities {
    wit_bindgen::generate!({ path: "../../wit", world: "capabilities", generate_all });
}

/// The export of a component that receives events.
pub mod consumer {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "event-consumer",
        pub_export_macro: true,
        default_bindings_module: "guest::bindings::consumer",
    });
}

/// The export of a component that is called by the clock.
pub mod scheduled {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "scheduled",
        pub_export_macro: true,
        default_bindings_module: "guest::bindings::scheduled",
    });
}
