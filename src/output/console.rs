//! The one place that writes. A write that fails neither panics nor stops a transfer.
//!
//! Standard output carries what was asked for, so a failure to write it decides the exit status. Standard error
//! carries reports and errors, which the exit status sums up: a line that is lost there changes nothing.

use mdalp::ExitStatus;
use mdalp::cli;
use mdalp::text::OsMessage;
use std::fmt;
use std::fs::File;
use std::io::{self, ErrorKind, IsTerminal, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

/// To the line's start, and erase it.
const CLEAR: &str = "\r\x1b[K";

/// Standard output and standard error.
pub struct Console {
    out: io::Result<Box<dyn Write>>,
    err: Box<dyn Write>,
    /// What standard error is.
    pub terminal: Terminal,
    start: Instant,
    /// Whether a progress line stands on the terminal.
    drawn: bool,
    /// Why what was asked for could not be written. Nothing more is then written there.
    failed: Option<io::Error>,
}

/// What standard error is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Terminal {
    /// A file or a pipe.
    No,
    /// A terminal that takes no control sequences.
    Dumb,
    /// A terminal.
    Yes,
}

impl Console {
    /// The process's standard output and standard error.
    pub fn standard() -> Self {
        let dumb = std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb");
        let terminal = match (io::stderr().is_terminal(), dumb) {
            (false, _) => Terminal::No,
            (true, true) => Terminal::Dumb,
            (true, false) => Terminal::Yes,
        };
        // Errors first, should descriptors be scarce.
        let err = file_of(&io::stderr()).unwrap_or_else(|_| Box::new(io::sink()));
        Self::new(file_of(&io::stdout()), err, terminal)
    }

    fn new(out: io::Result<Box<dyn Write>>, err: Box<dyn Write>, terminal: Terminal) -> Self {
        Self { out, err, terminal, start: Instant::now(), drawn: false, failed: None }
    }

    /// Returns the time since the start of the command.
    pub fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    /// Writes what was asked for to standard output, newline included, without a buffer. The result shows in
    /// [`finish`](Self::finish).
    pub fn print(&mut self, text: &str) -> ExitStatus {
        if self.failed.is_none() {
            self.clear();
            self.failed = match &mut self.out {
                Ok(out) => out.write_all(text.as_bytes()).and_then(|()| out.flush()).err(),
                Err(error) => Some(std::mem::replace(error, ErrorKind::Other.into())),
            };
        }
        ExitStatus::Success
    }

    /// Writes a line to standard error. Neither this nor what follows may contain unescaped text from outside.
    pub fn write_line(&mut self, line: fmt::Arguments<'_>) {
        let clear = if std::mem::take(&mut self.drawn) { CLEAR } else { "" };
        self.write_err(&format!("{clear}{line}\n"));
    }

    /// Writes an error, in its one shape.
    pub fn error(&mut self, error: &str) {
        self.write_line(format_args!("mdalp: {error}"));
    }

    /// Draws `line` over the progress line; what is not a terminal gets a separate line. Autowrap is off only meanwhile, so
    /// that a signal cannot leave it off.
    pub fn draw(&mut self, line: &str) {
        if self.terminal != Terminal::Yes {
            return self.write_line(format_args!("{line}"));
        }
        self.drawn = true;
        self.write_err(&format!("\r\x1b[?7l{line}\x1b[K\x1b[?7h"));
    }

    /// Takes the progress line away.
    pub fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write_err(CLEAR);
        }
    }

    /// Returns the exit status: `status`, unless that is a success and standard output could not be written. Reports why,
    /// except for a reader that has gone, which is the user's own doing (`| head`).
    pub fn finish(mut self, status: ExitStatus) -> ExitStatus {
        self.clear();
        let Some(error) = self.failed.take() else { return status };
        if error.kind() != ErrorKind::BrokenPipe {
            let hint = cli::output_hint(&error);
            self.error(&format!("standard output: {}; {hint}", OsMessage(&error)));
        }
        if status == ExitStatus::Success { ExitStatus::Output } else { status }
    }

    /// In one write, so that the lines of several programs do not mix.
    fn write_err(&mut self, text: &str) {
        let _ = self.err.write_all(text.as_bytes());
    }
}

