//! The built programs that are measured.

use std::io;
use std::path::{Path, PathBuf};

/// A program and what the tables call it.
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

impl Program {
    /// Whether it is for this machine's processor, as far as the names of targets show.
    pub fn is_native(&self) -> bool {
        !self.name.contains("-linux-") || self.name.contains(std::env::consts::ARCH)
    }
}

/// The programs beside this one, in the target directory: the dynamic one, then those of `make static` and `make tiny`.
pub fn built() -> io::Result<Vec<Program>> {
    // target/release/examples/bench
    let here = std::env::current_exe()?;
    let target = here.ancestors().nth(3).unwrap_or(Path::new("target"));
    let dynamic = Program { name: "dynamic".to_owned(), path: target.join("release/mdalp") };
    if !dynamic.path.is_file() {
        let missing = format!("{} is not there: run 'make build' first", dynamic.path.display());
        return Err(io::Error::new(io::ErrorKind::NotFound, missing));
    }
    let mut programs = vec![dynamic];
    for (kind, directory) in [("static", target.to_owned()), ("tiny", target.join("tiny"))] {
        for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
            let path = entry.path().join("release/mdalp");
            let triple = entry.file_name().to_string_lossy().into_owned();
            if triple.contains("-linux-") && path.is_file() {
                programs.push(Program { name: format!("{kind}, {triple}"), path });
            }
        }
    }
    Ok(programs)
}
