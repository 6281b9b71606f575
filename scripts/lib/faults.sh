# shellcheck shell=bash
# What fault campaigns are made with. To be sourced after broker.sh.

# faults_install: strace makes syncs slow or fail, libfaketime turns the clock of one process.
faults_install() {
    local missing=()
    command -v strace >/dev/null || missing+=(strace)
    compgen -G '/usr/lib/*/faketime/libfaketimeMT.so.1' >/dev/null ||
        [ -e /usr/lib/faketime/libfaketimeMT.so.1 ] || missing+=(libfaketime)
    [ ${#missing[@]} = 0 ] || install_packages "${missing[@]}"
}
