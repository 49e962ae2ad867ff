// SPDX-License-Identifier: MPL-2.0
//! `include/zmq.h` is what the Rust source says, and source-compatible with libzmq's.
//!
//! With `UPDATE_HEADER=1` in the environment the header is written anew instead of compared.
//! The comparison with libzmq needs its header at `/usr/include/zmq.h`, or where
//! `LIBZMQ_HEADER` says.
#![forbid(unsafe_code)]

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use support::{cc, generate, root, skipped};

const DRAFT: &str = "-DZMQ_BUILD_DRAFT_API";

/// Macros whose value differs from the one in libzmq 4.3.4, the version that Debian packages.
/// The rest of 4.3.6 differs from it only in what it adds.
const CHANGED_SINCE_4_3_4: &[&str] =
    &["ZMQ_VERSION_PATCH", "ZMQ_VERSION", "ZMQ_RECONNECT_STOP_AFTER_DISCONNECT"];

#[test]
fn up_to_date() {
    let path = root().join("include/zmq.h");
    let expected = generate::header(root());
    if std::env::var_os("UPDATE_HEADER").is_some() {
        std::fs::write(&path, expected).expect("write include/zmq.h");
        return;
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = expected.lines().zip(found.lines()).position(|(a, b)| a != b);
    assert!(
        expected == found,
        "include/zmq.h is stale from line {} on; run `make header`",
        differs.unwrap_or(expected.lines().count().min(found.lines().count())) + 1,
    );
}

#[test]
fn compiles_everywhere() {
    let probe = root().join("tests/probes/interface.c");
    for (compiler, language, standards) in [
        ("gcc", "c", ["gnu99", "gnu11"].as_slice()),
        ("g++", "c++", &["gnu++98", "c++11", "c++17"]),
        ("clang", "c", &["gnu99", "gnu11"]),
        ("clang++", "c++", &["c++17"]),
    ] {
        if !cc::available(compiler) {
            skipped(&format!("the header with {compiler}: it is not installed"));
            continue;
        }
        for standard in standards {
            for draft in ["-UZMQ_BUILD_DRAFT_API", DRAFT] {
                let standard = format!("-std={standard}");
                cc::check(compiler, &probe, &[&include(), "-x", language, &standard, draft]);
            }
        }
    }
}

#[test]
fn deprecated_header_says_so() {
    let probe = root().join("tests/probes/deprecated.c");
    let said = cc::check("gcc", &probe, &[&include(), "-std=gnu99"]);
    assert!(said.contains("deprecated"), "{said}");
}

#[test]
fn macros_as_in_rust() {
    let names = ["ZMQ_VERSION", "ZMQ_HAUSNUMERO", "EFSM", "ENOCOMPATPROTO", "ETERM", "EMTHREAD"];
    let found = values(&ours(), &names.map(str::to_owned).into());
    let expected = {
        use zmq::abi::*;
        [ZMQ_VERSION, ZMQ_HAUSNUMERO, EFSM, ENOCOMPATPROTO, ETERM, EMTHREAD]
    };
    for (name, expected) in names.iter().zip(expected) {
        assert_eq!(found[*name], expected.to_string(), "{name}");
    }

    let names = ["ROUTING_ID", "SOCKET_TYPE", "USER_ID", "PEER_ADDRESS"];
    let names = names.map(|name| format!("ZMQ_MSG_PROPERTY_{name}"));
    let found = values(&ours(), &names.clone().into());
    let expected = {
        use zmq::abi::*;
        [
            ZMQ_MSG_PROPERTY_ROUTING_ID,
            ZMQ_MSG_PROPERTY_SOCKET_TYPE,
            ZMQ_MSG_PROPERTY_USER_ID,
            ZMQ_MSG_PROPERTY_PEER_ADDRESS,
        ]
    };
    for (name, expected) in names.iter().zip(expected) {
        assert_eq!(found[name].as_bytes(), expected.to_bytes(), "{name}");
    }
}

#[test]
fn macros_are_complete() {
    // libzmq 4.3.6 has these, 18 errors that Linux has itself, and 2 markers without a value.
    assert_eq!(valued_macros(&ours()).len(), 265 - 18 - 2);
}

#[test]
fn macros_as_in_libzmq() {
    let Some(theirs) = libzmq_header() else { return };
    let names = valued_macros(&theirs);
    let missing: Vec<_> = names.difference(&valued_macros(&ours())).cloned().collect();
    assert!(missing.is_empty(), "missing: {missing:?}");
    let (ours, theirs) = (values(&ours(), &names), values(&theirs, &names));
    let different: Vec<_> = names
        .iter()
        .filter(|name| !CHANGED_SINCE_4_3_4.contains(&name.as_str()))
        .filter(|name| ours[*name] != theirs[*name])
        .map(|name| format!("{name}: {}, libzmq {}", ours[name], theirs[name]))
        .collect();
    assert!(different.is_empty(), "{different:#?}");
}

#[test]
fn layout() {
    let found = layout_of(&ours());
    #[cfg(target_pointer_width = "64")]
    assert_eq!(
        found.lines().filter(|line| line.contains("align")).collect::<Vec<_>>(),
        [
            "zmq_fd_t size 4 align 4",
            "zmq_msg_t size 64 align 8",
            "zmq_pollitem_t size 16 align 8",
            "zmq_poller_event_t size 32 align 8",
        ],
    );
    if let Some(theirs) = libzmq_header() {
        assert_eq!(found, layout_of(&theirs));
    }
}

#[test]
fn functions() {
    let all = function_names(&cc::preprocessed(&ours(), &[DRAFT]));
    let stable = function_names(&cc::preprocessed(&ours(), &[]));
    assert_eq!((stable.len(), all.len()), (70, 97));
    assert!(stable.is_subset(&all));
}

/// C rejects a second declaration of a function, or of a type name, with another type.
#[test]
fn functions_as_in_libzmq() {
    let Some(theirs) = libzmq_header() else { return };
    let theirs = cc::preprocessed(&theirs, &[DRAFT]);
    let ours = function_names(&cc::preprocessed(&ours(), &[DRAFT]));
    let missing: Vec<_> = function_names(&theirs).difference(&ours).cloned().collect();
    assert!(missing.is_empty(), "missing: {missing:?}");

    let mut again = String::from("#include <zmq.h>\n");
    for declaration in declarations(&theirs) {
        // Structures are compared by `layout`.
        if !declaration.contains('{') {
            again.push_str(&declaration);
            again.push_str(";\n");
        }
    }
    assert!(function_names(&again).len() >= 70);
    let source = cc::temporary("c");
    std::fs::write(&source, again).expect("write C source");
    cc::check("gcc", &source, &[&include(), "-std=gnu11", DRAFT]);
}

/// The header under test.
fn ours() -> PathBuf {
    root().join("include/zmq.h")
}

/// The option that makes the compiler find it.
fn include() -> String {
    format!("-I{}", root().join("include").display())
}

/// libzmq's header, if it is installed.
fn libzmq_header() -> Option<PathBuf> {
    let path = std::env::var_os("LIBZMQ_HEADER").unwrap_or_else(|| "/usr/include/zmq.h".into());
    let path = PathBuf::from(path);
    if !path.exists() {
        skipped(&format!("libzmq's header: {} is not installed", path.display()));
        return None;
    }
    Some(path)
}

/// The names of the macros that a header gives a value.
fn valued_macros(header: &std::path::Path) -> BTreeSet<String> {
    let own_errors = ["EFSM", "ENOCOMPATPROTO", "ETERM", "EMTHREAD"];
    cc::macros(header, &[DRAFT])
        .iter()
        .filter_map(|definition| definition.split_once(' '))
        .filter(|(name, value)| !name.contains('(') && !value.trim().is_empty())
        .filter(|(name, _)| name.starts_with("ZMQ_") || own_errors.contains(name))
        .map(|(name, _)| name.to_owned())
        // Given on the command line.
        .filter(|name| name != "ZMQ_BUILD_DRAFT_API")
        .collect()
}

/// The values of macros as the compiler computes them, numbers as well as strings.
fn values(header: &std::path::Path, names: &BTreeSet<String>) -> BTreeMap<String, String> {
    let mut program = String::from(
        "#include HEADER\n\
         static void number(const char *name, long long value)\n\
         { printf(\"%s %lld\\n\", name, value); }\n\
         static void string(const char *name, const char *value)\n\
         { printf(\"%s %s\\n\", name, value); }\n\
         int main(void) {\n",
    );
    for name in names {
        program.push_str(&format!(
            "_Generic(({name}), char *: string, default: number)(\"{name}\", {name});\n"
        ));
    }
    program.push_str("return 0; }\n");
    cc::output_of(&program, &[&header_define(header), DRAFT])
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

fn layout_of(header: &std::path::Path) -> String {
    let probe = std::fs::read_to_string(root().join("tests/probes/layout.c")).expect("layout.c");
    cc::output_of(&probe, &[&header_define(header), DRAFT])
}

/// The option that lets a probe say `#include HEADER`.
fn header_define(header: &std::path::Path) -> String {
    format!("-DHEADER=\"{}\"", header.display())
}

/// The declarations of a preprocessed header, without what is inside of braces.
fn declarations(text: &str) -> Vec<String> {
    let mut declarations = vec![String::new()];
    let mut depth = 0;
    for c in text.chars() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ';' if depth == 0 => {
                declarations.push(String::new());
                continue;
            }
            _ => {}
        }
        let last = declarations.last_mut().expect("never empty");
        last.push(if c.is_whitespace() { ' ' } else { c });
    }
    declarations.retain(|declaration| !declaration.trim().is_empty());
    declarations
}

/// The functions that a preprocessed header declares.
fn function_names(text: &str) -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for declaration in declarations(text) {
        if declaration.trim_start().starts_with("typedef") {
            continue;
        }
        let Some(start) = declaration.find("zmq_") else { continue };
        let mut rest = &declaration[start..];
        // The first name may be that of a type.
        while let Some(end) = rest.find(|c: char| !c.is_alphanumeric() && c != '_') {
            if rest[end..].trim_start().starts_with('(') {
                names.insert(rest[..end].to_owned());
                break;
            }
            let Some(next) = rest[end..].find("zmq_") else { break };
            rest = &rest[end + next..];
        }
    }
    names
}
