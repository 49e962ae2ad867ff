// SPDX-License-Identifier: MPL-2.0
//! Reads the source and fails where a layer imports a higher one, and where unsafe code is allowed
//! outside of the few files that are meant to have some.
#![forbid(unsafe_code)]

use std::fs;
use std::path::{Path, PathBuf};

/// The files with unsafe code, each with its reason. A name that ends with a slash is a directory.
const UNSAFE_FILES: &[(&str, &str)] = &[
    ("src/ctx/handles.rs", "the reserved addresses that handles are"),
    ("src/ctx/threads.rs", "scheduling of I/O threads"),
    ("src/errno.rs", "the calling thread's errno"),
    ("src/ffi/", "pointers from C"),
    ("src/fork.rs", "handlers of fork(2)"),
    ("src/mechanism/curve/sodium.rs", "libsodium"),
    ("src/msg/storage/", "the 64 bytes of a message and what they point to"),
    ("src/msg/tests.rs", "messages in memory as C has it"),
    ("src/pipe/asymmetric.rs", "membarrier(2)"),
    ("src/pipe/chunk.rs", "the memory of a rope"),
    ("src/pipe/rope/", "a chunk written and read at the same time"),
    ("src/socket/lock.rs", "a lock of our own, and records of threads"),
    ("src/thread_words.rs", "thread-local variables without a call"),
    ("src/transport/sys/", "system calls that the standard library lacks"),
];

/// Imports that the order of the layers would allow, and the design does not.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // Bytes in and out of the kernel, and nothing about what they mean.
    ("transport", &["zmtp", "mechanism", "pipe", "pattern"]),
];

/// What the layers without I/O must not know. `now` is a parameter there.
const SANS_IO: &[&str] = &["zmtp", "mechanism"];
const IO: &[&str] = &[
    "std::net",
    "std::os",
    "std::thread",
    "std::sync::Mutex",
    "std::sync::Condvar",
    "parking_lot",
    "mio::",
    "Instant::now",
    "SystemTime::now",
];

