//! Payloads that change, fail or do not fit while they are read.

use crate::loopback::{Receiver, Script, Servers, Verdict, ms};
use crate::support::{
    CommandOutput, Outcome, Scratch, addressed_to, finish, long_timeouts, mdalp, payload, run, send_payload,
    start,
};
use mdalp::{Error, Event, ExitStatus, Mode, Payload};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

/// More than two blocks for each of two receivers, so that a part of it is read when others are acknowledged.
const LEN: usize = 100_000;

/// A file of [`LEN`] bytes, sent; `trouble` happens when the payload has been shared out or, with `midway`, when the
/// first timeout has fired: the sixth packet of the first receiver is lost once, and meanwhile nothing goes on there.
fn sent_with(midway: bool, trouble: impl Fn(&Path)) -> (Outcome, Vec<u8>) {
    let scratch = Scratch::new();
    let bytes = payload(LEN);
    let path = scratch.file("payload", &bytes);
    // Else a change within one tick of the file system's clock could not be told from none.
    File::options().write(true).open(&path).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
    let servers = Servers::start(Script::new().receiver(Receiver::named("A").lose(5, 1)).receivers(1));
    let whole = Payload::open(&path).unwrap();
    let mut options = long_timeouts(&servers, 2);
    options.first_timeout = ms(300);
    let outcome = send_payload(&servers, options, &whole, Mode::Balance, |event| match event {
        Event::Planned { .. } if !midway => trouble(&path),
        Event::TimedOut { seq, transmissions: 1, .. } if midway && seq.0 == 5 => trouble(&path),
        _ => {}
    });
    (outcome, bytes)
}

/// Status 3, a line that names the file, what happened and how far it came; and no claim beyond that.
fn changed(outcome: &Outcome, what: &str) {
    let Err(error) = &outcome.result else { panic!("{what}: it succeeded") };
    assert_eq!(error.exit_status(), ExitStatus::Payload, "{error}");
    assert!(matches!(error, Error::PayloadWhileSending { .. }), "{error}");
    let line = outcome.line();
    assert!(line.contains(&format!("/payload: {what} while it was sent (")), "{line}");
    let report = outcome.report();
    let account = format!("({} of {LEN} bytes acknowledged, ", report.acked_bytes());
    assert!(line.contains(&account), "{line}");
    assert!(line.ends_with("; send it again when nothing writes to it, or send a copy"), "{line}");
    // What is called acknowledged was received: the judge has at least as much of each receiver.
    for receiver in &report.receivers {
        let part = outcome.transaction.part(&receiver.name);
        assert!(part.counts.bytes >= receiver.acked_bytes(), "{receiver:?}");
    }
}

fn write_at(path: &Path, offset: u64, bytes: &[u8]) {
    OpenOptions::new().write(true).open(path).unwrap().write_all_at(bytes, offset).unwrap();
}

