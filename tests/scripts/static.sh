#!/bin/sh
# Builds a static program: `make static`, and with --tiny the smallest one: `make tiny`.
#
#     static.sh [--tiny] [TRIPLE]
#
# Without a triple: this machine's, with musl where Rust's library for it is installed, else with glibc. The last line on
# standard output says what was built, its size, and where it is. RUSTFLAGS come after the flags from here.
set -eu
cargo=${CARGO:-cargo}
rustc=${RUSTC:-rustc}
directory=${CARGO_TARGET_DIR:-target}
name=static
if [ "${1:-}" = --tiny ]; then
    name=tiny
    directory=$directory/tiny
    shift
fi
target=${1:-}
die() { echo "$name: $*" >&2; exit 1; }

host=$($rustc -vV | sed -n 's/^host: //p')
has_library() { ls "$($rustc --print target-libdir --target "$1" 2>/dev/null)"/libstd-*.rlib >/dev/null 2>&1; }
if [ -z "$target" ]; then
    target=$(echo "$host" | sed 's/-gnu/-musl/')
    if ! has_library "$target"; then
        echo "$name: no musl here, so glibc, which is larger; to add it: rustup target add $target" >&2
        target=$host
    fi
fi
# The program stays at one address, without the relocations that would make it 13 kB larger (2 %) and its memory private to
# each process. The price is that the code's address is no secret; stack, heap and libraries are placed at random as ever.
flags='-C target-feature=+crt-static -C relocation-model=static'

# rust-lld comes with every toolchain, and musl's start files and libc.a with Rust's library for a musl target, so nothing
# else is needed to link for a foreign one. A linker that the user names in the environment or in cargo's configuration is
# used instead, and gets no options that it may not know.
variable=CARGO_TARGET_$(echo "$target" | tr 'a-z.-' 'A-Z__')_LINKER
user_linker() {
    eval "[ -n \"\${$variable:-}\" ]" && return
    case " ${RUSTFLAGS:-} " in *linker=*) return 0 ;; esac
    RUSTC_BOOTSTRAP=1 $cargo -Z unstable-options config get "target.$target.linker" >/dev/null 2>&1
}
lld=$($rustc --print sysroot)/lib/rustlib/$host/bin/rust-lld
case $target in *-musl*)
    if [ -x "$lld" ] && ! user_linker; then
        # With panic = "abort" no stack is ever unwound, so its tables (60 kB) go; only a backtrace would read them, and
        # a stripped program's has no names. Functions of the same code are kept once.
        mkdir -p "$directory"
        script=$(cd "$directory" && pwd)/no-unwind-tables.ld
        echo 'SECTIONS { /DISCARD/ : { *(.eh_frame .eh_frame_hdr .gcc_except_table .gcc_except_table.* .ARM.extab* .ARM.exidx*) } }
INSERT AFTER .text;' >"$script"
        flags="$flags -C linker=rust-lld -C link-arg=--icf=all -C link-arg=--no-eh-frame-hdr -C link-arg=-T$script"
    fi
esac

if [ $name = tiny ]; then
    # Rust's own library is compiled for size, and a panic stops immediately without its message.
    test -f "$($rustc --print sysroot)/lib/rustlib/src/rust/library/Cargo.lock" ||
        die "the source of Rust's library is missing; to add it: rustup component add rust-src"
    flags="$flags -Z unstable-options -C panic=immediate-abort"
    set -- -Z build-std=std,panic_abort -Z build-std-features=optimize_for_size
    export RUSTC_BOOTSTRAP=1
else
    has_library "$target" || die "Rust's library for $target is missing; to add it: rustup target add $target"
    set --
fi
RUSTFLAGS="$flags ${RUSTFLAGS:-}" $cargo build --release --locked --target "$target" --bin mdalp \
    --target-dir "$directory" "$@"
program=$directory/$target/release/mdalp
echo "$name: $target, $(wc -c <"$program") bytes: $program"
