#!/bin/sh
# The reference's comparison (section 5.3 of its document) on this machine: the recorded transaction in mode 1 and through
# each of its receivers, all times divided by SCALE, as a table and as a picture. Run it as `make compare SCALE=10`.

. tests/scripts/servers.sh

scale=${SCALE:-10}
divide() {
    awk -v scale="$scale" 'BEGIN {
        if (scale + 0 <= 0) exit 1
        for (i = 1; i < ARGC; i++) printf "%s%.6f", (i > 1 ? "," : ""), ARGV[i] / scale
    }' "$@"
}
divide 1 >/dev/null || { echo "SCALE=$scale: not a number above 0" >&2; exit 2; }

start_servers --profile recorded --scale "$scale" --transactions 4
head -c 5000 "$target/release/mdalp" >"$work/payload"
echo "The recorded transaction: 5000 bytes, latencies, ack round trips, losses and first timeout divided by $scale."
"$mdalp" --compare -q -vv -a "$orchestrator" -p "$port" --receiver-port "$receiver_port" -f "$work/payload" \
    --latency "$(divide 335.148 162.844 156.857)" -t "$(divide 3)" --give-up 30 >"$work/here" 2>"$work/log"
picture=${PICTURE:-$target/compare.svg}
awk -f tests/scripts/plot.awk "$work/log" >"$picture"

cat >"$work/recorded" <<EOF
| Recorded: Resent  Time s  Ratio
|                4  26.246   1.00
|              inf  failed      -
|                2  48.364   1.84
|                4  53.899   2.05
EOF
paste -d ' ' "$work/here" "$work/recorded"
cat <<EOF
On the right, the reference client with the original servers; its fixed timeout is 3 s, and receiver A's transaction
expired after 90 s, which these servers do not imitate.
The packets of these runs over time: $picture
EOF