fn truncate(path: &Path, len: u64) {
    OpenOptions::new().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[test]
fn a_file_that_shrinks_is_status_3_with_how_far_it_came() {
    for midway in [false, true] {
        for len in [0, 50, 30_000, LEN as u64 - 1] {
            let (outcome, bytes) = sent_with(midway, |path| truncate(path, len));
            changed(&outcome, &format!("shrank from {LEN} to {len} bytes"));
            // What did arrive is what was there before: no zeros in place of what was cut off.
            let read = &outcome.transaction.payload;
            assert!(read[..] == bytes[..read.len()], "{len}");
        }
    }
}

#[test]
fn a_file_that_grows_is_status_3_although_all_of_it_arrived() {
    for midway in [false, true] {
        let (outcome, bytes) = sent_with(midway, |path| write_at(path, LEN as u64, b"more"));
        changed(&outcome, &format!("grew from {LEN} to {} bytes", LEN + 4));
        assert!(outcome.transaction.payload == bytes, "what it had when it was opened");
        assert!(outcome.report().is_complete());
    }
}

#[test]
fn a_file_that_is_rewritten_in_place_is_status_3() {
    for midway in [false, true] {
        let (outcome, _) = sent_with(midway, |path| write_at(path, 70_000, b"other bytes"));
        changed(&outcome, "changed");
    }
}

/// The name goes; the file stays as long as it is open.
#[test]
fn a_file_that_is_replaced_or_removed_is_sent_as_it_was() {
    let replace = |path: &Path| {
        let new = path.with_extension("new");
        std::fs::write(&new, b"another file").unwrap();
        std::fs::rename(new, path).unwrap();
    };
    let remove = |path: &Path| std::fs::remove_file(path).unwrap();
    for trouble in [&replace as &dyn Fn(&Path), &remove] {
        let (outcome, bytes) = sent_with(true, trouble);
        outcome.arrived(&bytes);
        assert_eq!(outcome.transaction.verdict, Verdict::Completed);
    }
}

/// Runs the program so that `shell`, in which `$0` is it and `$@` its options, feeds it; nothing may have been asked of
/// the orchestrator. Returns the error's line.
fn refused(shell: &str) -> String {
    let servers = Servers::start(Script::new().receivers(1));
    let ran = shelled(shell, &servers);
    assert_eq!(ran.status, Some(3), "{shell}: {}", ran.stderr);
    assert_eq!(servers.intents(), 0, "{shell}");
    ran.line().to_owned()
}

fn shelled(shell: &str, servers: &Servers) -> CommandOutput {
    let mut command = Command::new("sh");
    command.args(["-c", shell, env!("CARGO_BIN_EXE_mdalp")]).args(addressed_to(servers));
    run(&mut command)
}

#[test]
fn what_cannot_be_read_is_status_3_before_anything_is_asked_for() {
    let empty = "is empty; give at least one byte to send";
    for (shell, wanted) in [
        ("\"$0\" \"$@\" -f /", "/: is a directory; "),
        ("\"$0\" \"$@\" -f - < /", "standard input: cannot be read: Is a directory; "),
        // It says that it is a regular file; reading the page at 0 fails with EIO.
        ("\"$0\" \"$@\" -f /proc/self/mem", "/proc/self/mem: cannot be read: Input/output error; "),
        ("\"$0\" \"$@\" -f - < /proc/self/mem", "standard input: cannot be read: Input/output error; "),
        ("\"$0\" \"$@\" -f /dev/null", &format!("/dev/null: {empty}")),
        ("\"$0\" \"$@\" -f - < /dev/null", &format!("standard input: {empty}")),
        ("\"$0\" \"$@\" -f - <&-", &format!("standard input: {empty}")),
        (": | \"$0\" \"$@\" -f -", &format!("standard input: {empty}")),
        ("\"$0\" \"$@\" -f /dev/stdin <&-", "/dev/stdin: "),
    ] {
        let line = refused(shell);
        assert!(line.starts_with(wanted), "{shell}: {line}");
        assert!(!line.contains("os error"), "{shell}: {line}");
    }
    let scratch = Scratch::new();
    let fifo = scratch.path("fifo").to_str().unwrap().to_owned();
    let line = refused(&format!("mkfifo '{fifo}' && {{ : > '{fifo}' & \"$0\" \"$@\" -f '{fifo}'; }}"));
    assert_eq!(line, format!("{fifo}: {empty}"));
}

/// Without the limit all of the machine's memory would be the bound.
#[test]
fn a_stream_that_does_not_fit_into_memory_is_status_3() {
    for source in ["-f /dev/zero", "-f - < /dev/zero"] {
        let line = refused(&format!("ulimit -v 65536; \"$0\" \"$@\" {source}"));
        assert!(line.contains(": out of memory after "), "{line}");
        assert!(line.ends_with(" bytes; save it as a file and send that"), "{line}");
    }
}

/// Who writes into a pipe and is killed leaves an end like any other: what came until then is the payload. That cannot
/// be told apart; `set -o pipefail` is the shell's way to know.
#[test]
fn a_stream_that_ends_early_is_sent_as_far_as_it_came() {
    let servers = Servers::start(Script::new().receivers(1));
    let ran = shelled("sh -c 'printf 12345; kill -9 $$' | \"$0\" \"$@\" -f - --latency 1", &servers);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(servers.finish().payload, b"12345");
}

#[test]
fn a_slow_stream_is_read_to_its_end_before_the_intent() {
    let servers = Servers::start(Script::new().receivers(1));
    let mut child = start(mdalp(&servers, &["-f", "-", "--latency", "1"]).stdin(Stdio::piped()));
    let mut pipe = child.stdin.take().unwrap();
    for part in [&b"one "[..], b"", b"two ", b"three"] {
        pipe.write_all(part).unwrap();
        pipe.flush().unwrap();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(servers.intents(), 0);
    }
    drop(pipe);
    let ran = finish(child);
    assert_eq!(ran.status, Some(0), "{}", ran.stderr);
    assert_eq!(servers.finish().payload, b"one two three");
}