#[test]
fn lower_layers_import_no_higher_ones() {
    let layers = layers();
    let rank = |name: &str| layers.iter().position(|row| row.iter().any(|layer| layer == name));
    let mut breaches = Vec::new();
    for (path, source) in sources() {
        let Some(own) = layer_of(&path) else { continue };
        let own_rank = rank(&own).unwrap_or_else(|| panic!("lib.rs does not list layer {own}"));
        for (line, imported) in imports(&source) {
            let Some(imported_rank) = rank(&imported) else { continue };
            let forbidden =
                FORBIDDEN.iter().any(|(from, to)| *from == own && to.contains(&imported.as_str()));
            if imported_rank > own_rank || forbidden {
                breaches.push(format!("{}:{line}: {own} imports {imported}", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn protocol_layers_do_no_io() {
    let mut breaches = Vec::new();
    for (path, source) in sources() {
        if !layer_of(&path).is_some_and(|layer| SANS_IO.contains(&layer.as_str())) {
            continue;
        }
        // Tests may ask for the time, to begin at.
        let beside_tests = source.split("#[cfg(test)]").next().unwrap_or_default();
        for (line, code) in code(beside_tests) {
            if let Some(found) = IO.iter().find(|name| code.contains(*name)) {
                breaches.push(format!("{}:{line}: {found}", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn unsafe_code_is_where_it_is_meant_to_be() {
    let mut breaches = Vec::new();
    for (path, source) in sources() {
        let name = path.to_str().expect("UTF-8");
        let allowed = UNSAFE_FILES
            .iter()
            .any(|(file, _)| name == *file || (file.ends_with('/') && name.starts_with(file)));
        if allowed || source.contains("\n#![forbid(unsafe_code)]\n") {
            continue;
        }
        // A module cannot forbid what one of its files needs, so it must do without by itself.
        let parent = match path.file_name().and_then(|name| name.to_str()) {
            Some("mod.rs") => path.parent().map(|dir| format!("{}/", dir.display())),
            Some("lib.rs") => Some("src/".to_owned()),
            _ => Some(format!("{}/", path.with_extension("").display())),
        };
        let has_exception = parent
            .is_some_and(|parent| UNSAFE_FILES.iter().any(|(file, _)| file.starts_with(&parent)));
        if !has_exception {
            // A file with nothing in it has nothing to forbid.
            if code(&source).next().is_some() {
                breaches.push(format!("{name} lacks #![forbid(unsafe_code)]"));
            }
        } else if let Some((line, _)) = code(&source).find(|(_, code)| has_word(code, "unsafe")) {
            breaches.push(format!("{name}:{line}: unsafe code"));
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn the_list_of_unsafe_files_is_up_to_date() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (file, reason) in UNSAFE_FILES {
        assert!(root.join(file).exists(), "{file} ({reason}) is gone");
    }
}

#[test]
fn imports_are_found() {
    let source = "\
        use crate::msg::Msg; // crate::ffi::x\n\
        use crate::{\n    options::{self, pipe},\n    zmtp,\n};\n\
        use super::super::io::Thread;\n\
        /// [`crate::ctx`]\n\
        let x = crate::pipe::new();\n";
    let found: Vec<_> = imports(source).map(|(line, name)| format!("{line} {name}")).collect();
    assert_eq!(found, ["1 msg", "2 options", "2 zmtp", "6 io", "8 pipe"]);
}

/// The layers, lowest first, as the table in lib.rs has them; those of one row are equals.
fn layers() -> Vec<Vec<String>> {
    let lib = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs");
    let lib = fs::read_to_string(lib).expect("src/lib.rs");
    let rows = lib.lines().filter_map(|line| line.strip_prefix("//! | [`"));
    let layers: Vec<Vec<String>> = rows
        .map(|row| {
            let names = row.split('|').next().unwrap_or_default();
            names.split(", ").map(|name| name.replace(['[', '`', ']', ' '], "")).collect()
        })
        .collect();
    assert!(layers.len() > 10, "no table of layers in lib.rs");
    layers
}

/// All source files, with their path in the package.
fn sources() -> Vec<(PathBuf, String)> {
    fn visit(dir: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).expect("source directory") {
            let path = entry.expect("source directory").path();
            if path.is_dir() {
                visit(&path, files);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                files.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files = Vec::new();
    visit(&root.join("src"), &mut files);
    files.sort();
    files
        .into_iter()
        .map(|file| {
            let source = fs::read_to_string(&file).expect("source file");
            (file.strip_prefix(root).expect("below the root").to_owned(), source)
        })
        .collect()
}

/// The layer that a source file belongs to; none for lib.rs.
fn layer_of(path: &Path) -> Option<String> {
    let first = path.components().nth(1)?.as_os_str().to_str()?;
    let layer = first.strip_suffix(".rs").unwrap_or(first);
    (layer != "lib").then(|| layer.to_owned())
}

/// The lines of a source file without comments, numbered from 1.
fn code(source: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..)
        .zip(source.lines())
        .map(|(number, line)| (number, line.split("//").next().unwrap_or_default()))
        .filter(|(_, line)| !line.trim().is_empty())
}

/// The modules of the crate that a source file names, with the line it does so.
fn imports(source: &str) -> impl Iterator<Item = (usize, String)> {
    let mut found = Vec::new();
    // One text, so that a list over several lines is seen as a whole.
    let mut text = String::new();
    let mut starts = Vec::new();
    for (number, line) in code(source) {
        starts.push((text.len(), number));
        text.push_str(line);
        text.push('\n');
    }
    let line_at = |offset: usize| match starts.partition_point(|(start, _)| *start <= offset) {
        0 => 1,
        after => starts[after - 1].1,
    };
    for root in ["crate::", "super::super::"] {
        for (offset, _) in text.match_indices(root) {
            let rest = &text[offset + root.len()..];
            match rest.strip_prefix('{') {
                Some(list) => {
                    let names = top_level(list).into_iter().map(|name| (line_at(offset), name));
                    found.extend(names);
                }
                None => found.push((line_at(offset), identifier(rest).to_owned())),
            }
        }
    }
    found.sort();
    found.into_iter()
}

/// The first names of the paths in a braced list, which begins after its opening brace.
fn top_level(list: &str) -> Vec<String> {
    let mut depth = 0;
    let mut names = Vec::new();
    let mut at_start = true;
    for (offset, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => at_start = true,
            c if at_start && !c.is_whitespace() => {
                names.push(identifier(&list[offset..]).to_owned());
                at_start = false;
            }
            _ => {}
        }
    }
    names
}

fn identifier(text: &str) -> &str {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or_default()
}

fn has_word(text: &str, word: &str) -> bool {
    text.split(|c: char| !c.is_alphanumeric() && c != '_').any(|found| found == word)
}
