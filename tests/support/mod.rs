// SPDX-License-Identifier: MPL-2.0
//! What the tests of the C interface share.

pub mod cc;
pub mod generate;

use std::io::Write;
use std::path::Path;

/// The directory of the package.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Tells why a test does nothing. Written past the capture of test output, so that it is seen.
pub fn skipped(reason: &str) {
    // Nothing can be done about a closed stderr.
    let _ = writeln!(std::io::stderr(), "SKIPPED {reason}");
}