/// The stream as a separate file: the buffers, locks and line endings of std's streams are not needed, and would be some
/// 15 KB of the program.
///
/// # Errors
///
/// There are no more descriptors.
fn file_of(stream: &impl AsFd) -> io::Result<Box<dyn Write>> {
    Ok(Box::new(File::from(stream.as_fd().try_clone_to_owned()?)))
}

#[cfg(test)]
pub mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::rc::Rc;

    /// What was written, by all clones.
    #[derive(Clone, Default)]
    pub struct Written(Rc<RefCell<Vec<u8>>>);

    impl Written {
        pub fn text(&self) -> String {
            String::from_utf8(self.0.borrow().clone()).unwrap()
        }
    }

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.borrow_mut().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    struct Full(ErrorKind);

    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(self.0.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// A console, and what it wrote to standard output and standard error.
    pub fn console(terminal: Terminal) -> (Console, Written, Written) {
        let (out, err) = (Written::default(), Written::default());
        (Console::new(Ok(Box::new(out.clone())), Box::new(err.clone()), terminal), out, err)
    }

    #[test]
    fn a_progress_line_is_cleared_before_any_other_line() {
        let (mut console, out, err) = console(Terminal::Yes);
        console.draw("42 %");
        console.write_line(format_args!("a line"));
        console.write_line(format_args!("another"));
        console.draw("43 %");
        console.print("asked for\n");
        console.print("more\n");
        console.draw("44 %");
        assert_eq!(console.finish(ExitStatus::Success), ExitStatus::Success);
        let draw = |text: &str| format!("\r\x1b[?7l{text}\x1b[K\x1b[?7h");
        let expected =
            [&draw("42 %"), CLEAR, "a line\nanother\n", &draw("43 %"), CLEAR, &draw("44 %"), CLEAR];
        assert_eq!(err.text(), expected.concat());
        assert_eq!(out.text(), "asked for\nmore\n");
    }

    #[test]
    fn unwritable_output_spoils_a_success_but_not_a_failure() {
        for (kind, said) in [(ErrorKind::StorageFull, true), (ErrorKind::BrokenPipe, false)] {
            for (status, expected) in
                [(ExitStatus::Success, ExitStatus::Output), (ExitStatus::Incomplete, ExitStatus::Incomplete)]
            {
                let err = Written::default();
                let mut console = Console::new(Ok(Box::new(Full(kind))), Box::new(err.clone()), Terminal::No);
                console.print("asked for\n");
                console.print("more\n");
                assert_eq!(console.finish(status), expected);
                assert_eq!(err.text().lines().count(), usize::from(said), "{}", err.text());
            }
        }
    }

    #[test]
    fn without_a_descriptor_for_standard_output_the_reason_is_named_if_it_was_needed() {
        for (text, status) in [("", ExitStatus::Success), ("asked for\n", ExitStatus::Output)] {
            let err = Written::default();
            let out = Err(io::Error::from_raw_os_error(24));
            let mut console = Console::new(out, Box::new(err.clone()), Terminal::No);
            if !text.is_empty() {
                console.print(text);
            }
            assert_eq!(console.finish(ExitStatus::Success), status);
            let line =
                "mdalp: standard output: Too many open files; raise the limit on open files (ulimit -n)\n";
            assert_eq!(err.text(), if text.is_empty() { "" } else { line });
        }
    }

    #[test]
    fn a_lost_line_on_standard_error_changes_nothing() {
        let out = Written::default();
        let mut console =
            Console::new(Ok(Box::new(out.clone())), Box::new(Full(ErrorKind::StorageFull)), Terminal::No);
        console.write_line(format_args!("a line"));
        console.print("asked for\n");
        assert_eq!(console.finish(ExitStatus::Success), ExitStatus::Success);
        assert_eq!(out.text(), "asked for\n");
    }
}
