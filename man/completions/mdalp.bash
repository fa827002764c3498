# bash completion for mdalp(1)

_mdalp() {
    local current=$2 previous=$3 words
    case $previous in
        -f | --file)
            compopt -o filenames
            mapfile -t COMPREPLY < <(compgen -f -- "$current")
            return
            ;;
        -m | --mode) words='1 2 balance single' ;;
        # bash splits --progress=WHEN at the sign.
        =) words='auto always never' ;;
        -a | --addr | -p | --port | -s | --server | -b | --bind | --receiver-port | -t | --timeout | --give-up | \
            -w | --deadline | --intent-timeout | --intent-resend | --latency) return ;;
        *)
            words='-a --addr -p --port -f --file -m --mode -s --server -b --bind --receiver-port
                -t --timeout --fixed-timeout --give-up -w --deadline --intent-timeout --intent-resend
                --latency --no-failover --rebalance --compare
                --json --progress -q --quiet -v --verbose -h --help -V --version'
            ;;
    esac
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "${current#=}")
}

complete -F _mdalp mdalp
