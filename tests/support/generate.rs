// SPDX-License-Identifier: MPL-2.0
//! The generator of `include/zmq.h`.
//!
//! The frame `include/zmq.h.in` is copied; each of its lines `@cbindgen FILE...` is replaced by
//! what cbindgen makes of these sources, constants first, then types, then functions. Running
//! cbindgen section by section keeps the header in an order that can be read, and puts the draft
//! part under one `#ifdef`.
//!
//! What cbindgen cannot do is put right afterwards, line by line: group comments, hexadecimal
//! constants, nullable function pointers, long lines.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

/// The width of the header's lines.
const WIDTH: usize = 80;

/// The header, as it should be.
pub fn header(root: &Path) -> String {
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml");
    let frame = fs::read_to_string(root.join("include/zmq.h.in")).expect("include/zmq.h.in");
    let mut header = String::new();
    for line in frame.lines() {
        match line.strip_prefix("@cbindgen ") {
            Some(files) => {
                let files: Vec<_> = files.split(' ').map(|f| root.join("src").join(f)).collect();
                header.push_str(&section(&config, &files));
            }
            None => {
                header.push_str(line);
                header.push('\n');
            }
        }
    }
    header
}

/// The declarations of some source files.
fn section(config: &cbindgen::Config, files: &[impl AsRef<Path>]) -> String {
    let mut builder = cbindgen::Builder::new().with_config(config.clone());
    let mut constants = Constants::default();
    for file in files {
        let file = file.as_ref();
        let source = fs::read_to_string(file).unwrap_or_else(|e| panic!("{}: {e}", file.display()));
        constants.scan(&source);
        builder = builder.with_src(file);
    }
    let mut raw = Vec::new();
    builder.generate().expect("cbindgen").write(&mut raw);
    let raw = String::from_utf8(raw).expect("UTF-8");

    let mut text = Text::default();
    let mut comment = Vec::new();
    for line in raw.lines() {
        if let Some(words) = line.strip_prefix("//") {
            comment.push(words.trim().to_owned());
            continue;
        }
        if let Some(define) = line.strip_prefix("#define ") {
            let name = define.split(' ').next().unwrap_or_default();
            if let Some(title) = constants.groups.get(name) {
                text.blank();
                text.comment(std::slice::from_ref(title));
            }
            match constants.hexadecimal.get(name) {
                Some(literal) => text.line(&format!("#define {name} {literal}")),
                None => text.line(line),
            }
        } else if line.starts_with("typedef struct Option_") {
            // Stands for a nullable function pointer.
        } else if line.is_empty() {
            // Blank lines are set below, before what begins a paragraph.
        } else {
            let within = line.starts_with(' ') || line.starts_with('}');
            if !within {
                text.blank();
                text.comment(&comment);
            }
            text.wrapped(&nullable_functions(line));
        }
        comment.clear();
    }
    text.0
}

/// What cbindgen does not tell about the constants of a source file.
#[derive(Default)]
struct Constants {
    /// The line comment above a constant, by its name.
    groups: HashMap<String, String>,
    /// The values that are written in hexadecimal, by the constant's name.
    hexadecimal: HashMap<String, String>,
}

impl Constants {
    fn scan(&mut self, source: &str) {
        let mut title = None;
        for line in source.lines() {
            if let Some((name, value)) = constant(line) {
                if let Some(title) = title.take() {
                    self.groups.insert(name.to_owned(), title);
                }
                if value.starts_with("0x") {
                    self.hexadecimal.insert(name.to_owned(), value.replace('_', ""));
                }
            }
            title = line.strip_prefix("// ").map(str::to_owned);
        }
    }
}

/// Name and value of a constant, if this line of Rust defines one.
fn constant(line: &str) -> Option<(&str, &str)> {
    let (name, rest) = line.strip_prefix("pub const ")?.split_once(": c_int = ")?;
    Some((name, rest.strip_suffix(';')?))
}

/// Turns `struct Option_zmq_free_fn ffn` into `zmq_free_fn *ffn`, and leaves out `struct` where
/// there is a typedef.
fn nullable_functions(line: &str) -> String {
    let mut line = line.to_owned();
    while let Some(start) = line.find("struct Option_") {
        line.replace_range(start..start + "struct Option_".len(), "");
        let end = line[start..].find(' ').expect("a parameter name") + start;
        line.insert(end + 1, '*');
    }
    if line.contains('(') { line.replace("struct zmq_", "zmq_") } else { line }
}

/// The text of a section under construction.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, line: &str) {
        self.0.push_str(line);
        self.0.push('\n');
    }

    /// An empty line, unless there is one already or nothing before it.
    fn blank(&mut self) {
        if !self.0.is_empty() && !self.0.ends_with("\n\n") {
            self.0.push('\n');
        }
    }

    /// A comment, filled up to the width; paragraphs are separated by empty strings.
    fn comment(&mut self, words: &[String]) {
        let mut lines = vec![String::new()];
        for paragraph in words.join("\n").split("\n\n") {
            if lines != [""] {
                lines.extend([String::new(), String::new()]);
            }
            for word in paragraph.replace('`', "").split_whitespace() {
                let last = lines.last_mut().expect("never empty");
                if last.is_empty() {
                    last.push_str(word);
                } else if last.len() + word.len() + " * ".len() < WIDTH {
                    last.push(' ');
                    last.push_str(word);
                } else {
                    lines.push(word.to_owned());
                }
            }
        }
        match &lines[..] {
            [line] if line.is_empty() => {}
            [line] if line.len() + "/*  */".len() <= WIDTH => self.line(&format!("/* {line} */")),
            lines => {
                self.line("/*");
                for line in lines {
                    self.line(format!(" * {line}").trim_end());
                }
                self.line(" */");
            }
        }
    }

    /// A declaration, broken after a comma where it is too long.
    fn wrapped(&mut self, declaration: &str) {
        let mut rest = declaration;
        let mut indent = "";
        while indent.len() + rest.len() > WIDTH {
            let room = &rest[..WIDTH - indent.len()];
            let Some(comma) = room.rfind(", ") else { break };
            self.line(&format!("{indent}{}", &rest[..comma + 1]));
            rest = &rest[comma + 2..];
            indent = "    ";
        }
        self.line(&format!("{indent}{rest}"));
    }
}
