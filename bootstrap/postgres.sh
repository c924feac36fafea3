#!/usr/bin/env bash
# A Postgres for a class, on Debian or Ubuntu: installs it, makes the instructor's login and a database, with
# TLS and passwords only, and prints the instructor's DSN. It can be run again: what is there is kept, but the
# login gets a new password, and the server restarts if its settings change.
#
#   sudo bash bootstrap/postgres.sh
#
# Variables: P2PGAN_PG_CLUSTER (main), P2PGAN_PG_OWNER (teacher), P2PGAN_PG_DATABASE (gan), P2PGAN_PG_PORT
# (5432 for a new cluster), P2PGAN_PG_NETWORK (all: the addresses that may log in, such as 192.168.1.0/24).
set -euo pipefail

cluster=${P2PGAN_PG_CLUSTER:-main}
owner=${P2PGAN_PG_OWNER:-teacher}
database=${P2PGAN_PG_DATABASE:-gan}
network=${P2PGAN_PG_NETWORK:-all}

die() {
    printf 'p2pgan: %s\n' "$1" >&2
    exit 1
}

for name in "$cluster" "$owner" "$database"; do
    [[ $name =~ ^[a-z][a-z0-9_]*$ ]] || die "$name is no name for a cluster, login or database: use a-z, 0-9 and _"
done
[[ $network =~ ^[a-z0-9.:/]+$ ]] || die "$network is no network: give one such as 192.168.1.0/24"
[ "$(id -u)" = 0 ] || die "run it as root: sudo bash $0"
command -v apt-get >/dev/null || die "this is neither Debian nor Ubuntu: install Postgres 15 or newer yourself"

installed() { compgen -G '/usr/lib/postgresql/*/bin/postgres' >/dev/null && command -v pg_createcluster >/dev/null; }
if ! installed; then
    echo "Installing Postgres"
    apt-get update -qq
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq postgresql ssl-cert >/dev/null
fi

version=$(find /usr/lib/postgresql -mindepth 1 -maxdepth 1 -printf '%f\n' | sort -n | tail -n 1)
[ "$version" -ge 15 ] || die "Postgres $version is too old: p2pgan needs 15 or newer (see https://wiki.postgresql.org/wiki/Apt)"
if ! pg_lsclusters --no-header | awk '{ print $1, $2 }' | grep -qx "$version $cluster"; then
    echo "Making the cluster $version/$cluster"
    pg_createcluster ${P2PGAN_PG_PORT:+--port "$P2PGAN_PG_PORT"} "$version" "$cluster" >/dev/null
fi

# Settings in files of our own: what an administrator wrote stays as it is, and ours are easily seen and removed.
settings=/etc/postgresql/$version/$cluster
data=$(pg_conftool -s "$version" "$cluster" show data_directory)
certificate=$(pg_conftool -s "$version" "$cluster" show ssl_cert_file 2>/dev/null || true)
case ${certificate:=server.crt} in
/*) ;;
*) certificate=$data/$certificate ;;
esac
if [ ! -f "$certificate" ]; then
    echo "Making a certificate for TLS, valid for ten years"
    openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$(hostname -f 2>/dev/null || hostname)" \
        -keyout "$data/server.key" -out "$data/server.crt" 2>/dev/null
    chown postgres: "$data/server.key" "$data/server.crt"
    chmod 600 "$data/server.key"
    printf "ssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n" >"$settings/conf.d/p2pgan-tls.conf"
fi
# Two connections for each peer; passwords as SCRAM verifiers only.
cat >"$settings/conf.d/p2pgan.conf" <<CONF
listen_addresses = '*'
max_connections = 300
password_encryption = 'scram-sha-256'
ssl = on
CONF
# From elsewhere under TLS and with a password, or not at all.
rule="hostssl $database all $network scram-sha-256"
grep -qxF "$rule" "$settings/pg_hba.conf" || printf '# p2pgan\n%s\n' "$rule" >>"$settings/pg_hba.conf"
pg_ctlcluster "$version" "$cluster" restart

port=$(pg_lsclusters --no-header | awk -v v="$version" -v c="$cluster" '$1 == v && $2 == c { print $3 }')
as_postgres() { runuser -u postgres -- psql --cluster "$version/$cluster" -qAtX -v ON_ERROR_STOP=1 "$@"; }
# No shell and no process list sees the password: psql reads it from its standard input.
password=$(openssl rand -hex 16)
as_postgres -d postgres <<SQL
select format('create role %I', '$owner') where to_regrole('$owner') is null \gexec
alter role $owner login createrole password '$password';
select format('create database %I owner %I', '$database', '$owner')
where not exists (select from pg_database where datname = '$database') \gexec
SQL
[ "$(as_postgres -d postgres -c "select pg_get_userbyid(datdba) from pg_database where datname = '$database'")" = "$owner" ] ||
    die "the database $database belongs to somebody else: choose another name in P2PGAN_PG_DATABASE"

address=$(hostname -I 2>/dev/null | awk '{ print $1 }')
dsn="postgresql://$owner:$password@${address:-127.0.0.1}:$port/$database?sslmode=require"
PGCONNECT_TIMEOUT=10 psql -qAtX -c 'select 1' "$dsn" >/dev/null || die "the new login does not get in: see /var/log/postgresql"
cat <<DONE

The instructor's DSN, for nobody else:

  $dsn

Next:   p2pgan doctor --rendezvous 'DSN'
        p2pgan lead --class --rendezvous 'DSN'
Others must reach port $port of this machine: mind the firewall.
DONE
