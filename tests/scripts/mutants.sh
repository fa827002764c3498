#!/bin/sh
# Changes the machines and the shells in every way that cargo-mutants knows, and looks whether a test notices: `make mutants`.
# Those that the unit tests miss go on to all tests, in which whole transfers are simulated. Options go to cargo-mutants,
# e.g. --file src/protocol/lane.rs. Exit status 1 if one was missed; the list is in mutants.out/missed.txt in the target
# directory. What is left out, and why, is in .cargo/mutants.toml. It takes hours.
set -eu
cargo=${CARGO:-cargo}
directory=${CARGO_TARGET_DIR:-target}
$cargo mutants --version >/dev/null 2>&1 || {
    echo "mutants: no cargo-mutants; to install it: cargo install cargo-mutants --locked" >&2
    exit 2
}
mkdir -p "$directory"
status=0
env -u CARGO_TARGET_DIR $cargo mutants --output "$directory" --cargo-arg=--lib "$@" || status=$?
case $status in
    0) exit ;;
    2 | 3) ;; # some missed, or some too slow
    *) exit 2 ;;
esac
echo "mutants: what the unit tests missed goes on to all tests"
env -u CARGO_TARGET_DIR $cargo mutants --output "$directory" --iterate --profile mutants "$@" -- --lib --test mdalp
