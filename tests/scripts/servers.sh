# For the scripts beside it: builds, starts loopback servers, and stops them however the script ends.
# Source it; it sets $mdalp unless that is set, $work, and after `start_servers ARG...` also $orchestrator, $port and
# $receiver_port.

set -eu
cargo=${CARGO:-cargo}
target=${CARGO_TARGET_DIR:-target}
servers=

if [ -z "${mdalp:-}" ]; then
    mdalp=$target/release/mdalp
    loopback=$target/release/examples/loopback
    $cargo build --release --locked --quiet
    $cargo build --release --locked --quiet --example loopback
else
    # The program is built already; the tests want these servers, too.
    loopback=$target/debug/examples/loopback
    $cargo build --locked --quiet --example loopback
fi

work=$(mktemp -d)
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'stop_servers; rm -rf "$work"' EXIT

start_servers() {
    rm -f "$work/ready"
    "$loopback" --port 0 --receiver-port 0 --ready-file "$work/ready" "$@" \
        >"$work/servers.log" 2>&1 &
    servers=$!
    tries=0
    until [ -s "$work/ready" ]; do
        tries=$((tries + 1))
        if [ $tries -gt 200 ] || ! kill -0 $servers 2>/dev/null; then
            cat "$work/servers.log" >&2
            echo "the loopback servers did not start" >&2
            exit 1
        fi
        sleep 0.05
    done
    read -r orchestrator port receiver_port <"$work/ready"
}

# Lets servers with a bounded life end by themselves.
await_servers() {
    wait "$servers"
    servers=
}

stop_servers() {
    if [ -n "$servers" ]; then
        kill "$servers" 2>/dev/null || true
        wait "$servers" 2>/dev/null || true
        servers=
    fi
}
