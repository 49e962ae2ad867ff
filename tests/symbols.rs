// SPDX-License-Identifier: MPL-2.0
//! The shared library exports the functions of `zmq.h`, and nothing else, under libzmq's SONAME.
#![forbid(unsafe_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

/// 70 stable functions and 27 of the draft API.
const EXPORTED: usize = 97;

#[test]
fn exports_the_functions_and_nothing_else() {
    let defined = output_of("nm", &["-D", "--defined-only"]);
    let mut exported = BTreeSet::new();
    for line in defined.lines() {
        // address, type, name
        let fields: Vec<_> = line.split_whitespace().collect();
        let [_, kind, name] = fields[..] else { panic!("unexpected line of nm: {line}") };
        assert_eq!(kind, "T", "{name} is no function");
        exported.insert(name.to_owned());
    }
    let source = functions_in(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src/ffi"));
    assert_eq!(exported, source);
    assert_eq!(exported.len(), EXPORTED);
    assert!(exported.iter().all(|name| name.starts_with("zmq_")));
}

#[test]
fn soname_is_that_of_libzmq() {
    let dynamic = output_of("readelf", &["-d"]);
    let soname = dynamic.lines().find(|line| line.contains("(SONAME)")).expect("a SONAME");
    assert!(soname.contains("[libzmq.so.5]"), "{soname}");
}

#[test]
fn has_no_symbol_versions() {
    // libzmq has none, and the dynamic linker would ask for those that a program was linked with.
    assert!(!output_of("readelf", &["-V"]).contains(".gnu.version_d"));
}

/// The functions that Rust source files export.
fn functions_in(dir: &Path) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for entry in std::fs::read_dir(dir).expect("src/ffi") {
        let path = entry.expect("src/ffi").path();
        if path.is_dir() {
            names.extend(functions_in(&path));
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("source file");
        let mut exported = false;
        for line in source.lines() {
            let signature = line.strip_prefix("pub unsafe extern \"C\" fn ");
            if let Some(name) = signature.and_then(|rest| rest.split('(').next()) {
                assert!(exported, "{name} lacks no_mangle");
                assert!(names.insert(name.to_owned()), "{name} is there twice");
            }
            exported = line == "#[unsafe(no_mangle)]";
        }
    }
    names
}

/// What a tool writes about the shared library.
fn output_of(tool: &str, args: &[&str]) -> String {
    let output = Command::new(tool).args(args).arg(library()).output().expect("binutils");
    assert!(output.status.success(), "{tool}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The shared library that was built together with this test: it is in the same directory.
fn library() -> PathBuf {
    let test = std::env::current_exe().expect("path of the test");
    let library = test.with_file_name("libzmq.so");
    assert!(library.exists(), "{} is missing", library.display());
    library
}
