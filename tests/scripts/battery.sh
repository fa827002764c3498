#!/bin/sh
# What every build of the program must do, against loopback servers: both modes, given and measured latencies, many
# receivers, standard input, JSON, failover, all exit statuses; what arrives is compared. The servers are this machine's own.
#
#     battery.sh PROGRAM [RUNNER]        e.g. battery.sh target/armv7-unknown-linux-musleabihf/release/mdalp qemu-arm
mdalp=${1:?usage: battery.sh PROGRAM [RUNNER]}
runner=${2:-}
. tests/scripts/servers.sh

payload=$work/payload
head -c 60000 "$mdalp" >"$payload"

# expect STATUS WHAT ARGUMENT...: runs it; what it prints is in $work/out and $work/err.
expect() {
    status=$1 what=$2
    shift 2
    got=0
    $runner "$mdalp" -a "$orchestrator" -p "$port" --receiver-port "$receiver_port" "$@" \
        >"${out:-$work/out}" 2>"$work/err" || got=$?
    if [ "$got" != "$status" ]; then
        echo "battery: $what: exit status $got instead of $status" >&2
        cat "$work/err" >&2
        exit 1
    fi
    echo "  $what: exit status $status"
}

# arrived N: each of the N payloads is complete.
arrived() {
    await_servers
    for received in "$work"/received/*.bin; do cmp "$payload" "$received"; done
    test "$(ls "$work/received" | wc -l)" = "$1"
    rm -r "$work/received"
    echo "  $1 payloads identical"
}

start_servers --transactions 4 --expect "$payload" --store "$work/received" \
    --receiver name=A,delay=2 --receiver name=B,delay=1,lose=3:1 --receiver name=C
expect 0 'all receivers' -f "$payload" --latency 6,3,2
expect 0 'measured latencies' -f "$payload" -v
grep -q 'A' "$work/err"
expect 0 'one receiver, standard input' -f - -m 2 -s 3 <"$payload"
expect 0 'JSON' -f "$payload" --json
grep -q '^{.*"acked_bytes":60000[,}].*}$' "$work/out"
arrived 4

start_servers --transactions 1 --expect "$payload" --store "$work/received" \
    --receiver name=A,dies=5 --receiver name=B --receiver name=C
expect 0 'failover' -f "$payload" --latency 1,1,1 --give-up 1
arrived 1

start_servers --transactions 1 --expect "$payload" --store "$work/received" --receivers 40
expect 0 '40 receivers' -f "$payload"
arrived 1

start_servers --receiver name=A,closed --receiver name=B,no-acks --receiver name=C
expect 1 'a closed port' -f "$payload" -m 2 -s 1
expect 2 'an unknown option' -f "$payload" --nonsense
expect 3 'a missing payload' -f "$work/missing"
expect 5 'the deadline' -f "$payload" -m 2 -s 2 -w 0.3
out=/dev/full
expect 6 'a full output' -f "$payload" -m 2 -s 3 --json
out=
stop_servers
expect 4 'no assignment' -f "$payload" --intent-timeout 0.3
echo "battery: $mdalp passed${runner:+ under $runner}"
