# shellcheck shell=bash
# The five servers, sourced by deploy/services.sh: `start_X` starts X, `ask_X` asks whether it answers,
# `prepare_X` makes what has to be in it.

port_of() {
    case $1 in
        postgres) echo "$POSTGRES_PORT" ;;
        redis) echo "$REDIS_PORT" ;;
        kafka) echo "$KAFKA_PORT" ;;
        s3) echo "$S3_PORT" ;;
        toxiproxy) echo "$TOXIPROXY_PORT" ;;
        *) return 1 ;;
    esac
}

ports_of() {
    port_of "$1"
    case $1 in
        kafka) echo $((KAFKA_PORT + 1)) $((KAFKA_PORT + 2)) ;;
        toxiproxy) echo "$POSTGRES_PROXY_PORT" "$REDIS_PROXY_PORT" "$KAFKA_PROXY_PORT" "$S3_PROXY_PORT" ;;
    esac
}

# How a server is asked to end. PostgreSQL takes SIGTERM as "when the last client has left".
signal_of() { if [ "$1" = postgres ]; then echo INT; else echo TERM; fi; }

# --- PostgreSQL -------------------------------------------------------------------------------------

# For `su`: its arguments as a command.
# shellcheck disable=SC2016
EXEC='exec "$0" "$@"'

# As whom: PostgreSQL refuses to run as root.
postgres_user() {
    [ "$(id -u)" = 0 ] || return 0
    if id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

as_postgres() {
    local user
    user=$(postgres_user)
    if [ -z "$user" ]; then "$@"
    elif command -v runuser >/dev/null; then runuser -u "$user" -- "$@"
    else su -s /bin/sh "$user" -c "$EXEC" -- "$@"; fi
}

# The cluster's folder; elsewhere where the repository's parents keep PostgreSQL's user out.
postgres_home() {
    local home=$RUN/postgres/cluster user
    if [ -d "$(kept postgres home)" ]; then kept postgres home && return; fi
    user=$(postgres_user)
    mkdir -p "$home"
    chmod 711 "$RUN/postgres"
    [ -z "$user" ] || chown "$user" "$home"
    if ! (cd / && as_postgres test -x "$home"); then
        home=$(mktemp -d /var/tmp/lectern-postgres.XXXXXX)
        chown "$user" "$home"
        say "postgres: the user $user cannot walk into $RUN, so the cluster is in $home" >&2
    fi
    chmod 700 "$home"
    echo "$home" | tee "$RUN/postgres/home"
}

make_cluster() {
    local home=$1
    printf '%s\n' "$POSTGRES_PASSWORD" >"$home/password"
    [ -z "$(postgres_user)" ] || chown "$(postgres_user)" "$home/password"
    rm -rf "$home/new"
    (cd / && as_postgres "$(postgres_bin)/initdb" -D "$home/new" -U postgres --pwfile="$home/password" \
        -A scram-sha-256 -E UTF8 --locale=C.UTF-8 --no-sync) >"$RUN/postgres/initdb.log" 2>&1 || {
        fail "postgres: initdb failed: $(tail -n 5 "$RUN/postgres/initdb.log")" || return
    }
    rm "$home/password"
    mv "$home/new" "$home/data"
}

# Without fsync a killed server loses nothing: what was written is the kernel's. Only a power cut does.
start_postgres() {
    local home
    home=$(postgres_home) || return
    [ -f "$home/data/PG_VERSION" ] || make_cluster "$home" || return
    run_postgres() {
        spawn postgres "$home/data" "$@" "$(postgres_bin)/postgres" -D "$home/data" -p "$POSTGRES_PORT" \
            -c listen_addresses=127.0.0.1 -c unix_socket_directories= -c fsync=off -c shared_buffers=64MB \
            -c max_connections=200 -c timezone=UTC
    }
    if [ -z "$(postgres_user)" ]; then run_postgres
    elif command -v runuser >/dev/null; then run_postgres runuser -u "$(postgres_user)" --
    else run_postgres su -s /bin/sh "$(postgres_user)" -c "$EXEC" --; fi
}

administer() {
    PGPASSWORD=$POSTGRES_PASSWORD PGCONNECT_TIMEOUT=5 "$(postgres_bin)/psql" -h 127.0.0.1 -p "$POSTGRES_PORT" \
        -U postgres -d "${1:-postgres}" -qAtX -v ON_ERROR_STOP=1
}

# The pid that counts is the server's own, not that of what changed the user.
ask_postgres() {
    local pid
    [ "$(echo 'select 1' | administer)" = 1 ] || return
    pid=$(head -n 1 "$(kept postgres home)/data/postmaster.pid") && echo "$pid" >"$RUN/postgres/pid"
}

# A user as a managed database gives one: no superuser, it may make roles and databases.
prepare_postgres() {
    administer <<SQL || return
do \$\$ begin
    if not exists (select from pg_roles where rolname = 'lectern') then create role lectern login createrole createdb; end if;
end \$\$;
alter role lectern password '$DB_PASSWORD';
SQL
    [ "$(echo "select 1 from pg_database where datname = 'lectern'" | administer)" = 1 ] ||
        echo "create database lectern owner lectern" | administer
}

# --- Redis ------------------------------------------------------------------------------------------

# A cache: nothing of it outlives the process.
start_redis() {
    mkdir -p "$RUN/redis/data"
    spawn redis "$RUN/redis/data" redis-server --port "$REDIS_PORT" --bind 127.0.0.1 --save '' --appendonly no \
        --dir "$RUN/redis/data" --set-proc-title no
}

ask_redis() { [ "$(redis-cli -h 127.0.0.1 -p "$REDIS_PORT" ping)" = PONG ]; }
prepare_redis() { :; }

# --- Kafka ------------------------------------------------------------------------------------------

java_of_kafka() {
    "$(java_bin)" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC "$@"
}

# A quarter of a gigabyte is plenty for tests: 200,000 messages leave it at 200 MB.
start_kafka() {
    local folder=$RUN/kafka log=-Dorg.slf4j.simpleLogger.defaultLogLevel=warn
    sed -e "s|@PORT@|$KAFKA_PORT|; s|@CONTROLLER@|$((KAFKA_PORT + 1))|; s|@BEHIND@|$((KAFKA_PORT + 2))|" \
        -e "s|@PROXY@|$KAFKA_PROXY_PORT|; s|@DATA@|$folder/data|" "$HERE/kafka/server.properties.in" >"$folder/server.properties"
    if [ ! -f "$folder/data/meta.properties" ]; then
        java_of_kafka "$log" -cp "$(kafka_libs)/*" kafka.tools.StorageTool format -t "$(random 16 | cut -c 1-22)" \
            -c "$folder/server.properties" >"$folder/format.log" 2>&1 || {
            fail "kafka: format failed: $(tail -n 5 "$folder/format.log")" || return
        }
    fi
    spawn kafka "$folder/server.properties" "$(java_bin)" -XX:TieredStopAtLevel=1 -XX:+UseSerialGC -Xms128m -Xmx256m \
        -XX:MaxMetaspaceSize=128m -XX:MaxDirectMemorySize=64m -XX:ReservedCodeCacheSize=48m -Xss512k "$log" \
        -Dorg.slf4j.simpleLogger.showDateTime=true -cp "$(kafka_libs)/*" kafka.Kafka "$folder/server.properties"
}

# An ApiVersions request, and the first byte of the answer that is not zero: a broker listens once
# its controller has let it in.
ask_kafka() (
    exec 3<>"/dev/tcp/127.0.0.1/$KAFKA_PORT"
    printf '\000\000\000\012\000\022\000\000\000\000\000\007\377\377' >&3
    LC_ALL=C IFS= read -r -t 5 -n 1 _ <&3
)
prepare_kafka() { :; }

# --- S3 ---------------------------------------------------------------------------------------------

start_s3() {
    mkdir -p "$RUN/s3/data" "$RUN/s3/versions"
    ROOT_ACCESS_KEY=$S3_ACCESS_KEY ROOT_SECRET_KEY=$S3_SECRET_KEY spawn s3 "$RUN/s3/data" "$(versitygw_bin)" \
        --region "$REGION" --health /healthz --port "127.0.0.1:$S3_PORT" posix --versioning-dir "$RUN/s3/versions" "$RUN/s3/data"
}

ask_s3() { curl -fs -o /dev/null --max-time 5 "http://127.0.0.1:$S3_PORT/healthz"; }

# The key is not for the list of processes. 409: the bucket is there.
prepare_s3() {
    local bucket status
    for bucket in $BUCKETS; do
        status=$(curl -s -o "$RUN/s3/answer" -w '%{http_code}' --max-time 10 -X PUT --aws-sigv4 "aws:amz:$REGION:s3" \
            -H 'x-amz-content-sha256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855' \
            -K - "http://127.0.0.1:$S3_PORT/$bucket" <<<"user = \"$S3_ACCESS_KEY:$S3_SECRET_KEY\"") || true
        case $status in
            200 | 409) ;;
            *) fail "s3: the bucket $bucket cannot be made: $status $(cat "$RUN/s3/answer")" || return ;;
        esac
    done
}

