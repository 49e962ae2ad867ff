// SPDX-License-Identifier: MPL-2.0
//! Calls the C and C++ compilers of the system.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

const WARNINGS: [&str; 4] = ["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

/// Whether a program can be run.
pub fn available(program: &str) -> bool {
    let version = Command::new(program).arg("--version").stdout(Stdio::null()).status();
    version.is_ok_and(|status| status.success())
}

/// Compiles a source file without linking it; all warnings are errors. Returns what the compiler
/// said.
pub fn check(compiler: &str, source: &Path, args: &[&str]) -> String {
    let mut command = Command::new(compiler);
    command.args(WARNINGS).args(args).arg("-c").arg(source).arg("-o").arg(temporary("o"));
    String::from_utf8_lossy(&run(&mut command).stderr).into_owned()
}

/// Compiles C text, runs the program and returns what it wrote.
pub fn output_of(text: &str, args: &[&str]) -> String {
    let source = temporary("c");
    let program = temporary("bin");
    std::fs::write(&source, text).expect("write C source");
    run(Command::new("gcc").args(WARNINGS).args(args).arg(&source).arg("-o").arg(&program));
    String::from_utf8(run(&mut Command::new(program)).stdout).expect("UTF-8")
}

/// The macros that are defined after including a header, as `#define` lines without `#define`.
pub fn macros(header: &Path, args: &[&str]) -> Vec<String> {
    let mut command = Command::new("gcc");
    command.args(["-E", "-dM", "-x", "c"]).args(args).arg(header);
    let output = String::from_utf8(run(&mut command).stdout).expect("UTF-8");
    output.lines().filter_map(|line| line.strip_prefix("#define ")).map(str::to_owned).collect()
}

/// A header after preprocessing, without what it includes.
pub fn preprocessed(header: &Path, args: &[&str]) -> String {
    let mut command = Command::new("gcc");
    command.args(["-E", "-x", "c"]).args(args).arg(header);
    let output = String::from_utf8(run(&mut command).stdout).expect("UTF-8");
    // Lines such as `# 12 "/usr/include/zmq.h" 2` say where the following ones come from.
    let mut from_header = false;
    let mut text = String::new();
    for line in output.lines() {
        match line.strip_prefix("# ") {
            Some(marker) => {
                let file = marker.split('"').nth(1).unwrap_or_default();
                from_header = Path::new(file) == header;
            }
            None if from_header => {
                text.push_str(line);
                text.push('\n');
            }
            None => {}
        }
    }
    text
}

/// A file name that no other call returns in this run; the next run uses it again.
pub fn temporary(extension: &str) -> PathBuf {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("probe-{count}.{extension}"))
}

/// Runs a command that must succeed.
fn run(command: &mut Command) -> Output {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {}\n{said}", output.status);
    output
}
