//! Log lines: the host reads a level at the start of a line. Never a document's text.

/// Something an operator should know.
pub fn info(message: &str) {
    eprintln!("INFO {message}");
}

/// Something an operator should look at.
pub fn warn(message: &str) {
    eprintln!("WARN {message}");
}

/// Something an operator should mend.
pub fn error(message: &str) {
    eprintln!("ERROR {message}");
}