# --- Toxiproxy --------------------------------------------------------------------------------------

proxy() { printf '{"name": "%s", "listen": "127.0.0.1:%s", "upstream": "127.0.0.1:%s", "enabled": true}' "$@"; }

# Kafka tells its clients where to go on: behind the proxy it has a listener that says "the proxy".
start_toxiproxy() {
    cat >"$RUN/toxiproxy/proxies.json" <<JSON
[
  $(proxy postgres "$POSTGRES_PROXY_PORT" "$POSTGRES_PORT"),
  $(proxy redis "$REDIS_PROXY_PORT" "$REDIS_PORT"),
  $(proxy kafka "$KAFKA_PROXY_PORT" $((KAFKA_PORT + 2))),
  $(proxy s3 "$S3_PROXY_PORT" "$S3_PORT")
]
JSON
    spawn toxiproxy "$RUN/toxiproxy/proxies.json" "$(toxiproxy_bin)" -host 127.0.0.1 -port "$TOXIPROXY_PORT" \
        -config "$RUN/toxiproxy/proxies.json"
}

ask_toxiproxy() {
    local answer name
    answer=$(curl -fs --max-time 5 "http://127.0.0.1:$TOXIPROXY_PORT/proxies") || return
    for name in postgres redis kafka s3; do case $answer in *"\"$name\""*) ;; *) return 1 ;; esac; done
}
prepare_toxiproxy() { :; }
