#!/usr/bin/env bash
# Runs a command beside two throw-away PostgreSQL servers: `tests/postgres.sh cargo test`. They are gone when it ends.
#
# The tests find the first at TEST_POSTGRES_URL, where each makes a database of its own, and the second at
# TEST_POSTGRES_FRAGILE_URL, which they stop and start with the program TEST_POSTGRES_FRAGILE. Where there is no
# PostgreSQL and none can be installed, the command runs without, and this says so.
set -euo pipefail

readonly USER_NAME=switchboard PASSWORD='p@ss:word/of the tests' IN_URL='p%40ss%3Aword%2Fof%20the%20tests'

without() {
  echo "!! SKIPPED: the tests on PostgreSQL: $*" >&2
  exec "${COMMAND[@]}"
}

find_programs() {
  local folder
  for folder in "$(dirname "$(readlink -f "$(command -v initdb || echo /)")")" /usr/lib/postgresql/*/bin; do
    if [[ -x $folder/initdb && -x $folder/pg_ctl && -x $folder/postgres ]]; then
      PROGRAMS=$folder
      return
    fi
  done
  return 1
}

install_programs() {
  local root=()
  command -v apt-get >/dev/null || return 1
  if [[ $(id -u) != 0 ]]; then
    [[ ${CI:-} ]] && sudo -n true 2>/dev/null || return 1
    root=(sudo -n)
  fi
  echo 'PostgreSQL is missing: apt-get install postgresql' >&2
  "${root[@]}" env DEBIAN_FRONTEND=noninteractive bash -c \
    'apt-get update -qq && apt-get install -y -qq --no-install-recommends postgresql' >&2
}

# A server refuses to run as root.
as_owner() {
  if [[ $OWNER ]]; then runuser -u "$OWNER" -- "$@"; else "$@"; fi
}

# Starts the server in folder $1 on a free port, which is then in PORT.
start_server() {
  local options
  for _ in {1..20}; do
    PORT=$((RANDOM % 20000 + 20000))
    # Nothing here has to survive a loss of power; what was committed survives a crash of the server.
    options="-c listen_addresses=127.0.0.1 -c port=$PORT -c unix_socket_directories=$FOLDER -c max_connections=400"
    options+=' -c fsync=off -c full_page_writes=off'
    echo "$options" >"$1.options"
    if as_owner "$PROGRAMS/pg_ctl" start -w -s -D "$1" -l "$1.log" -o "$options" >/dev/null 2>&1; then return; fi
  done
  cat "$1.log" >&2
  return 1
}

remove_servers() {
  local server
  for server in main fragile; do
    as_owner "$PROGRAMS/pg_ctl" stop -m immediate -s -D "$FOLDER/$server" >/dev/null 2>&1 || true
  done
  rm -rf "$FOLDER"
}

COMMAND=("$@")
find_programs || { install_programs && find_programs; } \
  || without 'it is not here and cannot be installed. On Debian: apt-get install postgresql'
OWNER=
if [[ $(id -u) == 0 ]]; then
  if id postgres >/dev/null 2>&1; then OWNER=postgres; else OWNER=nobody; fi
fi
FOLDER=$(mktemp -d /tmp/switchboard-postgres.XXXXXX)
trap remove_servers EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
printf '%s' "$PASSWORD" >"$FOLDER/password"
[[ -z $OWNER ]] || chown -R "$OWNER" "$FOLDER"
cd "$FOLDER"
# `password`: the usual way hashes 4,096 times for every connection, which takes long without optimisation.
as_owner "$PROGRAMS/initdb" -D "$FOLDER/main" -U "$USER_NAME" --pwfile="$FOLDER/password" --auth=password \
  --encoding=UTF8 --locale=C --no-sync >"$FOLDER/initdb.log" 2>&1 || { cat "$FOLDER/initdb.log" >&2; exit 1; }
as_owner cp -r "$FOLDER/main" "$FOLDER/fragile"
start_server "$FOLDER/main"
export TEST_POSTGRES_URL="postgres://$USER_NAME:$IN_URL@127.0.0.1:$PORT/postgres"
start_server "$FOLDER/fragile"
export TEST_POSTGRES_FRAGILE_URL="postgres://$USER_NAME:$IN_URL@127.0.0.1:$PORT/postgres"
export TEST_POSTGRES_FRAGILE="$FOLDER/fragile.sh"
cat >"$TEST_POSTGRES_FRAGILE" <<PROGRAM
#!/usr/bin/env bash
# stop (at once, as a crash does) or start
set -euo pipefail
cd "$FOLDER"
as_owner() { ${OWNER:+runuser -u "$OWNER" --} "\$@"; }
case \$1 in
  stop) as_owner "$PROGRAMS/pg_ctl" stop -m immediate -s -D fragile ;;
  start) as_owner "$PROGRAMS/pg_ctl" start -w -s -D fragile -l fragile.log -o "\$(cat fragile.options)" >/dev/null 2>&1 ;;
esac
PROGRAM
chmod +x "$TEST_POSTGRES_FRAGILE"
cd "$OLDPWD"
"${COMMAND[@]}"
