//! What a component's bytes say of themselves, before anything is compiled.

use wasmparser::{Encoding, Parser, Payload, Validator, WasmFeatures};

/// What the bytes are instead.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotAComponent {
    /// A core module, as `wasm32-unknown-unknown` and `wasm32-wasip1` make them.
    #[error(
        "it is a core WebAssembly module: build it for wasm32-wasip2, or wrap it with `wasm-tools component new`"
    )]
    Module,
    /// Native code: it would run outside of the sandbox.
    #[error("it is a compiled artefact: upload the component, the host compiles it itself")]
    Compiled,
    /// Neither.
    #[error("it does not begin as WebAssembly does")]
    NotWasm,
    /// A component that is cut off or broken.
    #[error("it is no valid component: {0}")]
    Invalid(String),
}

/// The names of its imports, as in `lectern:platform/postgres@0.1.0`.
pub(crate) fn imports(wasm: &[u8]) -> Result<Vec<String>, NotAComponent> {
    if wasm.starts_with(b"\x7fELF") {
        return Err(NotAComponent::Compiled);
    }
    if !wasm.starts_with(b"\0asm") {
        return Err(NotAComponent::NotWasm);
    }
    if Parser::is_core_wasm(wasm) {
        return Err(NotAComponent::Module);
    }
    let invalid = |e: wasmparser::BinaryReaderError| NotAComponent::Invalid(e.to_string());
    // With all features: which of them this engine has, its compiler says.
    Validator::new_with_features(WasmFeatures::all())
        .validate_all(wasm)
        .map_err(invalid)?;
    let (mut names, mut depth) = (Vec::new(), 0);
    for payload in Parser::new(0).parse_all(wasm) {
        match payload.map_err(invalid)? {
            Payload::Version { encoding, .. } if depth == 0 && encoding != Encoding::Component => {
                return Err(NotAComponent::Module);
            }
            Payload::Version { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentImportSection(section) if depth == 1 => {
                for import in section {
                    names.push(import.map_err(invalid)?.name.name.to_owned());
                }
            }
            _ => {}
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_component_is_told_apart() {
        let empty = b"\0asm\x0d\0\x01\0";
        assert_eq!(imports(empty), Ok(vec![]));
        assert_eq!(imports(b"\0asm\x01\0\0\0"), Err(NotAComponent::Module));
        assert_eq!(
            imports(b"\x7fELF\x02\x01\x01"),
            Err(NotAComponent::Compiled)
        );
        assert_eq!(imports(b"#!/bin/sh"), Err(NotAComponent::NotWasm));
        assert_eq!(imports(b""), Err(NotAComponent::NotWasm));
        for cut in [&empty[..6], b"\0asm\x0d\0\x01\0\x01\xff"] {
            assert!(
                matches!(imports(cut), Err(NotAComponent::Invalid(_))),
                "{cut:?}"
            );
        }
    }
}
