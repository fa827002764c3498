//! Bytes of each built program, and its own instructions for a packet, which are the same in every run.

use super::Options;
use super::child;
use super::echo::Echo;
use super::programs::{self, Program};
use super::table::Table;
use super::transfer::Scratch;
use std::io;
use std::process::Command;

/// Packets of two transfers, whose difference is free of what starting and ending cost.
const PACKETS: [u64; 2] = [2_000, 12_000];

pub fn measure(_: &Options) -> io::Result<()> {
    println!("size: every program in the target directory, instructions by valgrind in mode 2\n");
    let has_valgrind = Command::new("valgrind").arg("--version").output().is_ok();
    if !has_valgrind {
        println!("There is no valgrind to count instructions.\n");
    }
    let mut table = Table::new(&["program", "bytes", "instructions a packet"]);
    for program in programs::built()? {
        let instructions = match has_valgrind && program.is_native() {
            true => instructions_a_packet(&program)?.to_string(),
            false => "-".to_owned(),
        };
        table.row(&[&program.name, &program.path.metadata()?.len().to_string(), &instructions]);
    }
    table.print();
    Ok(())
}

fn instructions_a_packet(program: &Program) -> io::Result<u64> {
    let echo = Echo::start(1, None)?;
    let mut counts = [0; 2];
    for (packets, count) in PACKETS.into_iter().zip(&mut counts) {
        let file = Scratch::sparse("size", packets * 100)?;
        let mut command = Command::new("valgrind");
        command.args(["--tool=callgrind", "--callgrind-out-file=/dev/null"]).arg(&program.path);
        child::send(&mut command, echo.orchestrator, echo.receivers, file.path());
        let said = child::run(command.args(["-q", "-m", "2"]))?.of_success()?.said;
        let collected = said.split("Collected :").nth(1).and_then(|rest| rest.split_whitespace().next());
        *count = collected
            .and_then(|count| count.parse::<u64>().ok())
            .ok_or_else(|| io::Error::other("valgrind counted nothing"))?;
    }
    Ok(counts[1].saturating_sub(counts[0]) / (PACKETS[1] - PACKETS[0]))
}
