# shellcheck shell=bash
# Finds a RabbitMQ, or installs the distribution's and starts it. To be sourced.

# shellcheck disable=SC2034 # for those who source this
broker_default_url='amqp://guest:guest@127.0.0.1:5672/%2f'

say() { printf '== %s\n' "$*"; }
die() { printf 'error: %s\n' "$*" >&2; exit 1; }

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    elif command -v sudo >/dev/null; then
        sudo "$@"
    else
        die "this needs root, and there is no sudo: $*"
    fi
}

# install_packages NAME...: from the distribution, with apt.
install_packages() {
    command -v apt-get >/dev/null ||
        die "please install $*: this script can do so on Debian and Ubuntu only"
    say "installing $* with apt-get"
    as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q </dev/null ||
        die "apt-get update failed; please install $* by hand"
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get install -q -y --no-install-recommends "$@" </dev/null ||
        die "apt-get could not install $*; please install them by hand"
}

# python_tools FOLDER PACKAGE...: an environment in FOLDER with these packages from PyPI.
python_tools() {
    local folder=$1
    shift
    [ "$(cat "$folder/packages" 2>/dev/null)" != "$*" ] || return 0
    say "installing $* from PyPI"
    python3 -c 'import ensurepip, venv' 2>/dev/null || install_packages python3 python3-venv
    rm -rf "$folder"
    python3 -m venv "$folder"
    "$folder/bin/pip" install -q --disable-pip-version-check "$@"
    # Last, so that a half is not taken for the whole.
    printf '%s\n' "$*" >"$folder/packages"
}

# broker_address URL: host and port of its first address.
broker_address() {
    local address=${1%%,*} port=5672
    case $address in amqps://*) port=5671 ;; esac
    address=${address#*://}
    address=${address%%/*}
    address=${address%%\?*}
    address=${address##*@}
    case $address in
    \[*\]:*) port=${address##*:}; address=${address%:*} ;;
    \[*\]) ;;
    *:*) port=${address##*:}; address=${address%:*} ;;
    esac
    address=${address#[}
    printf '%s %s\n' "${address%]}" "$port"
}

# broker_answers URL: whether somebody speaks AMQP there (with amqps: listens).
broker_answers() {
    local url=$1 host port
    read -r host port < <(broker_address "$url")
    # shellcheck disable=SC2016
    timeout 5 bash -c '
        exec 3<>"/dev/tcp/$1/$2" || exit 1
        case $3 in amqps://*) exit 0 ;; esac
        printf "AMQP\0\0\11\1" >&3
        # The first byte of a method frame, or of the protocol header that a refusal is.
        first=$(head -c 1 <&3 | od -An -tu1)
        [ "${first// /}" = 1 ]
    ' broker_answers "$host" "$port" "$url" 2>/dev/null
}

# The scripts of the package, which tests start nodes of their own with.
broker_is_installed() {
    [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] && command -v erl_call >/dev/null
}

broker_install() {
    broker_is_installed || install_packages rabbitmq-server
    broker_is_installed || die 'rabbitmq-server was installed, but is not where Debian puts it'
}

# broker_wait URL SECONDS: a dot for each second shows that it is still waiting.
broker_wait() {
    local deadline=$((SECONDS + $2)) shown=$SECONDS
    until broker_answers "$1"; do
        if [ "$SECONDS" -ge "$deadline" ]; then
            printf '\n'
            return 1
        fi
        if [ "$SECONDS" -gt "$shown" ]; then
            shown=$SECONDS
            printf .
        fi
        sleep 0.2
    done
    [ "$shown" = "$((deadline - $2))" ] || printf '\n'
}

# broker_ensure URL: returns when a broker answers there. One is only started on this machine's
# usual port: whoever names another place looks after it.
broker_ensure() {
    local url=$1 host port
    if broker_answers "$url"; then
        say "RabbitMQ answers"
        return
    fi
    read -r host port < <(broker_address "$url")
    case $host:$port in
    127.0.0.1:5672 | localhost:5672) ;;
    *) die "no RabbitMQ answers at $host:$port" ;;
    esac
    broker_install
    # Installing may have started the service.
    if ! broker_wait "$url" 3; then
        say 'starting RabbitMQ (about 10 s)'
        as_root rabbitmq-server -detached </dev/null >/dev/null ||
            die 'rabbitmq-server -detached failed'
        broker_wait "$url" 120 ||
            die 'RabbitMQ does not answer; see its logs in /var/log/rabbitmq'
    fi
    say 'RabbitMQ answers'
}

# broker_start_in_root DIR PORT: a node from a folder that scripts/broker4 has made, for as long as
# the caller lives, who calls broker_stop_in_root at the end.
broker_start_in_root() {
    local root=$1 port=$2
    [ -x "$root/usr/lib/rabbitmq/bin/rabbitmq-server" ] ||
        die "there is no RabbitMQ in $root; scripts/broker4 makes one"
    broker_root_data=$(mktemp -d "${TMPDIR:-/tmp}/amqpost-broker.XXXXXX")
    say "starting the RabbitMQ in $root (about 10 s)"
    echo '[].' >"$broker_root_data/plugins"
    # What is mounted is gone with the last process.
    # shellcheck disable=SC2016
    setsid unshare --mount -- /bin/sh -c '
        mount -t proc proc "$1/proc" && mount --bind "$2" "$1/$2" || exit 1
        root=$1 && shift 2 && exec chroot "$root" env -i "$@"
    ' within "$root" "${TMPDIR:-/tmp}" PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
        HOME="$broker_root_data" RABBITMQ_CONF_ENV_FILE="$broker_root_data/none" \
        RABBITMQ_CONFIG_FILE="$broker_root_data/none" \
        RABBITMQ_NODENAME="amqpost_shared_$$@localhost" RABBITMQ_NODE_IP_ADDRESS=127.0.0.1 \
        RABBITMQ_NODE_PORT="$port" RABBITMQ_DIST_PORT=$((port + 1)) \
        RABBITMQ_MNESIA_BASE="$broker_root_data/data" RABBITMQ_LOG_BASE="$broker_root_data/log" \
        RABBITMQ_ENABLED_PLUGINS_FILE="$broker_root_data/plugins" \
        RABBITMQ_PID_FILE="$broker_root_data/pid" \
        /usr/lib/rabbitmq/bin/rabbitmq-server >"$broker_root_data/output" 2>&1 </dev/null &
    broker_root_group=$!
    broker_wait "amqp://guest:guest@127.0.0.1:$port/%2f" 120 ||
        die "it does not answer; it said: $(tail -n 20 "$broker_root_data/output")"
    say 'RabbitMQ answers'
}

broker_stop_in_root() {
    [ -n "${broker_root_group:-}" ] || return 0
    kill -s KILL -- "-$broker_root_group" 2>/dev/null || true
    wait "$broker_root_group" 2>/dev/null || true
    rm -rf "$broker_root_data"
}
