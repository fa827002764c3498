//! Which built programs are measured.

use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// A program and what the tables call it.
#[derive(Clone, Debug)]
pub struct Program {
    pub name: String,
    pub path: PathBuf,
}

/// The ordinary release build, and a static one if there is one.
pub struct Programs {
    pub all: Vec<Program>,
}

impl Programs {
    /// Looks beside this program, in the target directory, for what is not given.
    pub fn find(ordinary: Option<PathBuf>, stat: Option<PathBuf>) -> io::Result<Programs> {
        // target/release/examples/bench
        let here = std::env::current_exe()?;
        let target = here.ancestors().nth(3).map(Path::to_path_buf).unwrap_or_default();
        let ordinary = ordinary.unwrap_or_else(|| target.join("release").join("mdalp"));
        if !ordinary.is_file() {
            let missing = format!("{} is not there: run 'make build' first", ordinary.display());
            return Err(io::Error::new(io::ErrorKind::NotFound, missing));
        }
        let mut all = vec![Program { name: "dynamic".to_owned(), path: ordinary }];
        match stat.or_else(|| newest_static(&target)) {
            Some(path) => all.push(Program { name: static_name(&path), path }),
            None => println!("There is no static build to measure: run 'make static' first.\n"),
        }
        Ok(Programs { all })
    }

    pub fn ordinary(&self) -> io::Result<&Program> {
        self.all.first().ok_or_else(|| io::Error::other("no program"))
    }
}

fn newest_static(target: &Path) -> Option<PathBuf> {
    let directories = std::fs::read_dir(target).ok()?.flatten();
    let programs = directories.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        name.contains("-linux-")
    });
    let built = |path: &PathBuf| std::fs::metadata(path).and_then(|m| m.modified()).ok();
    let programs = programs.map(|path| path.join("release").join("mdalp"));
    programs.filter_map(|path| Some((built(&path)?, path))).max().map(|(_, path): (SystemTime, _)| path)
}

fn static_name(path: &Path) -> String {
    let libc = ["musl", "gnu"].into_iter().find(|libc| path.to_string_lossy().contains(libc));
    libc.map_or("static".to_owned(), |libc| format!("static {libc}"))
}
