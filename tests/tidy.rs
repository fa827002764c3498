//! The repository's own rules.

use std::fs;
use std::path::{Path, PathBuf};

/// So that it can be run in virtual time against a simulated network. This goes for its unit tests, too.
#[test]
fn the_protocol_knows_no_socket_clock_thread_file_or_print() {
    let banned = [
        "std::thread",
        "std::fs",
        "std::env",
        "std::process",
        "std::net::*",
        "Socket",
        "Tcp",
        "Instant::now",
        "SystemTime",
        ".elapsed()",
        "print!",
        "println!",
        "crossbeam",
        "ping_rs",
    ];
    for file in sources("src/protocol") {
        without(&banned, &file, &fs::read_to_string(&file).unwrap());
    }
}

#[test]
fn only_the_latency_module_names_ping_rs() {
    let latency = root().join("src/latency");
    let elsewhere = |file: &PathBuf| !file.starts_with(&latency) && file.with_extension("") != latency;
    for file in sources("src").into_iter().filter(elsewhere) {
        without(&["ping_rs"], &file, &compiled(&file));
    }
}

/// An address as text would link the resolver; clippy.toml holds the rest of this rule.
#[test]
fn no_resolver_is_asked() {
    for file in sources("src") {
        without(&["bind(\"", "connect(\""], &file, &compiled(&file));
    }
}

#[test]
fn there_are_three_dependencies_and_none_for_tests() {
    // In a package from the registry, Cargo.toml is one that cargo has rewritten.
    let packaged = root().join("Cargo.toml.orig").exists();
    let manifest = read(if packaged { "Cargo.toml.orig" } else { "Cargo.toml" });
    let table = manifest.split("[dependencies]\n").nth(1).unwrap().split("\n[").next().unwrap();
    let names: Vec<&str> = table
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(" ="))
        .map(|(n, _)| n)
        .collect();
    assert_eq!(names, ["crossbeam-channel", "lexopt", "ping-rs"]);
    assert_eq!(manifest.matches("dependencies").count(), 1, "another table of dependencies");
}

/// Cargo is told not to look for tests, so one that is not named would never run.
#[test]
fn every_file_of_tests_is_run() {
    let main = read("tests/main.rs");
    for entry in fs::read_dir(root().join("tests")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap();
        if path.extension().is_some_and(|e| e == "rs") && name != "main" {
            let named = read("Cargo.toml").contains(&format!("path = \"tests/{name}.rs\""));
            assert!(
                named || main.contains(&format!("mod {name};")),
                "tests/{name}.rs is no module of tests/main.rs"
            );
        }
    }
}

/// The fault table says which test holds what.
#[test]
fn every_test_that_the_documents_name_exists() {
    let files: Vec<(String, String)> = ["src", "tests"]
        .iter()
        .flat_map(|place| rust_files(&root().join(place)))
        .map(|file| (file.to_str().unwrap().to_owned(), fs::read_to_string(file).unwrap()))
        .collect();
    let text = read("tests/FAULTS.md");
    // In a code span: `module::a_sentence_in_snake_case`.
    let spans = text.split('`').skip(1).step_by(2);
    let names: Vec<_> = spans
        .filter(|span| span.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':'))
        .filter_map(|span| span.rsplit_once("::"))
        .filter(|(_, test)| test.contains('_'))
        .collect();
    assert!(names.len() >= 75, "{} names", names.len());
    let is_test = |code: &str, name: &str| {
        ["", "    "].iter().any(|indent| code.contains(&format!("#[test]\n{indent}fn {name}() {{")))
    };
    let missing: Vec<_> = names
        .iter()
        .filter(|(module, test)| {
            let file = format!("/{}", module.split("::").next().unwrap());
            !files.iter().any(|(path, code)| path.contains(&file) && is_test(code, test))
        })
        .collect();
    assert!(missing.is_empty(), "tests/FAULTS.md names what is no test: {missing:?}");
}

#[test]
fn documents_name_files_and_make_targets_that_exist() {
    let makefile = read("Makefile");
    for document in ["README.md", "CONTRIBUTING.md", "tests/FAULTS.md"] {
        let text = read(document);
        for span in text.split('`').skip(1).step_by(2).map(|span| span.split([' ', ':']).next().unwrap()) {
            let is_path = ["src/", "tests/", "man/"].iter().any(|top| span.starts_with(top));
            assert!(!is_path || root().join(span).exists(), "{document} names {span}, which does not exist");
        }
        for target in text.split("`make ").skip(1).map(|rest| rest.split([' ', '`']).next().unwrap()) {
            let is_there = target.contains('=') || makefile.contains(&format!("\n{target}:"));
            assert!(is_there, "{document} names `make {target}`, which is no target");
        }
    }
}

/// Fails if one of the words is in the code, other than in comments.
fn without(words: &[&str], file: &Path, code: &str) {
    for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
        for word in words {
            assert!(!line.contains(word), "{} has {word:?}: {line}", file.display());
        }
    }
}

/// What of a source file is compiled into the program: no unit tests, which stand at its end.
fn compiled(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    text.split("\n#[cfg(test)]\nmod ").next().unwrap().to_owned()
}

/// All source files below `directory` but those that are unit tests as a whole.
pub fn sources(directory: &str) -> Vec<PathBuf> {
    let mut files = rust_files(&root().join(directory));
    files.retain(|file| !file.ends_with("tests.rs") && !file.ends_with("testing.rs"));
    assert!(files.len() >= 3, "{files:?}");
    files
}

fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|e| e == "rs") {
            files.push(path);
        }
    }
    files
}

fn read(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
