#!/bin/sh
# Install the real servers that the tests marked `service` start, where they are lacking.
# With root or sudo on a Debian or Ubuntu it installs them, and lets none of them start; otherwise
# it names them and ends well: those tests are then skipped, or fail with REQUIRE_SERVICES=1.
set -eu
PATH=$PATH:/usr/sbin:/sbin

has() { command -v "$1" >/dev/null; }

has_postgres() {
    has postgres || ls /usr/lib/postgresql/*/bin/postgres >/dev/null 2>&1
}

# the first of several packages that this release has
first_of() {
    for package in "$@"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo "servers: want one of the packages $*, got none in this release" >&2
}

missing() {
    has redis-server || first_of redis-server
    has_postgres || first_of postgresql
    has nginx || first_of nginx-light nginx
    has prometheus || first_of prometheus
    has promtool || has prometheus || first_of promtool prometheus
    has prometheus-blackbox-exporter || first_of prometheus-blackbox-exporter
    has prometheus-pushgateway || first_of prometheus-pushgateway
    has caddy || first_of caddy
    has unbound || first_of unbound
    has knotd || first_of knot
    has tinyproxy || first_of tinyproxy
    has danted || first_of dante-server
    has sshd || first_of openssh-server
    has openssl || first_of openssl
    has vsftpd || first_of vsftpd
    has slapd || first_of slapd
    # one program, and what makes it speak a protocol
    [ -e /usr/lib/dovecot/imap-login ] || first_of dovecot-imapd
    [ -e /usr/lib/dovecot/pop3-login ] || first_of dovecot-pop3d
    has prosody || first_of prosody
    has mariadbd || first_of mariadb-server-core mariadb-server-core-10.6
    has chromium || first_of chromium
    has cc || first_of gcc
    # a header of the clock shim that gcc alone does not bring
    [ -e /usr/include/stdio.h ] || first_of libc6-dev
}

lacking() {
    for name in redis-server nginx prometheus promtool prometheus-blackbox-exporter \
        prometheus-pushgateway caddy unbound knotd tinyproxy danted sshd openssl vsftpd slapd \
        prosody mariadbd chromium cc; do
        has "$name" || echo "$name"
    done
    has_postgres || echo postgres
    [ -e /usr/lib/dovecot/imap-login ] || echo dovecot-imapd
    [ -e /usr/lib/dovecot/pop3-login ] || echo dovecot-pop3d
    [ -e /usr/include/stdio.h ] || echo libc6-dev
}

[ -n "$(lacking)" ] || exit 0
if [ "$(id -u)" = 0 ]; then root=
elif has sudo && sudo -n true 2>/dev/null; then root="sudo -n"
else root=none
fi
if [ "$root" = none ] || ! has apt-get; then
    echo "servers: absent, their tests are skipped:" $(lacking) >&2
    exit 0
fi

# Debian starts what it installs; the tests start their own, on free ports.
policy=/usr/sbin/policy-rc.d
if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' | $root tee $policy >/dev/null
    $root chmod 755 $policy
    trap '$root rm -f $policy' EXIT
fi
$root apt-get update -qq
packages=$(missing | sort -u)
echo "servers: installing" $packages >&2
# shellcheck disable=SC2086 # words on purpose
$root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -y -qq --no-install-recommends $packages >/dev/null
left=$(lacking)
if [ -n "$left" ]; then echo "servers: still absent:" $left >&2; fi
